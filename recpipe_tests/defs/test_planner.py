"""The whole line on a tiny project, step by step as ordinary runs on one instance."""

import errno
import shutil
from dataclasses import replace

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from recpipe.cli import app
from recpipe.instance import dagster_home
from recpipe.lineage import Lineage, Node, Standing, model_node
from recpipe.progress import listening
from recpipe.settings import Project

SUBMISSION = Node("ensemble_submission")
REPORTS = [model_node(model, "holdout", "evaluation_report") for model in ("ease", "mf", "popularity")]
GOALS = [*REPORTS, Node("leaderboard", "holdout"), SUBMISSION]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def contents(project):
    assets = ("interactions", "split", "trained_model", "evaluation_report", "leaderboard", "ensemble_submission")
    return {record.name: record.content for asset in assets for record in project.store.records(asset)}


def names(nodes):
    return sorted(str(node) for node in nodes)


def test_an_empty_home_ends_with_a_submission_and_a_second_build_runs_nothing(project, planner, instance, built_once):
    done = planner.build(project, GOALS, instance)
    assert done.failed == {}
    lines = project.submission_file.read_text().splitlines()
    assert lines[0] == "user,item"
    assert len(lines) == 1 + 120 * 10
    assert project.store.need("leaderboard", "holdout").figures["models"] == 3
    assert len(instance.get_runs()) == len(done.ran)
    assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in instance.get_runs())
    other = Project(built_once / "home", project.conf)  # the same data and settings, built before: the same bytes
    assert contents(project) == contents(other)
    assert project.submission_file.read_bytes() == other.submission_file.read_bytes()
    again = planner.build(project, GOALS, instance)
    assert again.ran == []
    assert {Lineage(project).state(node).standing for node in again.current} == {Standing.CURRENT}


def test_the_interface_shows_who_is_in_the_submission_with_what_weight_and_why(built, planner, instance):
    path = built.conf / "ensemble.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"candidates": 25}))
    planner.build(built, [SUBMISSION], instance)
    for asset in ("ensemble", "ensemble_submission"):
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        choice = event.asset_materialization.metadata["choice"].value
        assert "| weight | why |" in choice
        for member in yaml.safe_load(path.read_text())["members"]:
            (row,) = [line for line in choice.splitlines() if line.startswith(f"| {member} |")]
            _, _, weight, why = row.strip("| ").split(" | ")
            assert 0 <= float(weight) <= 1 and len(why) > 5


class TwoHands:
    """Two steps at a time; the one that was started last ends first."""

    def __init__(self, planner, instance):
        self.planner, self.instance = planner, instance
        self.under_way, self.started, self.most = [], [], 0

    @property
    def busy(self):
        return bool(self.under_way)

    def free_for(self, node):
        return len(self.under_way) < 2

    def start(self, node):
        self.started.append(node)
        self.under_way.append(node)
        self.most = max(self.most, len(self.under_way))

    def finished(self):
        node = self.under_way.pop()
        return [(node, self.planner.run_step(node, self.instance))]


def test_two_hands_make_what_one_makes_and_no_step_starts_before_what_it_needs(built, planner, instance, built_once):
    for asset in ("trained_model", "evaluation_report", "leaderboard", "ensemble", "ensemble_submission"):
        shutil.rmtree(built.store.root / asset)
    hands = TwoHands(planner, instance)
    done = planner.build(built, GOALS, instance, hands=hands)
    assert hands.most == 2
    assert contents(built) == contents(Project(built_once / "home", built.conf))
    lineage = Lineage(built)
    for node in done.ran:
        for need in lineage.needs(node):
            assert need in done.current or done.ran.index(need) < done.ran.index(node), (need, node)
    assert hands.started.index(Node("leaderboard", "holdout")) > max(map(hands.started.index, REPORTS))


def test_the_runs_of_a_task_whose_worker_is_lost_end_as_failed_and_no_other(built, planner, instance):
    def started(task):
        run = instance.create_run_for_job(planner._whole_job(), tags={planner.TASK: task})
        instance.report_run_canceling(run)  # any standing that is no end
        return run.run_id

    lost, other = started("trained_model-1"), started("trained_model-2")
    planner.end_lost_runs(instance, "trained_model-1")
    assert instance.get_run_by_id(lost).status == dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(other).status == dg.DagsterRunStatus.CANCELING


