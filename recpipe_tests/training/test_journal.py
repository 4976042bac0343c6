"""What a training reports, as it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recpipe.training.journal import Journal


def test_rows_are_apart_from_closing_figures_and_the_last_figure_counts() -> None:
    journal = Journal()
    journal.report(epoch=1, loss=0.5)
    journal.report(best_epoch=1, stopped="patience")
    journal.report(stopped="epochs")
    assert journal.epochs == [{"epoch": 1, "loss": 0.5}]
    assert journal.closing == {"best_epoch": 1, "stopped": "epochs"}


@pytest.mark.parametrize("kind", ["note", "problem"])
def test_every_note_and_problem_is_kept_and_none_twice(kind: str) -> None:
    journal = Journal()
    for sentence in ("gmf: the disk is full", "the batch did not fit", "the disk is full", "the batch did not fit"):
        journal.report(**{kind: sentence})
    assert journal.closing == {kind: "gmf: the disk is full; the batch did not fit; the disk is full"}


def test_rows_from_before_a_kill_are_kept_and_not_told_again() -> None:
    heard: list[dict[str, Any]] = []
    journal = Journal(listener=lambda **numbers: heard.append(numbers))
    journal.report(resumed_from=2)
    for epoch in (1, 2, 3):
        journal.report(epoch=epoch)
    assert [row["epoch"] for row in journal.epochs] == [1, 2, 3]
    assert heard == [{"resumed_from": 2}, {"epoch": 3}]


def test_rows_of_a_part_from_before_a_kill_are_kept_and_not_told_again() -> None:
    heard: list[dict[str, Any]] = []
    journal = Journal(listener=lambda **numbers: heard.append(numbers))
    journal.report(gmf_resumed_from=2)
    rows = [{"gmf_epoch": epoch, "gmf_loss": 0.5} for epoch in (1, 2, 3)]
    for row in rows:
        journal.report(**row)
    journal.report(epoch=1, loss=0.5)
    assert [row["epoch"] for row in journal.stages["gmf"]] == [1, 2, 3]
    assert heard == [{"gmf_resumed_from": 2}, rows[2], {"epoch": 1, "loss": 0.5}]


def test_epochs_of_parts_trained_first_are_rows_of_their_own_and_come_back(tmp_path: Path) -> None:
    journal = Journal()
    journal.report(gmf_epoch=1, gmf_loss=0.5, gmf_seconds=2.0, gmf_valid=None)
    journal.report(gmf_best_epoch=1, gmf_stopped="epochs")
    journal.report(epoch=1, loss=0.25, seconds=1.0)
    assert journal.stages == {"gmf": [{"epoch": 1, "loss": 0.5, "seconds": 2.0, "valid": None}]}
    assert journal.epochs == [{"epoch": 1, "loss": 0.25, "seconds": 1.0}]
    assert journal.closing == {"gmf_best_epoch": 1, "gmf_stopped": "epochs"}
    journal.write(tmp_path)
    assert Journal.read(tmp_path) == journal


def test_a_journal_from_before_there_were_stages_is_read(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text('{"epochs": [{"epoch": 1}], "closing": {}}')
    assert Journal.read(tmp_path) == Journal([{"epoch": 1}])


def test_time_left_is_that_of_the_epochs_or_of_the_budget_whichever_is_less() -> None:
    journal = Journal()
    assert journal.seconds_left(10) is None
    journal.report(gmf_epoch=1, gmf_loss=0.5, gmf_seconds=2.0)
    journal.report(epoch=1, loss=0.5, seconds=2.0, valid_seconds=1.0)
    assert journal.seconds_left(10) == 27.0
    assert journal.seconds_left(10, time_budget=25.0) == 20.0
    assert journal.seconds_left(10, time_budget=4.0) == 0.0
    assert journal.seconds_left(1) == 0.0
