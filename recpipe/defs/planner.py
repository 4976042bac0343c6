"""Builds what a goal needs: walks the line upstream first and runs each step as its own ordinary run on one instance.

One run cannot hold assets of different partition definitions; so the planner runs the implicit asset job once a step,
in this process or in that of a worker elsewhere (`Hands`). The runs stand in the UI like any other and can be executed
again there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import dagster as dg
from filelock import BaseFileLock, FileLock, Timeout

from recpipe.lineage import Lineage, Node, Standing
from recpipe.progress import tell
from recpipe.settings import Project

SOFT = frozenset({"leaderboard", "ensemble", "ensemble_submission"})
"""Steps that go on without a model that failed, and say so."""

RAW = ("raw_ratings", "raw_items")
"""Read together: one reading of the source yields both."""

ENSEMBLE, SUBMISSION = Node("ensemble"), Node("ensemble_submission")

TASK = "recpipe/task"
"""The tag of a run that a worker elsewhere carries out: its task at the scheduler."""

_WALKING: ContextVar[bool] = ContextVar("walking", default=False)
"""Whether a build further up in this process already makes what the submission needs."""


class BuildFailed(RuntimeError):
    """A step that the goal cannot do without has failed."""


@dataclass
class Built:
    """What a build did: steps run with their seconds, steps that failed, steps left out because of these."""

    ran: list[Node] = field(default_factory=list)
    current: list[Node] = field(default_factory=list)
    failed: dict[Node, str] = field(default_factory=dict)
    left_out: dict[Node, Node] = field(default_factory=dict)


def build(
    project: Project,
    goals: Sequence[Node],
    instance: dg.DagsterInstance,
    *,
    rebuild_stale: bool = True,
    hands: "Hands | None" = None,
) -> Built:
    """Make the goals and what they need: what is missing, and what is stale where `rebuild_stale`.

    hands: who carries the steps out; this process where not given.
    A failed step never stops steps that do not need it. Raises `BuildFailed` where a goal could not be made.
    """
    with _only_builder(project), walking():
        free_slots_of_dead_runs(instance)
        built = _Walk(project, hands or OwnHands(instance), rebuild_stale).to(goals)
    lost = [goal for goal in goals if goal in built.failed or goal in built.left_out]
    if lost:
        causes = "\n".join(f"  {node}: {reason}" for node, reason in built.failed.items())
        raise BuildFailed(f"not made: {', '.join(map(str, lost))}. What failed:\n{causes}")
    return built


def build_needs(project: Project, instance: dg.DagsterInstance) -> Built:
    """What the submission needs and what has never been made; stale artifacts are used as they are.

    Nothing where a build that makes the submission is at work here: it has tried all that already.
    """
    if _WALKING.get():
        return Built()
    with _only_builder(project):
        return _Walk(project, OwnHands(instance), rebuild_stale=False).needs_of(SUBMISSION)


@contextmanager
def walking() -> Iterator[None]:
    """In it a build is at work that sees to everything that the submission needs."""
    token = _WALKING.set(True)
    try:
        yield
    finally:
        _WALKING.reset(token)


class Hands(Protocol):
    """Who carries out the steps of a build: this process, or workers elsewhere (`recpipe.defs.spreading`)."""

    @property
    def busy(self) -> bool:
        """Whether a step is under way whose end `finished` has not told."""

    def free_for(self, node: Node) -> bool:
        """Whether this step could start now."""

    def start(self, node: Node) -> None: ...

    def finished(self) -> list[tuple[Node, str | None]]:
        """Waits until a step has ended; each that has, with its error's text where it failed."""


