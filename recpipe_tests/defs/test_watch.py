"""The freshness check, and the alarm against a server on loopback."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def webhook(monkeypatch):
    """A server on loopback that keeps what is posted; `.status` is what it answers."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    received = []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.status, server.received = 204, received
    server.address = f"http://127.0.0.1:{server.server_port}/secret-path"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def aged(project, hours):
    record = project.store.need("ensemble_submission")
    at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")
    project.store.publish(replace(record, written_at=at))


def test_a_submission_is_fresh_while_nothing_changed_or_for_a_while_after(built, planner):
    from recpipe.defs.watch import fresh

    aged(built, hours=1000)
    assert fresh().passed  # old, but nothing has changed since
    settings = built.conf / "ensemble.yaml"
    settings.write_text(settings.read_text().replace("candidates: 20", "candidates: 30"))
    told = fresh()
    assert not told.passed
    assert "not current: ensemble" in told.description
    aged(built, hours=25)
    assert fresh().passed  # 26 hours are granted


def test_no_submission_is_not_fresh(project, planner):
    from recpipe.defs.watch import fresh

    assert not fresh().passed


def test_a_failed_run_is_posted_with_its_reason(project, planner, instance, webhook, monkeypatch):
    from recpipe.defs.definitions import defs
    from recpipe.defs.watch import alarm_sensor

    monkeypatch.setenv("RECPIPE_WEBHOOK", webhook.address)
    sensor = alarm_sensor()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    (project.conf.parent / "delivery" / "train_ratings.csv").unlink()
    failed = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[dg.AssetKey("raw_ratings"), dg.AssetKey("raw_items")], instance=instance, raise_on_error=False
    )
    run = failed.dagster_run
    event = next(event for event in failed.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="alarm", dagster_event=event, dagster_instance=instance, dagster_run=run
    ).for_run_failure()
    sensor(context)
    (told,) = webhook.received
    assert told["run"] == run.run_id
    assert told["steps"][0]["step"] == "raw"
    assert "delivery" in told["text"]


def test_a_webhook_that_refuses_is_an_error_that_does_not_tell_the_address(planner, webhook):
    from recpipe.defs.watch import post

    webhook.status = 500
    with pytest.raises(dg.Failure, match="answered 500") as refused:
        post(webhook.address, {})
    assert "secret-path" not in str(refused.value)
    with pytest.raises(dg.Failure, match="cannot be reached") as unreachable:
        post("http://127.0.0.1:9/secret-path", {})
    assert "secret-path" not in str(unreachable.value)


def test_without_an_address_the_alarm_is_off(project, planner, monkeypatch):
    from recpipe.defs.watch import alarm_sensor

    monkeypatch.delenv("RECPIPE_WEBHOOK", raising=False)
    assert alarm_sensor().default_status == dg.DefaultSensorStatus.STOPPED
