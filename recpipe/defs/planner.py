"""Builds what a goal needs: walks the line upstream first and runs each step as its own ordinary run on one instance.

One run cannot hold assets of different partition definitions; so the planner runs the implicit asset job once a step,
in process. The runs stand in the UI like any other and can be executed again there.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from socket import gethostname

import dagster as dg
from filelock import BaseFileLock, FileLock, Timeout

from recpipe.defs.io import HOST
from recpipe.lineage import Lineage, Node, Standing, State
from recpipe.progress import tell
from recpipe.settings import Project

SOFT = frozenset({"leaderboard", "ensemble", "ensemble_submission"})
"""Steps that go on without a model that failed, and say so."""

RAW = ("raw_ratings", "raw_items")
"""Read together: one reading of the source yields both."""


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
    project: Project, goals: Sequence[Node], instance: dg.DagsterInstance, *, rebuild_stale: bool = True
) -> Built:
    """Make the goals and what they need: what is missing, and what is stale where `rebuild_stale`.

    A failed step never stops steps that do not need it. Raises `BuildFailed` where a goal could not be made.
    """
    with _only_builder(project):
        free_slots_of_dead_runs(instance)
        token = _WALKING.set(True)
        try:
            built = _Walk(project, instance, rebuild_stale).to(goals)
        finally:
            _WALKING.reset(token)
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
        return _Walk(project, instance, rebuild_stale=False).needs_of(Node("ensemble_submission"))


class _Walk:
    def __init__(self, project: Project, instance: dg.DagsterInstance, rebuild_stale: bool) -> None:
        self.lineage = Lineage(project)
        self.instance = instance
        self.wanted = {Standing.MISSING, Standing.STALE} if rebuild_stale else {Standing.MISSING}
        self.built = Built()

    def to(self, goals: Sequence[Node]) -> Built:
        for goal in goals:
            line = self._line(goal)
            for position, node in enumerate(line):
                self._visit(node, remaining=line[position:])
        return self.built

    def needs_of(self, goal: Node) -> Built:
        """Everything upstream of the goal, not the goal itself."""
        line = self._line(goal)[:-1]
        for position, node in enumerate(line):
            self._visit(node, remaining=line[position:])
        lost = {need: self.built.failed.get(need, "") for need in self.lineage.upstream(goal)
                if need in self.built.failed or need in self.built.left_out}  # fmt: skip
        if lost:
            raise BuildFailed(f"{goal} needs {', '.join(map(str, lost))}: {'; '.join(self.built.failed.values())}")
        return self.built

    def _line(self, goal: Node) -> list[Node]:
        if goal.asset != "ensemble_submission":
            return self.lineage.line_to(goal)
        before = self._line(Node("ensemble"))  # the ensemble says which members the submission refits
        for position, node in enumerate(before):
            self._visit(node, remaining=before[position:])
        return self.lineage.line_to(goal)

    def _visit(self, node: Node, remaining: list[Node]) -> None:
        done = self.built
        if node in done.failed or node in done.left_out or node in done.ran:
            return
        broken = [need for need in self.lineage.upstream(node) if need in done.failed or need in done.left_out]
        if broken and (node.asset not in SOFT or not _has_a_member(node, broken, self.lineage)):
            done.left_out[node] = broken[0]
            tell(event="left out", node=node, because=broken[0])
            return
        state = self.lineage.state(node)
        if state.standing not in self.wanted:
            if node not in done.current:
                done.current.append(node)
                tell(event="current", node=node, stale=state.standing is Standing.STALE)
            return
        self._run(node, state, remaining)

    def _run(self, node: Node, state: State, remaining: list[Node]) -> None:
        tell(event="start", node=node, state=state, remaining=remaining)
        error = run_step(node, self.instance)
        if error is None:
            self.built.ran.append(node)
            tell(event="done", node=node)
        else:
            self.built.failed[node] = error
            tell(event="failed", node=node, error=error)


def _has_a_member(node: Node, broken: list[Node], lineage: Lineage) -> bool:
    models = [need for need in lineage.upstream(node) if need.asset in {"trained_model", "evaluation_report"}]
    others_broken = [need for need in broken if need not in models]
    return not others_broken and any(model not in broken for model in models)


def run_step(node: Node, instance: dg.DagsterInstance) -> str | None:
    """Materialise one asset and partition in this process; the error's text where it failed.

    A run that failed although none of its steps did could not be recorded (a database that was restarted): once more.
    """
    outcome = _executed(node, instance)
    if not outcome.success and not any(event.is_step_failure for event in outcome.all_events):
        instance.event_log_storage.free_concurrency_slots_for_run(outcome.run_id)
        outcome = _executed(node, instance)
    return None if outcome.success else _reason(outcome)


def _executed(node: Node, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    assets = RAW if node.asset in RAW else (node.asset,)
    return _whole_job().execute_in_process(
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        partition_key=node.partition,
        instance=instance,
        raise_on_error=False,
        tags={"recpipe/step": str(node).replace("|", "/").replace("[", ".").replace("]", ""), HOST: gethostname()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


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
    while their process lives, and runs of another machine altogether: its next build gives their slots back.
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


def _alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process that last told something of the run's execution is still there.

    Only engine and step events come from the process that executes; a run is planned by whoever asked for it. Of a run
    on another machine nothing can be told from here.
    """
    import psutil

    if run.tags.get(HOST, gethostname()) != gethostname():
        return True
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
