"""What a training in stages makes of its run: parts trained alone first, and the time that is left after them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recpipe.recipe import Run
from recpipe.training.journal import SENTENCES, sentences_of

SHARE = 1 / 3
"""Of the time budget that one part may take at most."""


def stage(run: Run, part: str, epochs: int) -> Run:
    """The run of a part: exactly so many epochs, none validated; its reports are named `PART_epoch`, `PART_loss` …,
    but `problem` and `note`, which tell the part themselves."""
    budget = None if run.time_budget is None else run.time_budget * SHARE
    return replace(run, epochs=epochs, time_budget=budget, report=_prefixed(run.report, part))


def what_is_left(run: Run, started: float) -> Run:
    """The same run with the time budget that is left since `started` (`time.monotonic`) and before a kill."""
    if run.time_budget is None:
        return run
    return replace(run, time_budget=run.time_budget - (run.seconds_before + time.monotonic() - started))


def _prefixed(report: Callable[..., None], part: str) -> Callable[..., None]:
    def prefixed(**numbers: Any) -> None:
        figures = {f"{part}_{name}": value for name, value in numbers.items() if name not in SENTENCES}
        report(**figures, **sentences_of(numbers, part))

    return prefixed
