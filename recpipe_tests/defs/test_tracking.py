"""A training that is followed, inside the line: its log, its artifact's notes, its version."""

from __future__ import annotations

import io
import re

import dagster as dg
import pytest
from rich.console import Console

from recpipe.lineage import Lineage, Standing, model_node
from recpipe.tracking.to_tensorboard import ToTensorboard

MF = model_node("mf", "holdout")


def set_trackers(project, names):
    path = project.conf / "run.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("trackers:")]
    path.write_text("\n".join([*kept, f"trackers: [{', '.join(names)}]"]) + "\n")


def test_a_tracker_that_fails_leaves_a_note_on_the_artifact_and_no_setting_of_trackers_is_part_of_its_version(
    project, planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = ToTensorboard.epoch

    def fails_at_two(self, number, figures):
        if number == 2:
            raise OSError("no space left")
        sound(self, number, figures)

    monkeypatch.setattr(ToTensorboard, "epoch", fails_at_two)
    set_trackers(project, ["tensorboard"])
    with dg.DagsterInstance.ephemeral() as instance:
        planner.build(project, [MF], instance)
        lines = [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    record = project.store.need(MF.asset, MF.partition)
    assert record.figures["epochs"] == 3
    noted = "tensorboard failed at epoch 2 and was left out, the training was not: OSError: no space left"
    assert noted in record.notes
    assert len([*project.tracking.glob("tensorboard/mf/holdout/*/events.*")]) == 1
    told = [line for line in lines if line.startswith("epoch")]
    assert len(told) == 3  # one line an epoch, whatever the number of batches
    wanted = r"epoch 1 of at most 3, loss \d\.\d{4}, validation \d\.\d{4}, at most \d\.\d s left, [\d,]+ MiB"
    assert re.fullmatch(wanted, told[0])
    set_trackers(project, [])
    assert Lineage(project).state(MF).standing is Standing.CURRENT


@pytest.mark.parametrize(("seconds_between", "lines"), [(0.0, 2), (3600.0, 0)])
def test_where_the_output_is_no_terminal_epochs_are_lines_now_and_then(
    project, monkeypatch: pytest.MonkeyPatch, seconds_between: float, lines: int
) -> None:
    from recpipe.defs import building

    monkeypatch.setattr(building, "LINE_EVERY", seconds_between)
    told = io.StringIO()
    with building._Shown(project, Console(file=told, width=200)) as shown:
        shown.hear({"event": "start", "node": MF, "remaining": []})
        for epoch in (1, 2):
            shown.hear({"event": "training", "epoch": epoch, "epochs": 3, "loss": 0.5, "seconds_left": 41.0})
    wanted = [f"trained_model[mf|holdout]: epoch {epoch} of at most 3, loss 0.5000, at most 41 s left"
              for epoch in (1, 2)]  # fmt: skip
    assert told.getvalue().split("\n")[:lines] == wanted[:lines]
    assert told.getvalue().count("epoch") == lines
