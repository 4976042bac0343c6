"""Who tells people that something is wrong: a freshness check on the submission, and an alarm to a webhook.

The webhook's address is a secret: it comes from RECPIPE_WEBHOOK and is neither stored nor logged.
"""

import os
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from recpipe.lineage import Lineage, Node, Standing
from recpipe.settings import Project
from recpipe.upkeep import SUBMISSION
from recpipe.yaml_files import SettingsError

WEBHOOK = "RECPIPE_WEBHOOK"
TIMEOUT = 10
"""Seconds for the webhook's answer."""


@dg.asset_check(asset="ensemble_submission", description="The submission is current, or was made a short while ago.")
def fresh() -> dg.AssetCheckResult:
    """Passes where nothing that goes into the submission has changed since, or where it was made a short while ago."""
    project = Project.here()
    limit = project.automation().freshest_within
    record = project.store.record(SUBMISSION.asset)
    if record is None:
        return dg.AssetCheckResult(passed=False, description="there is no submission yet")
    lineage = Lineage(project)
    behind = [str(node) for node in lineage.line_to(SUBMISSION) if not _is_current(lineage, node)]
    hours = (datetime.now(UTC) - datetime.fromisoformat(record.written_at)).total_seconds() / 3600
    return dg.AssetCheckResult(
        passed=not behind or hours <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"made {hours:.1f} hours ago" + (f"; not current: {', '.join(behind[:5])}" if behind else ""),
        metadata={"hours": hours, "limit": limit, "not current": behind},
    )


def _is_current(lineage: Lineage, node: Node) -> bool:
    try:
        return lineage.state(node).standing is Standing.CURRENT
    except SettingsError:  # what cannot be made from these settings is not current
        return False


freshness = dg.define_asset_job(
    "freshness", selection=dg.AssetSelection.checks(fresh), executor_def=dg.in_process_executor
)
freshness_schedule = dg.ScheduleDefinition(
    name="look_at_freshness",
    job=freshness,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: is the submission fresh?",
)


def alarm_sensor() -> dg.SensorDefinition:
    """Posts every failed run to the webhook; on where RECPIPE_WEBHOOK is set."""
    on = bool(os.environ.get(WEBHOOK))

    @dg.run_failure_sensor(
        name="alarm",
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description=f"Posts failed runs as JSON to the address in {WEBHOOK}.",
    )
    def alarm(context: dg.RunFailureSensorContext) -> None:
        address = os.environ.get(WEBHOOK)
        if not address:
            raise dg.Failure(
                f"{WEBHOOK} is not set: set it to the address that failures are posted to, or stop this sensor"
            )
        post(address, message(context))

    return alarm


def message(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """What the webhook gets: text for people, and the run for programs."""
    run = context.dagster_run
    steps = [
        {"step": event.step_key, "error": _cause(event)}
        for event in context.get_step_failure_events()
        if event.step_key
    ]
    errors = "; ".join(step["error"] for step in steps) or context.failure_event.message or "no reason was given"
    what = run.tags.get("dagster/partition")
    return {
        "text": f"recpipe: {run.job_name}{f' [{what}]' if what else ''} failed: {errors}",
        "job": run.job_name,
        "partition": what,
        "run": run.run_id,
        "steps": steps,
    }


def post(address: str, told: dict[str, Any]) -> None:
    """One POST of JSON. Raises with the status, never with the address, where it is not taken."""
    import requests

    try:
        answer = requests.post(address, json=told, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise dg.Failure(f"the webhook cannot be reached: {type(error).__name__}") from None
    if not answer.ok:
        raise dg.Failure(f"the webhook answered {answer.status_code}")


def _cause(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no reason was given"
