"""What a training reports, as it is kept."""

from __future__ import annotations

from typing import Any

from recpipe.training.journal import Journal


def test_rows_are_apart_from_closing_figures_and_the_last_figure_counts() -> None:
    journal = Journal()
    journal.report(epoch=1, loss=0.5)
    journal.report(best_epoch=1, stopped="patience")
    journal.report(stopped="epochs")
    assert journal.epochs == [{"epoch": 1, "loss": 0.5}]
    assert journal.closing == {"best_epoch": 1, "stopped": "epochs"}


def test_every_note_is_kept_and_none_twice() -> None:
    journal = Journal()
    for note in ("the disk is full", "the batch did not fit", "the disk is full"):
        journal.report(note=note)
    assert journal.closing["note"] == "the disk is full; the batch did not fit"


def test_rows_from_before_a_kill_are_kept_and_not_told_again() -> None:
    heard: list[dict[str, Any]] = []
    journal = Journal(listener=lambda **numbers: heard.append(numbers))
    journal.report(resumed_from=2)
    for epoch in (1, 2, 3):
        journal.report(epoch=epoch)
    assert [row["epoch"] for row in journal.epochs] == [1, 2, 3]
    assert heard == [{"resumed_from": 2}, {"epoch": 3}]
