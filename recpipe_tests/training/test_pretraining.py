"""Parts that are trained alone first: what they report, and under which name."""

from __future__ import annotations

from recpipe.recipe import Run
from recpipe.training.journal import Journal
from recpipe.training.pretraining import stage


def test_figures_of_a_part_bear_its_name_and_its_problems_and_notes_tell_it() -> None:
    journal = Journal()
    run = Run(report=journal.report)
    part = stage(run, "gmf", 3)
    part.report(epoch=1, loss=0.5)
    part.report(note="the disk is full")
    part.report(problem="the loss is no number")
    part.report(stopped="non-finite loss")
    run.report(note="the disk is full", stopped="epochs")
    assert journal.stages == {"gmf": [{"epoch": 1, "loss": 0.5}]}
    assert journal.closing == {
        "note": "gmf: the disk is full; the disk is full",
        "problem": "gmf: the loss is no number",
        "gmf_stopped": "non-finite loss",
        "stopped": "epochs",
    }
