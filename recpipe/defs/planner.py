"""Builds what a goal needs: walks the line upstream first and runs each step as its own ordinary run on one instance.

One run cannot hold assets of different partition definitions; so the planner runs the implicit asset job once a step,
in this process or in that of a worker elsewhere (`Hands`). The runs stand in the UI like any other and can be executed
again there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from socket import gethostname
from time import sleep
from typing import Any, Protocol

import dagster as dg

from recpipe.defs.io import HOST
from recpipe.defs.partitions import register
from recpipe.lineage import Lineage, Node, Standing
from recpipe.lock import only_builder
from recpipe.processes import lives, this_process
from recpipe.progress import tell
from recpipe.retention import remove, waste
from recpipe.settings import Project
from recpipe.space import advised
from recpipe.upkeep import OF_MODELS, OPTIONAL, SOFT, SUBMISSION
from recpipe.yaml_files import SettingsError

PAUSE = 1.0
"""Seconds between two looks for somebody who is free."""

OUT_OF_DATE = frozenset({Standing.MISSING, Standing.STALE})

OF_DAGSTER = ("Dagster", "RetryRequested")
"""How the names of errors begin that Dagster wraps around what a step raised."""

RAW = ("raw_ratings", "raw_items")
"""Read together: one reading of the source yields both."""

STEP_TAG, PROCESS_TAG = "recpipe/step", "recpipe/process"

UNDER_WAY = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
             dg.DagsterRunStatus.CANCELING]  # fmt: skip
"""How runs stand that a process is at work on; what is queued waits for one."""

ENSEMBLE = Node("ensemble")

TASK = "recpipe/task"
"""The tag of a run that a worker elsewhere carries out: its task at the scheduler."""

_WALKING: ContextVar[bool] = ContextVar("walking", default=False)
"""Whether a build further up in this process already makes what the submission needs."""


@dataclass
class Built:
    """What a build did: steps run with their seconds, steps that failed, steps left out because of these."""

    ran: list[Node] = field(default_factory=list)
    current: list[Node] = field(default_factory=list)
    failed: dict[Node, str] = field(default_factory=dict)
    left_out: dict[Node, Node] = field(default_factory=dict)


class BuildFailed(RuntimeError):
    """A step that the goal cannot do without has failed. built: what was done all the same."""

    def __init__(self, message: str, built: Built) -> None:
        super().__init__(message)
        self.built = built


def build(
    project: Project,
    goals: Sequence[Node],
    instance: dg.DagsterInstance,
    *,
    rebuild_all: bool = False,
    hands: "Hands | None" = None,
) -> Built:
    """Make the goals and what they need: what is missing and what is stale; what is current too where `rebuild_all`.

    hands: who carries the steps out; this process where not given. A failed step never stops steps that do not need it.
    At the end goes what the policy of retention does not keep, but for what models and splits left whose YAML is gone.
    Raises `BuildFailed` where a goal could not be made.
    """
    wanted = set(Standing) if rebuild_all else OUT_OF_DATE
    with only_builder(project), walking():
        end_dead_runs(instance)
        register(project, instance)
        built = _Walk(project, hands or OwnHands(instance), wanted).to(goals)
        remove(project, waste(project, datetime.now(UTC), ghosts=False))
    lost = [goal for goal in goals if goal in built.failed or goal in built.left_out]
    if lost:
        causes = "\n".join(f"  {node}: {reason}" for node, reason in built.failed.items())
        raise BuildFailed(f"not made: {', '.join(map(str, lost))}. What failed:\n{causes}", built)
    return built


def build_needs(project: Project, instance: dg.DagsterInstance) -> Built:
    """What the submission needs and what has never been made; stale artifacts are used as they are.

    Nothing where a build that makes the submission is at work here: it has tried all that already.
    """
    if _WALKING.get():
        return Built()
    with only_builder(project):
        end_dead_runs(instance)
        register(project, instance)
        return _Walk(project, OwnHands(instance), {Standing.MISSING}).needs_of(SUBMISSION)


@contextmanager
def walking() -> Iterator[None]:
    """In it a build is at work that sees to everything that the submission needs."""
    token = _WALKING.set(True)
    try:
        yield
    finally:
        _WALKING.reset(token)


class HandsLost(RuntimeError):
    """Whoever carried out the steps is gone, and with them the steps under way."""


class Hands(Protocol):
    """Who carries out the steps of a build: this process, or workers elsewhere (`recpipe.defs.spreading`)."""

    @property
    def busy(self) -> bool:
        """Whether a step is under way whose end `finished` has not told."""

    def free_for(self, node: Node) -> bool:
        """Whether this step could start now."""

    def start(self, node: Node) -> None: ...

    def finished(self) -> list[tuple[Node, str | None]]:
        """Waits until a step has ended; each that has, with its error's text where it failed. Raises `HandsLost`."""


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

    def __init__(self, project: Project, hands: Hands, wanted: Collection[Standing]) -> None:
        self.lineage = Lineage(project)
        self.hands = hands
        self.wanted = wanted
        self.built = Built()
        self._under_way: set[Node] = set()
        self._told_of_hands = False

    def to(self, goals: Sequence[Node], leave: Node | None = None) -> Built:
        """Make the goals and what they need; not `leave`, of which only the needs are wanted."""
        line = self._line(goals)
        while waiting := [node for node in line if node != leave and not self._settled(node)]:
            members_known = self._settled(ENSEMBLE)
            for node in waiting:
                if node not in self._under_way and all(self._settled(need) for need in line[node]):
                    self._visited(node, waiting)
            if self.hands.busy:
                for node, error in self._finished():
                    self._end(node, error)
            elif not any(map(self._settled, waiting)):  # nobody can take what is to be made
                self._wait_for_hands()
            if self._settled(ENSEMBLE) != members_known:
                line = self._line(goals)
        return self.built

    def _finished(self) -> list[tuple[Node, str | None]]:
        try:
            return self.hands.finished()
        except HandsLost as lost:
            raise BuildFailed(str(lost), self.built) from lost

    def needs_of(self, goal: Node) -> Built:
        """Everything upstream of the goal, not the goal itself."""
        self.to([goal], leave=goal)
        lost = {need: self.built.failed.get(need, "") for need in self.lineage.upstream(goal)
                if need in self.built.failed or need in self.built.left_out}  # fmt: skip
        if lost:
            raise BuildFailed(
                f"{goal} needs {', '.join(map(str, lost))}: {'; '.join(self.built.failed.values())}", self.built
            )
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
                line.setdefault(node, set(self.lineage.needs_if_readable(node)))
        for node, needs in line.items():
            if node.asset == "leaderboard":
                needs |= {each for each in line if each.asset == "evaluation_report" and _split(each) == node.partition}
        return line

    def _settled(self, node: Node) -> bool:
        done = self.built
        return node in done.ran or node in done.current or node in done.failed or node in done.left_out

    def _visited(self, node: Node, waiting: Sequence[Node]) -> None:
        try:
            self._visit(node, waiting)
        except SettingsError as error:  # of one model, say: what does not need it goes on
            self._end(node, str(error))

    def _wait_for_hands(self) -> None:
        if not self._told_of_hands:
            tell(event="waiting", what="nobody is free to carry out a step: waiting for a worker")
        self._told_of_hands = True
        sleep(PAUSE)

    def _visit(self, node: Node, waiting: Sequence[Node]) -> None:
        done = self.built
        needs = [need for need in self.lineage.upstream(node) if need.asset not in OPTIONAL]
        broken = [need for need in needs if need in done.failed or need in done.left_out]
        if broken and (node.asset not in SOFT or not _has_a_member(node, broken, self.lineage)):
            done.left_out[node] = broken[0]
            tell(event="left out", node=node, because=broken[0])
            return
        if node.asset in RAW and any(other.asset in RAW for other in self._under_way):
            return  # one reading makes both
        state = self.lineage.state(node)
        read = node.asset in RAW and any(other.asset in RAW for other in done.ran)
        if read or state.standing not in self.wanted:
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
    """Whether a model is left that did not fail, or whose last good version stands; nothing else may have failed."""
    models = [need for need in lineage.upstream(node) if need.asset in OF_MODELS]
    others_broken = [need for need in broken if need not in models]
    record = lineage.project.store.record
    return not others_broken and any(model not in broken or record(model.asset, model.partition) for model in models)


