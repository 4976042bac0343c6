"""What goes and what stays: nothing that a leaderboard or a submission refers to ever goes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from recpipe.instance import DRIVER, POSTGRES, dagster_home
from recpipe.lineage import Lineage, Node, Standing
from recpipe.lock import only_builder
from recpipe.processes import this_process
from recpipe.references import referred
from recpipe.retention import remove, waste
from recpipe.settings import Project
from recpipe.storage import unfinished
from recpipe.yaml_files import SettingsError

LATER = datetime.now(UTC) + timedelta(days=30)


def now():
    return datetime.now(UTC)  # asked when it is wanted: a suite may take longer than the hour's ten minutes of room


@dataclass(frozen=True)
class Text:
    """A minimal artifact."""

    text: str

    def write(self, folder: Path) -> None:
        (folder / "text.txt").write_text(self.text)


def put(project, asset, partition, text, *upstream):
    """Publish an artifact that is made from these."""
    made_from = {record.name: record.content for record in upstream}
    return project.store.write(asset, partition, Text(text), made_from, {})


def put_line(project, text, models=("ease", "mf")):
    """A small line: split, models, reports, leaderboard, submission; the records by name."""
    split = put(project, "split", "holdout", text)
    trained = [put(project, "trained_model", f"{model}|holdout", text + model, split) for model in models]
    reports = [put(project, "evaluation_report", record.partition, record.content, record, split) for record in trained]
    board = put(project, "leaderboard", "holdout", text, *reports)
    sent = put(project, "ensemble_submission", None, text, *trained)
    return {record.name: record for record in (split, *trained, *reports, board, sent)}


def settle(project, **settings):
    (project.conf / "retention.yaml").write_text(yaml.safe_dump(settings))


def told(found):
    return sorted((each.what, each.why.split(" 2")[0]) for each in found)


def names(project, asset, partition):
    return [version.name for version in project.store.versions(asset, partition)]


def sweep(project, now=LATER, ghosts=True):
    found = waste(project, now, ghosts=ghosts)
    remove(project, found)
    return found


def test_the_last_superseded_version_stays_and_older_ones_go(project):
    records = [put(project, "split", "holdout", text) for text in ("one", "two", "three", "four")]
    assert told(sweep(project)) == [("split[holdout]", "superseded"), ("split[holdout]", "superseded")]
    assert names(project, "split", "holdout") == [records[3].version, records[2].version]
    assert sweep(project) == []


def test_young_versions_stay_however_many_and_an_hour_long_whatever_the_settings(project):
    for text in ("one", "two", "three"):
        put(project, "split", "holdout", text)
    settle(project, superseded_versions=0, superseded_days=40)
    assert sweep(project) == []
    settle(project, superseded_versions=0, superseded_days=0)
    assert sweep(project, now() + timedelta(minutes=50)) == []
    assert len(sweep(project, now() + timedelta(minutes=70))) == 2


def test_what_a_leaderboard_and_a_submission_are_made_from_stays_though_superseded(project):
    settle(project, superseded_versions=0, superseded_days=0)
    line = put_line(project, "old")
    for round_ in range(3):  # retrained three times; neither leaderboard nor submission was made anew
        split = put(project, "split", "holdout", f"new {round_}")
        put(project, "trained_model", "ease|holdout", f"new {round_}", split)
    found = sweep(project)
    assert told(found) == [("split[holdout]", "superseded")] * 2 + [("trained_model[ease|holdout]", "superseded")] * 2
    for name, record in line.items():
        folder = project.store.place(record.asset, record.partition) / record.version
        assert (folder / "text.txt").exists(), name
    reached = {(version.asset, version.partition, version.name) for version in referred(project)}
    assert {(record.asset, record.partition, record.version) for record in line.values()} <= reached
    put_line(project, "newest")  # now they refer to others
    assert {each.what for each in sweep(project)} == {record.name for record in line.values()} - {"mf"}


def test_of_several_versions_with_one_content_the_current_one_stands_for_it(project):
    settle(project, superseded_versions=0, superseded_days=0)
    line = put_line(project, "same")
    again = put(project, "split", "holdout", "same")
    sweep(project)
    assert again.content == line["split[holdout]"].content
    assert names(project, "split", "holdout") == [again.version]


def test_what_a_removed_model_left_goes_once_no_leaderboard_refers_to_it_and_never_by_itself(project):
    put_line(project, "text")
    folder = project.home / "checkpoints" / "mf" / "holdout" / "0123"
    folder.mkdir(parents=True)
    (folder / "epoch.safetensors").write_text("weights")
    begun_anew = (datetime.now(UTC) + timedelta(minutes=1)).timestamp()
    for path in (folder, folder / "epoch.safetensors"):
        os.utime(path, (begun_anew, begun_anew))
    (project.conf / "models" / "mf.yaml").unlink()
    assert told(waste(project, now(), ghosts=True)) == [("checkpoint[mf|holdout]", "there is no model mf any more")]
    split = project.store.need("split", "holdout")
    report = project.store.need("evaluation_report", "ease|holdout")
    put(project, "leaderboard", "holdout", "without mf", report)
    put(project, "ensemble_submission", None, "without mf", project.store.need("trained_model", "ease|holdout"))
    assert waste(project, now(), ghosts=False) == []
    reason = "there is no model mf any more"
    assert told(sweep(project, now())) == [
        ("checkpoint[mf|holdout]", reason),
        ("evaluation_report[mf|holdout]", reason),
        ("trained_model[mf|holdout]", reason),
    ]
    assert project.store.record("trained_model", "mf|holdout") is None
    assert not project.store.place("trained_model", "mf|holdout").exists()
    assert project.store.need("split", "holdout") == split
    assert sweep(project, now()) == []


def test_a_leaderboard_keeps_its_rows_though_its_split_was_removed(project):
    put_line(project, "text")
    put(project, "trained_model", "ease|full", "unranked")
    for split in ("holdout", "full"):
        (project.conf / "splits" / f"{split}.yaml").unlink()
    assert told(waste(project, LATER, ghosts=True)) == [("trained_model[ease|full]", "there is no split full any more")]


def test_a_leftover_goes_with_its_process_and_one_of_elsewhere_after_an_hour(project):
    store = project.store
    living = store.stage("split", "holdout", Text("being written"), {}, {})
    place = store.place("split", "holdout")
    host, _, start = this_process().split("-")
    number = ended_process()
    for process in (f"{host}-{number}-{start}", f"{host}-{os.getpid()}-{int(start) - 900}", "000000-7-1500000000"):
        (place / f"v-{process}-01234567").mkdir()
        (place / f".record.json.{process}-01234567").write_text("half")
    found = waste(project, now(), ghosts=True)
    assert len(found) == 4  # of a number that nobody has, and of one that another has now
    assert {each.why for each in found} == {"left over: its process is gone"}
    found = sweep(project, now() + timedelta(hours=2))
    assert len(found) == 6
    assert [path.name for path in place.iterdir()] == [living.version]


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_was_to_be_renamed_in_the_home_folder_goes_and_other_hidden_files_stay(project):
    (project.home / "raw" / "sample-0").mkdir(parents=True)
    host, _, start = this_process().split("-")
    process = f"{host}-{ended_process()}-{start}"
    (project.home / f".submission.csv.{process}-01234567").write_text("user")
    (project.home / "raw" / "sample-0" / f".train.{process}-01234567").mkdir()
    (project.home / ".mine").write_text("a person's")
    unfinished(project.home / "dataset.yaml").write_text("of this process")
    assert {each.what for each in sweep(project)} == {
        f".submission.csv.{process}-01234567",
        f"raw/sample-0/.train.{process}-01234567",
    }
    assert (project.home / ".mine").exists()


def test_what_a_study_has_done_so_far_stays_as_checkpoints_do(project):
    folder = project.checkpoints("split_trust_report|cells") / "0123"
    folder.mkdir(parents=True)
    (folder / "holdout.mf.npz").write_text("")
    assert told(waste(project, now(), ghosts=True)) == []
    assert told(waste(project, now() + timedelta(days=8), ghosts=True)) == [
        ("checkpoint[split_trust_report|cells]", "not written to since"),
    ]


def test_checkpoints_go_when_their_training_has_been_finished_or_they_are_old(project):
    old, done, going_on = (project.home / "checkpoints" / name / "holdout" / "0123" for name in ("mf", "ease", "bpr"))
    for folder in (old, done, going_on):
        folder.mkdir(parents=True)
        (folder / "epoch.json").write_text("{}")
    long_ago = (now() - timedelta(days=8)).timestamp()
    for path in (old, old / "epoch.json"):
        os.utime(path, (long_ago, long_ago))
    put(project, "trained_model", "ease|holdout", "learned")
    earlier = (now() - timedelta(minutes=1)).timestamp()
    for path in (done, done / "epoch.json"):
        os.utime(path, (earlier, earlier))
    assert told(sweep(project, now(), ghosts=False)) == [
        ("checkpoint[ease|holdout]", "its training has been finished since"),
        ("checkpoint[mf|holdout]", "not written to since"),
    ]
    assert [path.name for path in (project.home / "checkpoints").rglob("*.json")] == ["epoch.json"]
    assert going_on.exists()


@pytest.mark.parametrize("instance", ["dagster", "dagster-postgres"])
def test_old_logs_of_steps_go(project, instance, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("recpipe.instance._postgres_is_wanted", lambda: instance == "dagster-postgres")
    monkeypatch.setenv(POSTGRES, f"{DRIVER}nobody@127.0.0.1/none")
    run = dagster_home(project) / "storage" / "0c9d" / "compute_logs"
    run.mkdir(parents=True)
    (run / "step.out").write_text("said")
    assert waste(project, now(), ghosts=True) == []
    assert told(sweep(project, now() + timedelta(days=31))) == [("log of run 0c9d", "not written to since")]
    assert not run.exists()


def test_the_policy_makes_nothing_stale_and_a_misspelt_key_is_named(built):
    settle(built, superseded_versions=3)
    lineage = Lineage(built)
    line = lineage.line_to(Node("ensemble_submission"))
    assert {lineage.state(node).standing for node in line} == {Standing.CURRENT}
    settle(built, superseded_day=3)
    with pytest.raises(SettingsError, match=r"retention.yaml: superseded_day: .* did you mean 'superseded_days'"):
        waste(built, now(), ghosts=True)


def test_after_a_sweep_the_whole_line_is_current_and_can_be_read(built):
    settle(built, superseded_versions=0, superseded_days=0, log_days=0)
    sweep(built)
    lineage = Lineage(built)
    for node in lineage.line_to(Node("ensemble_submission")):
        assert lineage.state(node).standing is Standing.CURRENT
        assert built.store.read(node.asset, node.partition) is not None


def gc(project, *words):
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "recpipe", "gc", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_command_shows_what_would_go_removes_it_and_refuses_beside_a_build(project):
    staged = project.store.stage("split", "holdout", Text("x" * 2048), {}, {})
    place = project.store.place("split", "holdout")
    host, _, start = this_process().split("-")
    (place / staged.version).rename(place / f"v-{host}-{ended_process()}-{start}-01234567")
    shown = gc(project, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "split[holdout]" in shown.stdout
    assert "its process is gone" in shown.stdout
    assert "in 1 pieces would go" in shown.stdout
    assert len(list(place.iterdir())) == 1
    with only_builder(Project(project.home, project.conf)):
        refused = gc(project)
    assert refused.returncode == 1
    assert "a build is at work" in refused.stderr
    assert gc(project).returncode == 0
    assert not place.exists()


def test_a_record_that_a_kill_left_beside_the_current_version_goes(project):
    record = put(project, "split", "holdout", "text")
    note = project.store.place("split", "holdout") / f"{record.version}.json"
    note.write_text(json.dumps({"superseded_at": now().isoformat(), "record": {}}))
    assert waste(project, now(), ghosts=True) == []
    assert [each.why for each in sweep(project)] == ["left over: nothing took its version's place"]
    assert names(project, "split", "holdout") == [record.version]
