"""What may pass is tried again, twice at most; what lasts fails at the first attempt, with the same message as ever."""

import io

import dagster as dg
import pytest
from rich.console import Console

from recpipe.defs.building import _Shown
from recpipe.lineage import Lineage, model_node
from recpipe.models.linear.ease import Ease
from recpipe.progress import listening
from recpipe.storage import Store
from recpipe.upkeep import attempts
from recpipe.yaml_files import SettingsError

EASE = model_node("ease", "holdout")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def at_once(planner, monkeypatch):
    """No waiting between attempts."""
    monkeypatch.setattr("recpipe.defs.retrying.PACE", dg.RetryPolicy(max_retries=2, delay=0))


def failing(original, *errors):
    """The method, failing with these errors first; `calls` counts."""
    left = list(errors)

    def method(self, *given):
        method.calls += 1
        if left:
            raise left.pop(0)
        return original(self, *given)

    method.calls = 0
    return method


def retries(instance):
    (run,) = instance.get_runs()
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    return sum(event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY for event in events)


def test_an_error_of_the_disk_is_tried_again_and_told(built, planner, instance, at_once, monkeypatch):
    fit = failing(Ease.fit, OSError("the disk was away"))
    monkeypatch.setattr(Ease, "fit", fit)
    before, news = built.store.need(EASE.asset, EASE.partition), []
    with listening(news.append):
        assert planner.run_step(EASE, instance) is None
    assert built.store.need(EASE.asset, EASE.partition).written_at >= before.written_at
    assert built.store.need(EASE.asset, EASE.partition).version != before.version
    assert (fit.calls, retries(instance)) == (2, 1)
    waiting = [one["what"] for one in news if one["event"] == "waiting"]
    assert waiting == ["trained_model is tried again in 0.0 s: the disk was away"]


def test_a_run_is_one_attempt_however_often_it_tries(built, planner, instance, at_once, monkeypatch):
    monkeypatch.setattr(Ease, "fit", failing(Ease.fit, *[OSError("the disk was away")] * 3))
    path = built.conf / "models" / "ease.yaml"
    path.write_text(path.read_text().replace("20.0", "40.0"))
    assert "the disk was away" in planner.run_step(EASE, instance)
    assert retries(instance) == 2
    assert attempts(Lineage(built), EASE) == 1


def test_news_with_brackets_are_shown_as_they_are(built):
    shown = io.StringIO()
    with _Shown(built, Console(file=shown, width=200)) as bar:
        bar.hear({"event": "waiting", "what": "trained_model[ease|holdout] is tried again: [/data/x] is away"})
    assert "trained_model[ease|holdout] is tried again: [/data/x] is away" in shown.getvalue()


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("conf/run.yaml: seed: no such thing"),
        ValueError("the histories hold no film"),
        FileNotFoundError("no such folder"),
        RuntimeError("shapes do not match"),
    ],
)
def test_what_lasts_is_tried_once(built, planner, instance, monkeypatch, error):
    fit = failing(Ease.fit, error)
    monkeypatch.setattr(Ease, "fit", fit)
    assert str(error) in planner.run_step(EASE, instance)
    assert (fit.calls, retries(instance)) == (1, 0)


def test_a_refusal_by_estimate_is_tried_once_and_says_what_to_set(built, planner, instance):
    (built.conf / "run.yaml").write_text("memory_limit: 0.001\n")
    assert "keep fewer films (k-core in conf/dataset.yaml)" in planner.run_step(EASE, instance)
    assert retries(instance) == 0


@pytest.mark.parametrize("error", [MemoryError, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_memory_that_runs_out_is_tried_three_times_and_the_reason_stays(
    built, planner, instance, at_once, monkeypatch, error
):
    fit = failing(Ease.fit, *(error() for _ in range(5)))
    monkeypatch.setattr(Ease, "fit", fit)
    reason = planner.run_step(EASE, instance)
    assert "MemoryError" in reason or "can't allocate memory" in reason
    assert (fit.calls, retries(instance)) == (3, 2)


def test_publishing_and_reading_are_tried_again_too(built, planner, instance, at_once, monkeypatch):
    publish, read = failing(Store.publish, OSError("busy")), failing(Store.read, ConnectionResetError("gone"))
    monkeypatch.setattr(Store, "publish", publish)
    monkeypatch.setattr(Store, "read", read)
    assert planner.run_step(EASE, instance) is None
    assert (publish.calls, retries(instance)) == (2, 2)


def test_steps_that_yield_their_results_are_tried_again(project, planner, instance, at_once, monkeypatch):
    import recpipe.steps.raw

    reading = recpipe.steps.raw.delivery
    errors = [OSError("the line was cut")]
    monkeypatch.setattr(recpipe.steps.raw, "delivery", lambda *given: _raise(errors) or reading(*given))
    assert planner.run_step(planner.Node("raw_ratings"), instance) is None
    assert retries(instance) == 1
    assert project.store.record("raw_items")


def test_no_asset_has_a_policy_that_would_start_it_again_after_ctrl_c(project, planner):
    from recpipe.defs.definitions import defs

    nodes = defs.resolve_implicit_global_asset_job_def().graph.nodes
    assert len(nodes) > 10
    assert [node.name for node in nodes if node.retry_policy or node.definition.retry_policy] == []


def test_the_wait_between_attempts_is_short_and_grows(planner):
    from recpipe.defs.retrying import PACE

    first, second = ([PACE.calculate_delay(attempt) for _ in range(50)] for attempt in (1, 2))
    assert 0 <= min(first) <= max(first) <= 1.0 <= min(second) <= max(second) <= 2.0


def _raise(errors):
    if errors:
        raise errors.pop()
