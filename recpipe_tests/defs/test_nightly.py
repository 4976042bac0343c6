"""The nightly retrain: its schedule, what it makes, and a model that fails."""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from recpipe.lineage import Node


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def asked_for(night):
    """What the schedule asks for on a night."""
    from recpipe.defs.nightly import nightly_schedule

    with dg.build_schedule_context(scheduled_execution_time=night) as context:
        return nightly_schedule()(context)


def test_the_schedule_runs_at_the_configured_time_and_is_on(project, planner):
    from recpipe.defs.nightly import nightly_schedule

    settings = {"nightly": {"at": "04:30", "time_zone": "Europe/Berlin"}}
    (project.conf / "automation.yaml").write_text(yaml.safe_dump(settings))
    schedule = nightly_schedule()
    assert schedule.cron_schedule == "30 4 * * *"
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    (project.conf / "automation.yaml").write_text("nightly: {enabled: false}\n")
    assert nightly_schedule().default_status == dg.DefaultScheduleStatus.STOPPED


@pytest.mark.parametrize(
    ("rhythm", "night", "full"),
    [
        ("never", datetime(2026, 11, 1, 3), False),
        ("weekly", datetime(2026, 11, 22, 3), True),  # a Sunday
        ("weekly", datetime(2026, 11, 23, 3), False),
        ("monthly", datetime(2026, 11, 1, 3), True),
        ("monthly", datetime(2026, 11, 2, 3), False),
    ],
)
def test_a_full_refit_comes_in_its_rhythm(project, planner, rhythm, night, full):
    (project.conf / "automation.yaml").write_text(f"nightly: {{full_refit: {rhythm}}}\n")
    asked = asked_for(night.replace(tzinfo=ZoneInfo("UTC")))
    assert asked.run_config["ops"]["retrain"]["config"]["full"] is full
    assert asked.tags["recpipe/full_refit"] == str(full).lower()


def test_the_night_takes_in_what_is_new_and_nothing_else(built, planner, instance):
    from recpipe.defs.nightly import nightly

    assert nightly.execute_in_process(instance=instance).success
    assert len(instance.get_runs()) == 1  # nothing was stale: no step ran
    settings = built.conf / "models" / "popularity.yaml"
    settings.write_text("recipe: popularity\nwindow_days: 30\n")
    assert nightly.execute_in_process(instance=instance).success
    steps = {run.tags["recpipe/step"] for run in instance.get_runs() if "recpipe/step" in run.tags}
    assert steps == {
        "trained_model.popularity/holdout",
        "evaluation_report.popularity/holdout",
        "leaderboard.holdout",
    }


def test_a_failing_model_stops_no_other_the_submission_goes_on_and_the_night_ends_red(
    built, planner, instance, monkeypatch
):
    from recpipe.defs.nightly import nightly
    from recpipe.models.factors.mf import Mf

    def broken(self, train, run):
        raise ValueError("broken, said the test")

    monkeypatch.setattr(Mf, "fit", broken)
    last_good = built.store.need("trained_model", "mf|holdout")
    for model, change in (("mf", {"epochs": 2}), ("ease", {"regularization": 40.0})):
        path = built.conf / "models" / f"{model}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    before = built.store.need("ensemble_submission")
    night = nightly.execute_in_process(instance=instance, raise_on_error=False)
    assert not night.success
    told = night.failure_data_for_node("retrain").user_failure_data.description
    assert "broken, said the test" in told
    assert "the submission stands, with the last good versions of what failed" in told
    assert built.store.need("trained_model", "mf|holdout") == last_good
    assert built.store.need("trained_model", "ease|holdout").made_from["settings"] is not None
    assert built.store.need("ensemble_submission").made_from != before.made_from
    notes = built.store.need("ensemble").notes
    assert any("trained_model[mf|holdout] is stale" in note for note in notes)


def test_where_every_member_fails_the_last_good_versions_are_used(built, planner, instance, monkeypatch):
    from recpipe.defs.nightly import nightly
    from recpipe.models.factors.mf import Mf
    from recpipe.models.linear.ease import Ease

    def broken(self, train, run):
        raise ValueError("broken, said the test")

    for recipe, model, change in ((Mf, "mf", {"epochs": 2}), (Ease, "ease", {"regularization": 40.0})):
        monkeypatch.setattr(recipe, "fit", broken)
        path = built.conf / "models" / f"{model}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    settings = built.conf / "ensemble.yaml"
    settings.write_text(settings.read_text().replace("candidates: 20", "candidates: 25"))
    night = nightly.execute_in_process(instance=instance, raise_on_error=False)
    assert "the submission stands" in night.failure_data_for_node("retrain").user_failure_data.description
    notes = built.store.need("ensemble").notes
    assert sum("is stale" in note for note in notes) == 2
    assert any("|full] is stale" in note for note in built.store.need("ensemble_submission").notes)


def test_a_full_refit_makes_everything_anew_with_the_same_bytes(built, planner, instance):
    from recpipe.defs.nightly import nightly

    before = {record.name: record for record in built.store.every_record()}
    config = {"ops": {"retrain": {"config": {"full": True}}}}
    assert nightly.execute_in_process(instance=instance, run_config=config).success
    after = {record.name: record for record in built.store.every_record()}
    assert {name: record.content for name, record in after.items()} == {
        name: record.content for name, record in before.items()
    }
    assert [name for name in after if after[name].version == before[name].version] == []


def test_studies_that_stand_are_made_at_night_after_all_reports_and_before_the_submission(built, planner, instance):
    from recpipe.defs.nightly import goals

    planner.build(built, [Node("comparison", "holdout")], instance)
    order = [node.asset for node in goals(built)]
    reports = max(place for place, asset in enumerate(order) if asset == "evaluation_report")
    assert reports < order.index("comparison") < order.index("ensemble_submission") == len(order) - 1
