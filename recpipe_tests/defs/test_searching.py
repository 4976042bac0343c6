"""The asset of searches and the command: an ordinary run with its own figures, begun by nobody but who asks."""

import dagster as dg
import pytest
from rich.console import Console

from recpipe.lineage import Node
from recpipe.yaml_files import SettingsError
from recpipe_tests.test_cli import run


@pytest.fixture
def console():
    return Console(record=True, width=160)


def test_the_asset_takes_its_length_from_the_run_and_publishes_what_was_found(built, planner):
    with dg.DagsterInstance.ephemeral() as instance:
        assert planner.run_step(Node("model_search", "ease|holdout"), instance, config={"trials": 3}) is None
        event = instance.get_latest_materialization_event(dg.AssetKey("model_search"))
    metadata = event.asset_materialization.metadata
    found = built.store.read("model_search", "ease|holdout")
    assert len(found.trials) == metadata["trials"].value == 3
    assert metadata["gain"].value == found.gain
    assert "data:image/png;base64," in metadata["search"].value
    assert built.store.need("model_search", "ease|holdout").notes == [found.verdict]


def test_a_change_does_not_begin_a_search(built, planner):
    from recpipe.defs.definitions import defs

    conditions = {
        spec.key.to_user_string(): spec.automation_condition
        for spec in defs.resolve_all_asset_specs()
        if spec.key.to_user_string() in {"model_search", "split_trust_report", "trained_model"}
    }
    assert conditions["model_search"] is None
    assert conditions["split_trust_report"] is None  # it trains by itself, too
    assert conditions["trained_model"] is not None


def test_a_split_that_cannot_be_made_is_one_sentence_and_no_trace(built):
    (built.conf / "splits" / "short.yaml").write_text("strategy: by_date\ndays: 100000\n")
    done = run("search", "ease", "--split", "short", "--trials", "2")
    assert done.returncode == 1
    assert "search of ease on short: not made: split[short]" in done.stderr and "lower `days`" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_shows_trials_and_verdict_and_goes_on_with_show_beside_it(built, planner, console, monkeypatch):
    from recpipe.defs.searching import search_model, show_so_far
    from recpipe.instance import dagster_home

    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(built)))
    asked = dict.fromkeys(("trials", "minutes", "jobs", "seeds", "trial_seconds", "metric"))
    search_model(built, "ease", "", asked | {"trials": 3}, console, apply=False, force=False)
    told = console.export_text()
    assert "0 trials of 3 are there" in told
    assert told.count("regularization ") >= 3
    found = built.store.read("model_search", "ease|holdout")
    assert found.verdict in told
    show_so_far(built, "ease", "holdout", asked | {"trials": 3}, console)
    assert found.verdict in console.export_text()


def test_a_split_and_a_model_that_are_none_and_the_split_without_validation_are_refused_at_once(built, console):
    from recpipe.defs.searching import show_so_far

    for model, split, told in (
        ("eese", "", "did you mean 'ease'"),
        ("ease", "holdaut", "did you mean 'holdout'"),
        ("ease", "full", "hides nothing to search by"),
    ):
        with pytest.raises(SettingsError, match=told):
            show_so_far(built, model, split, {}, console)


def test_what_is_better_is_written_with_apply_and_shown_as_a_difference(built):
    path = built.conf / "models" / "ease.yaml"
    path.write_text("recipe: ease\n# Old.\nregularization: 4000.0\nhalf_life: 0.5\n")
    done = run("search", "ease", "--trials", "6", "--apply")
    assert done.returncode == 0, done.stderr
    assert "-# Old." in done.stdout
    assert "+# Searched by validation ndcg@10" in done.stdout
    assert "Searched by" in path.read_text()