def test_a_changed_yaml_reruns_that_model_and_what_depends_on_it_and_nothing_else(built, planner, instance):
    path = built.conf / "models" / "popularity.yaml"
    path.write_text("# a comment\n" + path.read_text())
    assert planner.build(built, GOALS, instance).ran == []
    settings = yaml.safe_load((built.conf / "models" / "mf.yaml").read_text())
    (built.conf / "models" / "mf.yaml").write_text(yaml.safe_dump(settings | {"epochs": 2}))
    ran = set(names(planner.build(built, GOALS, instance).ran))
    always = {"trained_model[mf|holdout]", "evaluation_report[mf|holdout]", "leaderboard[holdout]", "ensemble"}
    assert always <= ran
    assert ran <= always | {"trained_model[mf|full]", "ensemble_submission"}


def test_a_default_written_out_and_keys_in_another_order_rerun_nothing(built, planner, instance):
    settings = yaml.safe_load((built.conf / "models" / "ease.yaml").read_text())
    written_out = {"precision": "float64", "regularization": int(settings["regularization"]), "recipe": "ease"}
    (built.conf / "models" / "ease.yaml").write_text(yaml.safe_dump(written_out, sort_keys=False))
    assert planner.build(built, GOALS, instance).ran == []


def test_a_delivery_with_the_same_rows_reruns_the_reading_alone(built, planner, instance):
    ratings = next((built.conf.parent / "delivery").glob("train_ratings.csv"))
    ratings.write_bytes(ratings.read_bytes().replace(b"\n", b"\r\n"))
    assert names(planner.build(built, GOALS, instance).ran) == ["raw_ratings"]


def test_a_model_that_fails_stops_no_other_and_is_named(built, planner, instance, monkeypatch):
    from recpipe.models.factors.mf import Mf

    def broken(self, train, run):
        raise RuntimeError("out of memory, said the test")

    monkeypatch.setattr(Mf, "fit", broken)
    for asset in ("trained_model", "evaluation_report", "leaderboard", "ensemble"):
        shutil.rmtree(built.store.root / asset)
    news = []
    with listening(news.append), pytest.raises(planner.BuildFailed, match="out of memory, said the test"):
        planner.build(built, GOALS, instance)
    assert built.store.record("evaluation_report", "ease|holdout")
    assert built.store.record("evaluation_report", "mf|holdout") is None
    assert built.store.need("leaderboard", "holdout").figures["models"] == 2
    assert any("mf is not trained and was left out" in note for note in built.store.need("ensemble").notes)
    assert built.submission_file.exists()
    assert [str(one["node"]) for one in news if one["event"] == "failed"] == ["trained_model[mf|holdout]"]


def test_a_split_that_fails_its_suite_is_not_published_and_the_old_one_stays(built, planner, instance, monkeypatch):
    import recpipe.steps.split
    from recpipe.validation.outcome import Check, Outcome

    goal = Node("split", "holdout")
    before = built.store.need("split", "holdout")
    (built.conf / "splits" / "holdout.yaml").write_text("strategy: holdout\nlast: 3\n")
    leak = Outcome("split", (Check("no film of a user is in two parts", False, "0", "7"),))
    monkeypatch.setattr(recpipe.steps.split, "validated", lambda *_: leak)
    with pytest.raises(planner.BuildFailed, match="no film of a user is in two parts"):
        planner.build(built, [goal], instance)
    assert built.store.need("split", "holdout") == before
    key = dg.AssetCheckKey(dg.AssetKey("split"), "split_integrity")
    seen = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert [record.status.value for record in seen] == ["FAILED"]


def test_a_table_whose_tests_fail_is_not_published_and_leaves_nothing(project, planner, instance, monkeypatch):
    import recpipe.steps.tables
    from recpipe.warehouse import BrokenTest

    def broken(lineage, node, path):
        return [BrokenTest(lineage.sql[node.asset], 1, [{"item": 7}])]

    monkeypatch.setattr(recpipe.steps.tables, "broken_tests", broken)
    with pytest.raises(planner.BuildFailed, match=r"stg_ratings.*1 rows"):
        planner.build(project, [Node("stg_ratings")], instance)
    assert project.store.versions("stg_ratings") == []


