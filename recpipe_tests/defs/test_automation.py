"""What a change reruns by itself: ticks of Dagster's own evaluation, each followed by the runs that it asks for."""

import shutil
from dataclasses import replace

import dagster as dg
import pytest
import yaml

from recpipe import upkeep
from recpipe.lineage import Lineage, Node
from recpipe.upkeep import ATTEMPTS, begin_attempt, due

REPORT = "evaluation_report"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def settle(planner, instance):
    """Ticks until nothing is asked for; the steps that ran, in order, every one once."""
    from recpipe.defs.definitions import defs
    from recpipe.defs.partitions import register

    def ticks(project, limit=15):
        ran, cursor = [], None
        for _ in range(limit):
            register(project, instance)
            told = dg.evaluate_automation_conditions(defs, instance, dg.AssetSelection.all(), cursor=cursor)
            cursor = told.cursor
            asked = sorted(
                {Node(result.key.to_user_string(), key)
                 for result in told.results
                 for key in (result.true_subset.expensively_compute_partition_keys()
                             if result.true_subset.is_partitioned else [None] * result.true_subset.size)}
            )  # fmt: skip
            if not asked:
                return [str(node) for node in ran]
            for node in asked:
                if not (node.asset == "raw_items" and Node("raw_ratings") in asked):  # one reading yields both
                    assert planner.run_step(node, instance) is None
            ran += asked
        raise AssertionError(f"no end after {limit} ticks: {ran}")

    return ticks


def change(path, **settings):
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | settings))


def test_what_was_never_built_is_not_begun(project, settle):
    assert settle(project) == []


def test_nothing_is_due_where_nothing_changed(built, settle):
    mf = built.conf / "models" / "mf.yaml"
    mf.write_text("# a comment\n" + mf.read_text())
    (built.conf.parent / "delivery" / "train_ratings.csv").touch()
    assert settle(built) == []


def test_a_models_yaml_reruns_its_partitions_then_what_they_feed_each_once(built, settle):
    change(built.conf / "models" / "mf.yaml", epochs=2)
    ran = settle(built)
    first = ["trained_model[mf|holdout]", "evaluation_report[mf|holdout]", "leaderboard[holdout]"]
    assert next(name for name in ran if name in first) == first[0]
    assert set(first) < set(ran)
    assert ran.index("trained_model[mf|holdout]") < ran.index("ensemble")
    assert set(ran) <= {*first, "ensemble", "trained_model[mf|full]", "ensemble_submission"}
    assert len(ran) == len(set(ran))


def test_a_model_outside_the_ensemble_does_not_touch_it(built, settle):
    change(built.conf / "models" / "popularity.yaml", window_days=30)
    ran = settle(built)
    assert ran == ["trained_model[popularity|holdout]", "evaluation_report[popularity|holdout]", "leaderboard[holdout]"]


def test_changed_ratings_rerun_everything_each_once(built, settle):
    path = built.conf.parent / "delivery" / "train_ratings.csv"
    path.write_text(path.read_text() + "7,159,1100000000\n")
    stood = {record.name for record in built.store.every_record()}
    ran = settle(built)
    assert len(ran) == len(set(ran))
    untouched = {"rejected_ratings"} | {name for name in stood if name not in ran}
    assert "trained_model[ease|holdout]" in ran
    assert "ensemble_submission" in ran
    # side tables are the same bytes: what is made of them alone has nothing to do
    assert {name for name in untouched if name.startswith(("trained_model", REPORT, "split", "ensemble"))} == set()


def test_a_delivery_of_the_same_rows_is_read_and_nothing_more(built, settle):
    path = built.conf.parent / "delivery" / "train_ratings.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert settle(built) == ["raw_items", "raw_ratings"]  # one reading yields both


def test_a_split_reruns_its_column_alone(built, settle):
    change(built.conf / "splits" / "holdout.yaml", last=3)
    ran = settle(built)
    assert ran[0] == "split[holdout]"
    assert {name for name in ran if name.endswith("|full]")} <= {"trained_model[mf|full]"}  # its epochs may differ
    assert {f"trained_model[{model}|holdout]" for model in ("ease", "mf", "popularity")} < set(ran)
    assert "split[full]" not in ran


def test_ensemble_settings_rerun_the_ensemble_and_the_submission_alone(built, settle):
    change(built.conf / "ensemble.yaml", candidates=25)
    assert set(settle(built)) <= {
        "ensemble",
        "ensemble_submission",
        "trained_model[ease|full]",
        "trained_model[mf|full]",
    }


def test_a_new_yaml_is_a_partition_and_is_trained_once_it_is_a_member(built, settle, instance):
    (built.conf / "models" / "narrow.yaml").write_text("recipe: ease\nregularization: 500.0\n")
    assert settle(built) == []
    assert "narrow" in instance.get_dynamic_partitions("models")
    change(built.conf / "ensemble.yaml", members=["ease", "mf", "narrow"])
    assert settle(built)[0] == "trained_model[narrow|holdout]"