def run_step(
    node: Node,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> str | None:
    """Materialise one asset and partition in this process; the error's text where it failed. config: the asset's own.

    A run that failed although none of its steps did could not be recorded (a database that was restarted): once more.
    """
    outcome = _executed(node, instance, tags or {}, config)
    if not outcome.success and not any(event.is_step_failure for event in outcome.all_events):
        instance.event_log_storage.free_concurrency_slots_for_run(outcome.run_id)
        outcome = _executed(node, instance, tags or {}, config)
    return None if outcome.success else advised(_reason(outcome))


def _executed(
    node: Node, instance: dg.DagsterInstance, tags: Mapping[str, str], config: Mapping[str, Any] | None
) -> dg.ExecuteInProcessResult:
    assets = RAW if node.asset in RAW else (node.asset,)
    register(Project.here(), instance)
    return _whole_job().execute_in_process(
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        partition_key=node.partition,
        instance=instance,
        raise_on_error=False,
        tags={
            STEP_TAG: str(node).replace("|", "/").replace("[", ".").replace("]", ""),
            PROCESS_TAG: this_process(),
            HOST: gethostname(),  # said at once: to add it to a run that stands takes the database once more
            **tags,
        },
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "ops": {node.asset: {"config": dict(config)}} if config else {},
        },
    )


