"""Builds what a goal needs: walks the line upstream first and runs each step as its own ordinary run on one instance.

One run cannot hold assets of different partition definitions; so the planner runs the implicit asset job once a step,
in process. The runs stand in the UI like any other and can be executed again there.
"""

from collections.abc import Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from socket import gethostname

import dagster as dg

from recpipe.defs.io import HOST
from recpipe.defs.partitions import register
from recpipe.lineage import Lineage, Node, Standing, State
from recpipe.lock import only_builder
from recpipe.processes import lives, this_process
from recpipe.progress import tell
from recpipe.retention import remove, waste
from recpipe.settings import Project
from recpipe.space import advised
from recpipe.upkeep import OPTIONAL, SOFT

OUT_OF_DATE = frozenset({Standing.MISSING, Standing.STALE})

OF_DAGSTER = ("Dagster", "RetryRequested")
"""How the names of errors begin that Dagster wraps around what a step raised."""

RAW = ("raw_ratings", "raw_items")
"""Read together: one reading of the source yields both."""

STEP_TAG, PROCESS_TAG = "recpipe/step", "recpipe/process"

UNDER_WAY = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
             dg.DagsterRunStatus.CANCELING]  # fmt: skip
"""How runs stand that a process is at work on; what is queued waits for one."""

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


def build(project: Project, goals: Sequence[Node], instance: dg.DagsterInstance, *, rebuild_all: bool = False) -> Built:
    """Make the goals and what they need: what is missing and what is stale; what is current too where `rebuild_all`.

    A failed step never stops steps that do not need it. At the end goes what the policy of retention does not keep, but
    for what models and splits left whose YAML is gone. Raises `BuildFailed` where a goal could not be made.
    """
    with only_builder(project):
        end_dead_runs(instance)
        register(project, instance)
        token = _WALKING.set(True)
        try:
            built = _Walk(project, instance, set(Standing) if rebuild_all else OUT_OF_DATE).to(goals)
        finally:
            _WALKING.reset(token)
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
        return _Walk(project, instance, {Standing.MISSING}).needs_of(Node("ensemble_submission"))


class _Walk:
    def __init__(self, project: Project, instance: dg.DagsterInstance, wanted: Collection[Standing]) -> None:
        self.lineage = Lineage(project)
        self.instance = instance
        self.wanted = wanted
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
            raise BuildFailed(
                f"{goal} needs {', '.join(map(str, lost))}: {'; '.join(self.built.failed.values())}", self.built
            )
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
        if node.asset in RAW and any(other.asset in RAW for other in done.ran):
            return
        needs = [need for need in self.lineage.upstream(node) if need.asset not in OPTIONAL]
        broken = [need for need in needs if need in done.failed or need in done.left_out]
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
    return None if outcome.success else advised(_reason(outcome))


def _executed(node: Node, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    assets = RAW if node.asset in RAW else (node.asset,)
    register(Project.here(), instance)
    return _whole_job().execute_in_process(
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        partition_key=node.partition,
        instance=instance,
        raise_on_error=False,
        tags={STEP_TAG: str(node).replace("|", "/").replace("[", ".").replace("]", ""), PROCESS_TAG: this_process()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
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
        for slot in storage.get_concurrency_info(pool).claimed_slots:
            run = instance.get_run_by_id(slot.run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(slot.run_id)


def _alive(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process that executes a run is still there.

    The planner's runs tell it by a tag, which a repetition from the interface copies. Of other runs it is the process
    that last told something of the execution: only engine and step events come from it, since a run is planned by
    whoever asked for it. One that has told nothing yet is given time where it is not the planner's.
    """
    import psutil

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
    return not pids or psutil.pid_exists(int(pids[-1]))