def test_a_full_disk_is_the_reason_that_a_build_tells_and_the_old_version_stays(built, planner, instance, monkeypatch):
    import recpipe.evaluation.leaderboard

    def full(self, folder):
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    goal = Node("leaderboard", "holdout")
    before = built.store.need("leaderboard", "holdout")
    built.store.publish(replace(before, made_from={}))
    monkeypatch.setattr(recpipe.evaluation.leaderboard.Leaderboard, "write", full)
    with pytest.raises(
        planner.BuildFailed, match=r"leaderboard\[holdout\] could not be written: the disk .*recpipe gc"
    ):
        planner.build(built, [goal], instance)
    assert built.store.need("leaderboard", "holdout").content == before.content
    assert [version.current for version in built.store.versions("leaderboard", "holdout")] == [True]


def test_bad_rows_are_kept_apart_with_their_reason(project, planner, instance):
    path = project.conf.parent / "delivery" / "train_ratings.csv"
    path.write_text(path.read_text() + "7,,1000000000\n,100,1000000000\n7,100,5\n")
    planner.build(project, [Node("interactions")], instance)
    rejected = project.store.need("interactions").figures["rejected"]
    assert rejected == {"item missing": 1, "user missing": 1, "time not after 1990-01-01": 1}
    assert project.store.need("interactions").figures["events"] == 120 * 20


def test_a_delivery_that_lost_a_third_of_its_rows_stops_and_the_last_good_version_stays(project, planner, instance):
    goal = [Node("interactions")]
    planner.build(project, goal, instance)
    before = project.store.need("interactions")
    path = project.conf.parent / "delivery" / "train_ratings.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: 2 * len(lines) // 3]))
    with pytest.raises(planner.BuildFailed, match="interactions"):
        planner.build(project, goal, instance)
    assert project.store.need("interactions") == before


def test_the_submission_asset_alone_builds_what_is_missing(project, planner, instance):
    assert planner.run_step(SUBMISSION, instance) is None
    assert project.submission_file.exists()
    assert project.store.record("leaderboard", "holdout") is None
    assert len(instance.get_runs()) > 10


def test_a_stale_member_is_used_and_named(built, planner, instance):
    used = next(iter(built.store.need("ensemble").figures["used"]))
    record = built.store.need("trained_model", f"{used}|full")
    built.store.publish(replace(record, made_from=record.made_from | {"settings": "another"}))
    assert planner.run_step(SUBMISSION, instance) is None
    assert any(f"trained_model[{used}|full] is stale" in note for note in built.store.need("ensemble_submission").notes)


def test_what_dagster_sees_is_what_the_lineage_says(built, planner, instance):
    from recpipe.defs.definitions import defs

    graph = defs.resolve_asset_graph()
    lineage = Lineage(built)
    for node in [*lineage.line_to(SUBMISSION), *REPORTS, Node("leaderboard", "holdout")]:
        seen = {key.to_user_string() for key in graph.get(dg.AssetKey(node.asset)).parent_keys}
        assert {needed.asset for needed in lineage.upstream(node)} <= seen, node


def test_a_split_that_comes_out_otherwise_than_before_from_the_same_is_refused(built, planner, instance):
    record = built.store.need("split", "holdout")
    assert planner.run_step(Node("split", "holdout"), instance) is None
    assert built.store.need("split", "holdout").content == record.content
    built.store.publish(replace(built.store.need("split", "holdout"), figures=record.figures | {"digest": "0" * 64}))
    error = planner.run_step(Node("split", "holdout"), instance)
    assert error is not None
    assert "the digest of the split is the recorded one" in error


def test_a_run_of_another_machine_is_never_taken_for_dead(project, planner, instance, monkeypatch):
    import psutil

    assert planner.run_step(Node("raw_items"), instance) is None
    run = instance.get_runs()[0]
    assert planner._alive(instance, run)  # a build's run tells its process
    run = run.with_tags({key: value for key, value in run.tags.items() if key != planner.PROCESS_TAG})
    assert planner._alive(instance, run)

    def gone(pid):
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", gone)
    assert not planner._alive(instance, run)
    assert planner._alive(instance, run.with_tags(run.tags | {planner.HOST: "elsewhere"}))


def test_a_workers_run_that_is_repeated_from_the_interface_lives_as_long_as_its_process(project, planner, instance):
    assert planner.run_step(Node("raw_items"), instance, {planner.TASK: "raw_items-1"}) is None
    run = instance.get_runs()[0]
    assert not planner._alive(instance, run)  # of an earlier build
    assert planner._alive(instance, run._replace(parent_run_id=run.run_id))  # its tags are copied