def test_a_removed_yaml_leaves_no_ghost(built, settle, instance):
    settle(built)
    assert "mf" in instance.get_dynamic_partitions("models")
    (built.conf / "models" / "mf.yaml").unlink()
    ran = settle(built)
    assert "mf" not in instance.get_dynamic_partitions("models")
    assert {"leaderboard[holdout]", "ensemble"} <= set(ran)
    assert "mf" not in built.store.read("leaderboard", "holdout").table["model"].to_pylist()
    assert list(built.store.need("ensemble").figures["used"]) == ["ease"]
    assert any("mf is in ensemble.yaml, but its YAML is gone" in note for note in built.store.need("ensemble").notes)


def test_what_keeps_failing_is_given_up_and_the_rest_goes_on(built, settle):
    change(built.conf / "models" / "mf.yaml", epochs=2)
    lineage, mf = Lineage(built), Node("trained_model", "mf|holdout")
    for _ in range(ATTEMPTS):
        begin_attempt(lineage, mf)
    change(built.conf / "models" / "ease.yaml", regularization=30.0)
    ran = settle(built)
    assert "trained_model[mf|holdout]" not in ran
    assert {"trained_model[ease|holdout]", "leaderboard[holdout]", "ensemble"} <= set(ran)
    assert f"failed {ATTEMPTS} times" in due(built).left[mf]
    change(built.conf / "models" / "mf.yaml", epochs=1)
    assert settle(built)[0] == "trained_model[mf|holdout]"


def test_a_submission_waits_for_a_split_that_keeps_failing(built, settle):
    """Lists go on without a model, not without what all of them stand on."""
    lineage, full = Lineage(built), Node("split", "full")
    built.store.publish(replace(built.store.need("split", "full"), made_from={}))
    for _ in range(ATTEMPTS):
        begin_attempt(lineage, full)
    change(built.conf / "ensemble.yaml", candidates=25)
    assert settle(built) == ["ensemble"]
    assert due(built).left[Node("ensemble_submission")] == "waits for split[full]"


def test_a_yaml_that_cannot_be_read_leaves_its_model_and_stops_no_other(built, settle):
    (built.conf / "models" / "mf.yaml").write_text("recipe: mff\n")
    change(built.conf / "models" / "popularity.yaml", window_days=30)
    assert "trained_model[popularity|holdout]" in settle(built)
    assert "did you mean 'mf'" in due(built).left[Node("trained_model", "mf|holdout")]


def test_a_new_instance_retrains_nothing(built, settle):
    assert settle(built) == []  # the instance of this test has never seen a run: the versions lie beside the artifacts


def test_a_lost_artifact_of_the_submission_is_made_again(built, settle):
    shutil.rmtree(built.store.place("split", "full"))
    assert settle(built) == ["split[full]"]  # the same bytes again: nothing below reruns


def test_an_arrival_is_judged_alone_and_then_what_it_feeds(built, settle):
    folder = built.arrivals_folder
    folder.mkdir(parents=True)
    (folder / "2002-01.csv").write_text("user,item,time\n7,159,1010000000\n")
    ran = settle(built)
    assert ran[0] == "arrival[2002-01.csv]"
    assert {"accepted_ratings", "interactions", "trained_model[ease|full]", "ensemble_submission"} <= set(ran)
    assert {"raw_ratings", "raw_items", "stg_ratings"} & set(ran) == set()
    assert len(ran) == len(set(ran))
    (folder / "2002-01.csv").unlink()
    ran = settle(built)
    assert {"accepted_ratings", "interactions", "ensemble_submission"} <= set(ran)
    assert built.store.record("arrival", "2002-01.csv") is None


def test_what_was_made_since_the_tick_began_is_not_made_again(built, planner, settle, monkeypatch):
    from recpipe.defs import automation
    from recpipe.upkeep import Due

    seen_before_its_run_ended = Due(frozenset({Node("trained_model", "mf|holdout"), Node("ensemble")}), {})
    monkeypatch.setattr(automation, "_due", lambda tick: seen_before_its_run_ended)
    assert settle(built) == []


def test_a_member_that_joins_in_the_middle_of_a_look_is_trained_before_the_ensemble(built, monkeypatch):
    """The line is walked by one ensemble.yaml and what is stale told by the next: that look must not count."""
    (built.conf / "models" / "narrow.yaml").write_text("recipe: ease\nregularization: 50.0\n")
    walked = []

    def walk(lineage):
        walked.append(upkeep_kept(lineage))
        if len(walked) == 1:
            change(built.conf / "ensemble.yaml", members=["ease", "mf", "narrow"])
        return walked[-1]

    upkeep_kept = upkeep.kept
    monkeypatch.setattr(upkeep, "kept", walk)
    assert due(built).nodes == {Node("trained_model", "narrow|holdout")}
    assert len(walked) > 1