def _reason(outcome: dg.ExecuteInProcessResult) -> str:
    for event in outcome.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None and str(error.cls_name).startswith(OF_DAGSTER):
                error = error.cause  # below Dagster's own stands what the step raised, which names file and line
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


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Runs of killed processes become failed ones, and pool slots that they held are given back.

    Such a slot would be waited for for ever. The builder's lock is held here, so no live build is in the middle of a
    step; runs of `dagster dev` are left alone while their process lives.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)):
        if not _alive(instance, record.dagster_run):
            instance.report_run_failed(record.dagster_run, "the process that ran it is gone")
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for pool in storage.get_concurrency_keys():
        found = storage.get_concurrency_info(pool)
        # a run killed between its turn and its slot holds neither, yet everybody waits for it
        for claim in {*(slot.run_id for slot in found.claimed_slots), *(step.run_id for step in found.pending_steps)}:
            run = instance.get_run_by_id(claim)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(claim)


def end_lost_runs(instance: dg.DagsterInstance, task: str) -> None:
    """Runs of a task whose worker is lost: failed, and their pool slots given back."""
    for run in instance.get_runs(dg.RunsFilter(tags={TASK: task})):
        if not run.is_finished:
            instance.report_run_failed(run, "its worker is lost")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process that executes a run is still there.

    The planner's runs tell it by a tag, which a repetition from the interface copies. Of other runs it is the process
    that last told something of the execution: only engine and step events come from it, since a run is planned by
    whoever asked for it. One that has told nothing yet is given time where it is not the planner's.
    """
    if TASK in run.tags and not run.parent_run_id:
        return False  # the builder's lock is held: a task that an earlier build left on a worker is nobody's
    told = None if run.parent_run_id else run.tags.get(PROCESS_TAG)
    if told is not None:
        return lives(told) is not False
    if run.tags.get(HOST, gethostname()) != gethostname():
        return True  # on another machine: nothing can be told from here, and its next build ends it
    pids = [
        event.pid
        for event in (entry.dagster_event for entry in instance.all_logs(run.run_id))
        if event is not None and event.pid and (event.is_engine_event or event.is_step_event)
    ]
    return not pids or _there(int(pids[-1]))


def _there(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