def test_a_model_whose_settings_cannot_be_used_fails_alone(built, planner, instance):
    (built.conf / "models" / "mf.yaml").write_text("recipe: mff\n")
    path = built.conf / "models" / "ease.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"regularization": 40.0}))
    board = Node("leaderboard", "holdout")
    before = built.store.need(board.asset, board.partition)
    done = planner.build(built, [board, SUBMISSION], instance)
    mf = model_node("mf", "holdout")
    assert list(done.failed) == [mf] and "no recipe is called 'mff'; did you mean 'mf'" in done.failed[mf]
    assert model_node("ease", "holdout") in done.ran and SUBMISSION in done.ran
    assert built.store.need(board.asset, board.partition).content != before.content
    notes = built.store.need("ensemble").notes
    assert (
        sum("trained_model[mf|holdout] has unusable settings now and was used as it is" in note for note in notes) == 1
    )


def test_the_line_is_shown_where_settings_cannot_be_used_or_are_gone(built, planner):
    ensemble = built.store.need("ensemble")
    built.store.publish(replace(ensemble, figures=ensemble.figures | {"used": {"ease": 0.5, "mf": 0.5}}))
    path = built.conf / "models" / "mf.yaml"
    path.write_text("recipe: mff\n")
    told = CliRunner().invoke(app, ["status"])
    assert told.exit_code == 0 and "no recipe is called 'mff'" in " ".join(told.output.split()), told.output
    path.unlink()
    told = CliRunner().invoke(app, ["status"])
    assert told.exit_code == 0 and "mff" not in told.output, told.output
    assert model_node("mf", "full") not in Lineage(built).line_to(SUBMISSION)


def test_where_nobody_is_free_a_build_waits_and_says_so_once(built, planner, instance, monkeypatch):
    shutil.rmtree(built.store.root / "leaderboard")
    hands, slept, news = TwoHands(planner, instance), [], []
    monkeypatch.setattr(planner, "sleep", slept.append)
    monkeypatch.setattr(hands, "free_for", lambda node: len(slept) >= 3)
    with listening(news.append):
        planner.build(built, [Node("leaderboard", "holdout")], instance, hands=hands)
    assert slept == [1.0, 1.0, 1.0]
    assert [one["what"] for one in news if one["event"] == "waiting"] == [
        "nobody is free to carry out a step: waiting for a worker"
    ]


def test_a_database_that_is_gone_is_told_in_one_sentence_without_its_address(project, planner, monkeypatch):
    from rich.console import Console
    from sqlalchemy.exc import OperationalError

    from recpipe.defs.building import InstanceLost, build_line

    def gone():
        raise OperationalError("select 1", {}, RuntimeError("connection refused"))

    monkeypatch.setattr(dg.DagsterInstance, "get", gone)
    with pytest.raises(InstanceLost, match=r"instance does not answer \(.*connection refused\).*goes on from there"):
        build_line(project, [], "", Console(quiet=True))


def test_a_run_that_the_database_did_not_record_is_repeated_once(project, planner, instance, monkeypatch):
    from sqlalchemy.exc import OperationalError

    store_event, left = instance.event_log_storage.store_event, [1]

    def restarted_once(entry):
        if left and entry.dagster_event is not None and entry.dagster_event.event_type_value == "RESOURCE_INIT_SUCCESS":
            left.pop()
            raise OperationalError("insert", {}, RuntimeError("server closed the connection unexpectedly"))
        return store_event(entry)

    monkeypatch.setattr(instance.event_log_storage, "store_event", restarted_once)
    assert planner.run_step(Node("raw_items"), instance) is None
    assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS}
    assert project.store.record("raw_items") is not None


def test_a_run_that_was_killed_when_its_turn_came_is_not_waited_for(project, planner):
    with dg.DagsterInstance.from_config(str(dagster_home(project))) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("training", 1)
        assert storage.claim_concurrency_slot("training", "the first", "trained_model").is_claimed
        assert not storage.claim_concurrency_slot("training", "the second", "trained_model").is_claimed
        storage.free_concurrency_slots_for_run("the first")  # the second one's turn; killed before it takes the slot
        (waiting,) = storage.get_concurrency_info("training").pending_steps
        assert waiting.assigned_timestamp is not None
        planner.end_dead_runs(instance)
        assert storage.get_concurrency_info("training").pending_steps == []
        assert storage.claim_concurrency_slot("training", "the third", "trained_model").is_claimed
