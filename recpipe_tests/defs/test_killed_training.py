"""SIGKILL in the middle of a training: the next build goes on from the checkpoint and ends with the same artifact."""

import io
import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest
import yaml
from filelock import FileLock
from rich.console import Console

from recpipe.lineage import Node, model_node
from recpipe.progress import listening

MODEL = model_node("mf", "holdout")
EPOCHS = 100
TRAIN = """
import dagster as dg
from recpipe.defs.planner import run_step
from recpipe.lineage import model_node
with dg.DagsterInstance.ephemeral() as instance:
    run_step(model_node("mf", "holdout"), instance)
"""


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def long(built):
    """mf is stale: its settings ask for many epochs now; a checkpoint comes after each."""
    settings = {"recipe": "mf", "epochs": EPOCHS, "patience": EPOCHS, "embedding_size": 8, "batch_size": 256}
    (built.conf / "models" / "mf.yaml").write_text(yaml.safe_dump(settings))
    run = yaml.safe_load((built.conf / "run.yaml").read_text()) | {"checkpoint_every": 0}
    (built.conf / "run.yaml").write_text(yaml.safe_dump(run))
    return built


def checkpoints(project):
    return sorted((project.home / "checkpoints").rglob("*.safetensors"))


def kill_in_the_middle(project):
    """Another process trains and dies once it has written some checkpoints."""
    process = subprocess.Popen([sys.executable, "-c", TRAIN], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not checkpoints(project):
        time.sleep(0.02)
    (first,) = checkpoints(project)
    written = first.stat().st_mtime_ns
    while time.monotonic() < deadline and process.poll() is None and first.stat().st_mtime_ns == written:
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not of this system")
def test_a_killed_training_goes_on_and_ends_with_the_same_artifact(long, planner, instance):
    kill_in_the_middle(long)
    assert long.store.need("trained_model", "mf|holdout").figures["epochs"] == 3  # still the one before
    news = []
    with listening(news.append):
        planner.build(long, [MODEL], instance)
    (epoch,) = [one["resumed_from"] for one in news if "resumed_from" in one]
    assert 0 < epoch < EPOCHS
    assert [one["epoch"] for one in news if "epoch" in one] == list(range(epoch + 1, EPOCHS + 1))
    resumed = long.store.need("trained_model", "mf|holdout")
    assert checkpoints(long) == []
    assert f"resumed_from {epoch}" in " ".join(
        entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)
    )
    assert planner.run_step(MODEL, instance) is None
    undisturbed = long.store.need("trained_model", "mf|holdout")
    assert undisturbed.content == resumed.content
    assert undisturbed.figures["best_valid"] == resumed.figures["best_valid"]
    assert undisturbed.figures["epochs"] == resumed.figures["epochs"] == EPOCHS


def interrupted(monkeypatch, planner, instance, after):
    """The step fails after so many epochs."""
    from recpipe.training.journal import Journal

    report = Journal.report

    def fails(self, **numbers):
        report(self, **numbers)
        if numbers.get("epoch") == after:
            raise RuntimeError("interrupted, says the test")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "report", fails)
        assert "interrupted" in planner.run_step(MODEL, instance)


def test_changed_settings_never_go_on_from_what_others_left(long, planner, instance, monkeypatch):
    interrupted(monkeypatch, planner, instance, after=5)
    (left,) = checkpoints(long)
    path = long.conf / "models" / "mf.yaml"
    path.write_text(path.read_text().replace(f"epochs: {EPOCHS}", "epochs: 7"))
    news = []
    with listening(news.append):
        assert planner.run_step(MODEL, instance) is None
    assert [one["epoch"] for one in news if "epoch" in one] == [1, 2, 3, 4, 5, 6, 7]
    assert not left.exists()  # it was of no use any more


def test_how_often_checkpoints_come_is_no_choice_of_the_model(long, planner, instance, monkeypatch):
    model = long.conf / "models" / "mf.yaml"
    model.write_text(model.read_text().replace(f"epochs: {EPOCHS}", "epochs: 8"))
    interrupted(monkeypatch, planner, instance, after=5)
    path = long.conf / "run.yaml"
    path.write_text(path.read_text().replace("checkpoint_every: 0", "checkpoint_every: 30"))
    news = []
    with listening(news.append):
        assert planner.run_step(MODEL, instance) is None
    assert [one["resumed_from"] for one in news if "resumed_from" in one] == [4]


def test_while_another_process_trains_from_the_same_inputs_no_checkpoints_are_kept(
    long, planner, instance, monkeypatch
):
    interrupted(monkeypatch, planner, instance, after=5)
    (left,) = checkpoints(long)
    before = left.read_bytes()
    with FileLock(left.parent / "training.lock"):
        interrupted(monkeypatch, planner, instance, after=3)  # from the start: epoch 3 comes
        assert left.read_bytes() == before


def test_a_build_shows_where_a_training_goes_on_and_what_its_notes_say(project, planner):
    from recpipe.defs.building import _Shown

    out = Console(file=io.StringIO(), width=200)
    with _Shown(project, out) as shown:
        shown.hear({"event": "training", "resumed_from": 7})
        shown.hear({"event": "training", "note": "a batch of [64] did not fit"})
    assert "training goes on after epoch 7" in out.file.getvalue()
    assert "a batch of [64] did not fit" in out.file.getvalue()


def test_a_model_that_learns_in_one_step_leaves_nothing_behind(built, planner, instance):
    assert planner.run_step(Node("trained_model", "ease|holdout"), instance) is None
    assert list(built.home.joinpath("checkpoints").rglob("*.*")) == []