class OwnHands:
    """One step after another, in this process."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._ended: list[tuple[Node, str | None]] = []

    @property
    def busy(self) -> bool:
        return bool(self._ended)

    def free_for(self, node: Node) -> bool:
        return not self._ended

    def start(self, node: Node) -> None:
        self._ended.append((node, run_step(node, self._instance)))

    def finished(self) -> list[tuple[Node, str | None]]:
        ended, self._ended = self._ended, []
        return ended


class _Walk:
    """Goes along the line: a step starts as soon as everything that it waits for has ended and a hand is free."""

    def __init__(self, project: Project, hands: Hands, rebuild_stale: bool) -> None:
        self.lineage = Lineage(project)
        self.hands = hands
        self.wanted = {Standing.MISSING, Standing.STALE} if rebuild_stale else {Standing.MISSING}
        self.built = Built()
        self._under_way: set[Node] = set()

    def to(self, goals: Sequence[Node], leave: Node | None = None) -> Built:
        """Make the goals and what they need; not `leave`, of which only the needs are wanted."""
        line = self._line(goals)
        while waiting := [node for node in line if node != leave and not self._settled(node)]:
            members_known = self._settled(ENSEMBLE)
            for node in waiting:
                if node not in self._under_way and all(self._settled(need) for need in line[node]):
                    self._visit(node, waiting)
            if self.hands.busy:
                for node, error in self.hands.finished():
                    self._end(node, error)
            if self._settled(ENSEMBLE) != members_known:
                line = self._line(goals)
        return self.built

    def needs_of(self, goal: Node) -> Built:
        """Everything upstream of the goal, not the goal itself."""
        self.to([goal], leave=goal)
        lost = {need: self.built.failed.get(need, "") for need in self.lineage.upstream(goal)
                if need in self.built.failed or need in self.built.left_out}  # fmt: skip
        if lost:
            raise BuildFailed(f"{goal} needs {', '.join(map(str, lost))}: {'; '.join(self.built.failed.values())}")
        return self.built

    def _line(self, goals: Sequence[Node]) -> dict[Node, set[Node]]:
        """What is to be visited, upstream first, and what each step waits for.

        The submission comes in once the ensemble has said which members it refits. A leaderboard waits for every
        report of its split that is to be made.
        """
        line: dict[Node, set[Node]] = {}
        for goal in goals:
            early = goal == SUBMISSION and not self._settled(ENSEMBLE)
            for node in self.lineage.line_to(ENSEMBLE if early else goal):
                line.setdefault(node, set(self.lineage.needs(node)))
        for node, needs in line.items():
            if node.asset == "leaderboard":
                needs |= {each for each in line if each.asset == "evaluation_report" and _split(each) == node.partition}
        return line

    def _settled(self, node: Node) -> bool:
        done = self.built
        return node in done.ran or node in done.current or node in done.failed or node in done.left_out

    def _visit(self, node: Node, waiting: Sequence[Node]) -> None:
        done = self.built
        broken = [need for need in self.lineage.upstream(node) if need in done.failed or need in done.left_out]
        if broken and (node.asset not in SOFT or not _has_a_member(node, broken, self.lineage)):
            done.left_out[node] = broken[0]
            tell(event="left out", node=node, because=broken[0])
            return
        state = self.lineage.state(node)
        if state.standing not in self.wanted:
            done.current.append(node)
            tell(event="current", node=node, stale=state.standing is Standing.STALE)
        elif self.hands.free_for(node):
            remaining = [each for each in waiting if not self._settled(each)]
            tell(event="start", node=node, state=state, remaining=remaining)
            self._under_way.add(node)
            self.hands.start(node)

    def _end(self, node: Node, error: str | None) -> None:
        self._under_way.discard(node)
        if error is None:
            self.built.ran.append(node)
            tell(event="done", node=node)
        else:
            self.built.failed[node] = error
            tell(event="failed", node=node, error=error)


def _split(node: Node) -> str:
    return (node.partition or "").rpartition("|")[2]


def _has_a_member(node: Node, broken: list[Node], lineage: Lineage) -> bool:
    models = [need for need in lineage.upstream(node) if need.asset in {"trained_model", "evaluation_report"}]
    others_broken = [need for need in broken if need not in models]
    return not others_broken and any(model not in broken for model in models)


def run_step(node: Node, instance: dg.DagsterInstance, tags: Mapping[str, str] | None = None) -> str | None:
    """Materialise one asset and partition in this process; the error's text where it failed."""
    assets = RAW if node.asset in RAW else (node.asset,)
    outcome = _whole_job().execute_in_process(
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        partition_key=node.partition,
        instance=instance,
        raise_on_error=False,
        tags={"recpipe/step": str(node).replace("|", "/").replace("[", ".").replace("]", ""), **(tags or {})},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    if outcome.success:
        return None
    return _reason(outcome)


def _reason(outcome: dg.ExecuteInProcessResult) -> str:
    for event in outcome.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            description = event.step_failure_data.user_failure_data
            if description is not None and description.description:
                return description.description
            if error is not None:
                return error.message.strip()
    return f"run {outcome.run_id} failed; `dagster dev` shows its log"


@cache
def _whole_job() -> dg.JobDefinition:
    from recpipe.defs.definitions import defs

    return defs.resolve_implicit_global_asset_job_def()


def free_slots_of_dead_runs(instance: dg.DagsterInstance) -> None:
    """Pool slots that a killed process held would be waited for for ever: give them back.

    The builder's lock is held here, so no live build is in the middle of a step; runs of `dagster dev` are left alone
    while their process lives.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for pool in storage.get_concurrency_keys():
        for slot in storage.get_concurrency_info(pool).claimed_slots:
            run = instance.get_run_by_id(slot.run_id)
            if run is None or run.is_finished or not _alive(instance, run):
                storage.free_concurrency_slots_for_run(slot.run_id)
                if run is not None and not run.is_finished:
                    instance.report_run_failed(run, "the process that ran it is gone")


def end_lost_runs(instance: dg.DagsterInstance, task: str) -> None:
    """Runs of a task whose worker is lost: failed, and their pool slots given back."""
    for run in instance.get_runs(dg.RunsFilter(tags={TASK: task})):
        if not run.is_finished:
            instance.report_run_failed(run, "its worker is lost")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process that last told something of the run's execution is still there.

    Only engine and step events come from the process that executes; a run is planned by whoever asked for it. The
    builder's lock is held: a task that an earlier build left on a worker is nobody's, and ends itself.
    """
    import psutil

    if TASK in run.tags:
        return False
    pids = [
        event.pid
        for event in (entry.dagster_event for entry in instance.all_logs(run.run_id))
        if event is not None and event.pid and (event.is_engine_event or event.is_step_event)
    ]
    return bool(pids) and psutil.pid_exists(int(pids[-1]))


def _only_builder(project: Project) -> "_Released":
    project.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(project.home / "build.lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(event="waiting", what=f"another build is at work on {project.home}")
        lock.acquire()
    return _Released(lock)


class _Released:
    """A lock that is held already; leaving the context gives it back."""

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._lock.release()
