"""What a training reports: one row an epoch, and the closing figures; kept as JSON, and passed on while it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from recpipe.recipe import silent
from recpipe.storage import replace_text

JOURNAL = "journal.json"
SENTENCES = ("problem", "note")
"""Closing figures for people; of several, each is kept."""


@dataclass(frozen=True)
class Journal:
    """Hand `journal.report` to `Run`. Numbers with an `epoch` among them are a row; all others are closing figures.

    stages: rows of parts that are trained alone first (`training.pretraining`), by the part's name and without it.
    listener: called with every report as it comes, for live progress. Rows up to the epoch that a training, or a part,
    was resumed from come a second time, since this journal does not know them; listeners heard them before the kill.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    closing: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    listener: Callable[..., None] = field(default=silent, compare=False)

    def report(self, **numbers: Any) -> None:
        """Take the numbers down and pass them on."""
        stage, row = of_stage(numbers)
        if "epoch" in numbers:
            self.epochs.append(numbers)
        elif stage:
            self.stages.setdefault(stage, []).append(row)
        else:
            again = [name for name in SENTENCES if name in numbers and name in self.closing]
            self.closing.update(numbers | {name: _with(numbers[name], self.closing[name]) for name in again})
        if row.get("epoch", math.inf) > self.closing.get(f"{stage}_resumed_from" if stage else "resumed_from", 0):
            self.listener(**numbers)

    def seconds_left(self, epochs: int, time_budget: float | None = None) -> float | None:
        """Until `epochs` are done at the pace so far, or the time budget is spent; None before the first epoch.

        Early stopping may need less.
        """
        if not self.epochs:
            return None
        spent = [sum(map(seconds_of, rows)) for rows in (self.epochs, *self.stages.values())]
        left = spent[0] / len(self.epochs) * max(0, epochs - len(self.epochs))
        return left if time_budget is None else min(left, max(0.0, time_budget - sum(spent)))

    def write(self, folder: Path) -> None:
        """`journal.json` in the folder. What JSON does not know (infinity, not a number) is written as words."""
        content = {"epochs": self.epochs, "closing": self.closing, "stages": self.stages}
        replace_text(folder / JOURNAL, json.dumps(_in_words(content), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The journal that was written there."""
        content = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        stages = {part: [*map(_in_numbers, rows)] for part, rows in content.get("stages", {}).items()}
        return cls([*map(_in_numbers, content["epochs"])], _in_numbers(content["closing"]), stages)


def of_stage(numbers: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The part that a row of `pretraining.stage` is of, and the row without its name; no part, and all, of others."""
    for name in numbers:
        part = name.removesuffix("_epoch")
        if part != name and f"{part}_loss" in numbers:
            return part, {each.removeprefix(f"{part}_"): value for each, value in numbers.items()}
    return "", dict(numbers)


def sentences_of(numbers: Mapping[str, Any], part: str) -> dict[str, str]:
    """The problem and the note among the numbers, if any, each with the part that it is of."""
    return {name: f"{part}: {numbers[name]}" for name in SENTENCES if name in numbers}


def seconds_of(row: Mapping[str, Any]) -> float:
    """What an epoch took, its validation included."""
    return float(row.get("seconds", 0.0) + row.get("valid_seconds", 0.0))


def _with(sentence: str, before: str) -> str:
    """One after the other, and none twice."""
    return before if f"; {sentence};" in f"; {before};" else f"{before}; {sentence}"


_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _in_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_words(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_in_words(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _in_numbers(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: _WORDS.get(value, value) if isinstance(value, str) else value for key, value in figures.items()}
