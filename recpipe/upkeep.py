"""What is due: of everything that has been built once, the artifacts that a change made stale and that can be made now.

Automation asks this again and again. An artifact is due when it is stale (or missing on the way to a submission that
was made before) and all that goes into it is settled: so in a diamond the lower tip waits for both sides, and nothing
is made twice. What ends as it was stops there. What keeps failing is given up until something changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from graphlib import TopologicalSorter

from recpipe.lineage import Lineage, Node, Standing
from recpipe.settings import Project
from recpipe.storage import digest_of, replace_text
from recpipe.yaml_files import SettingsError

SUBMISSION = Node("ensemble_submission")
SOFT = frozenset({"leaderboard", "comparison", "robustness_report", "ensemble", "ensemble_submission"})
"""Artifacts that go on with the last good version of a model that fails, or without it, and say so."""

OF_MODELS = frozenset({"trained_model", "evaluation_report"})

OPTIONAL = frozenset({"arrival"})
"""What needs one goes on with its last good version, or without, and says so."""

ON_REQUEST = frozenset({"model_search", "split_trust_report"})
"""What trains much by itself: made when somebody asks for it; no change, no build and no night makes it again."""

ATTEMPTS = 3
"""How often automation tries to make an artifact from the same inputs, settings and code."""

ATTEMPT_FILE = "attempt.json"


@dataclass(frozen=True)
class Due:
    """What is to be made now; and what is left, with the reason: errors in settings, attempts spent."""

    nodes: frozenset[Node]
    left: dict[Node, str]


def kept(lineage: Lineage) -> list[Node]:
    """Everything that stands, and what the submission needs where one was ever made; upstream first.

    What was made of a model or split whose YAML is gone is not kept, nor what is made on request alone.
    """
    records = [Node(record.asset, record.partition) for record in lineage.project.store.every_record()]
    nodes = {node for node in records if node.asset not in ON_REQUEST and lineage.has(node)}
    waiting, line = [SUBMISSION] if SUBMISSION in nodes else [], set[Node]()
    while waiting:
        node = waiting.pop()
        line.add(node)
        waiting += [need for need in lineage.needs_if_readable(node) if need not in line]
    nodes |= line
    order = TopologicalSorter({node: sorted(nodes & set(lineage.needs_if_readable(node))) for node in sorted(nodes)})
    return list(order.static_order())


def due(project: Project) -> Due:
    """What automation makes next. Artifacts whose settings cannot be used are left, with the error.

    Settings may change in the middle of a look: what was walked by the old ones and judged by the new ones does not
    count. An ensemble would be due before its new member, and made again after it.
    """
    lineage = Lineage(project)
    while True:
        line = kept(lineage)
        found = _due_of(lineage, line)
        if not found.nodes or kept(lineage) == line:
            return found


def _due_of(lineage: Lineage, line: list[Node]) -> Due:
    """What is due of these artifacts, upstream first."""
    nodes: set[Node] = set()
    left: dict[Node, str] = {}
    waiting: set[Node] = set()
    for node in line:
        needs = lineage.needs_if_readable(node)
        if any(need in waiting for need in needs):
            waiting.add(node)
            continue
        try:
            without = OPTIONAL | (OF_MODELS if node.asset in SOFT else set())
            missed = [need for need in needs if need in left and need.asset not in without]
            reason = f"waits for {missed[0]}" if missed else None
            if lineage.state(node).standing is Standing.CURRENT:
                continue
            reason = reason or _given_up(lineage, node)
        except SettingsError as error:
            reason = str(error)
        if reason is None:
            nodes.add(node)
            waiting.add(node)
        else:
            left[node] = reason
    return Due(frozenset(nodes), left)


def _given_up(lineage: Lineage, node: Node) -> str | None:
    tried = attempts(lineage, node)
    if tried < ATTEMPTS:
        return None
    return f"failed {tried} times as it is; a change of what goes into it, or `recpipe build`, tries again"


def begin_attempt(lineage: Lineage, node: Node) -> None:
    """Note that the artifact is being made from the versions of now; `end_attempt` takes the note away."""
    count = attempts(lineage, node) + 1
    note = {"versions": digest_of(lineage.versions(node)), "count": count}
    replace_text(lineage.project.store.place(node.asset, node.partition) / ATTEMPT_FILE, json.dumps(note))


def end_attempt(project: Project, node: Node) -> None:
    """The artifact was made."""
    (project.store.place(node.asset, node.partition) / ATTEMPT_FILE).unlink(missing_ok=True)


def attempts(lineage: Lineage, node: Node) -> int:
    """How often the artifact was begun from the versions of now without an end."""
    path = lineage.project.store.place(node.asset, node.partition) / ATTEMPT_FILE
    if not path.exists():
        return 0
    note = json.loads(path.read_text(encoding="utf-8"))
    return int(note["count"]) if note["versions"] == digest_of(lineage.versions(node)) else 0
