"""The nightly retrain: what is new is read, what that made stale is made again, in order, in one run of its own.

It walks the line as `recpipe build` does, each step its own ordinary run on the same instance. A model that fails stops
no other: the ensemble goes on with its last good version and says so, and the nightly run ends red, so that the alarm
is raised.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg

from recpipe.defs.planner import BuildFailed, build
from recpipe.lineage import Lineage, Node, model_node
from recpipe.progress import listening
from recpipe.settings import Project
from recpipe.upkeep import SUBMISSION, kept

FULL_REFIT = "recpipe/full_refit"
SUMMARIES = frozenset({"leaderboard", "comparison", "robustness_report"})
"""What is made of all reports that there are, and so after them."""
REPORTED = SUMMARIES | {"data_report", "evaluation_report"}


class Retrain(dg.Config):
    """full: make everything anew, current or not."""

    full: bool = False


@dg.op(out=dg.Out(dg.Nothing))
def retrain(context: dg.OpExecutionContext, config: Retrain) -> None:
    """Bring everything that stands up to date, and the submission; fails at the end where a step failed."""
    project = Project.here()

    def log(news: dict[str, object]) -> None:
        if news["event"] in {"done", "failed", "left out", "waiting"}:
            context.log.info(", ".join(f"{name} {value}" for name, value in news.items()))

    with listening(log):
        try:
            built = build(project, goals(project), context.instance, rebuild_all=config.full)
        except BuildFailed as failed:
            built = failed.built
    context.add_output_metadata({"made": [str(node) for node in built.ran], "current": len(built.current)})
    if built.failed:
        stands = SUBMISSION in built.ran or SUBMISSION in built.current
        submission = "stands, with the last good versions of what failed" if stands else "was not made"
        reasons = "\n".join(f"{node}: {reason}" for node, reason in built.failed.items())
        raise dg.Failure(
            f"steps failed: {len(built.failed)}; the submission {submission}\n{reasons}", allow_retries=False
        )


def goals(project: Project) -> list[Node]:
    """Every report that stands, of data and of studies too, those of the submission's models, and the submission."""
    split = project.ensemble_split()
    wanted = [model_node(model, split, "evaluation_report") for model in project.submission_models()]
    wanted += [node for node in kept(Lineage(project)) if node.asset in REPORTED]
    wanted += [Node("leaderboard", split), SUBMISSION]
    return list(dict.fromkeys(sorted(wanted, key=lambda node: (node == SUBMISSION, node.asset in SUMMARIES))))


@dg.job(executor_def=dg.in_process_executor, description="Make everything that stands current, and the submission.")
def nightly() -> None:
    retrain()


def nightly_schedule() -> dg.ScheduleDefinition:
    """Every night at the configured time; on from the first start of `dagster dev` unless switched off."""
    settings = Project.here().automation().nightly

    @dg.schedule(
        name="nightly_retrain",
        job=nightly,
        cron_schedule=settings.cron,
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.enabled else dg.DefaultScheduleStatus.STOPPED,
        description=f"Takes in what is new; full refit: {settings.full_refit}.",
    )
    def nightly_retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        night = context.scheduled_execution_time or datetime.now(ZoneInfo(settings.time_zone))
        full = settings.refits_on(night.astimezone(ZoneInfo(settings.time_zone)).date())
        return dg.RunRequest(
            run_config=dg.RunConfig(ops={"retrain": Retrain(full=full)}),
            tags={FULL_REFIT: str(full).lower(), "recpipe/because": "the night"},
        )

    return nightly_retrain
