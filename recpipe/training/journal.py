"""What a training reports: one row an epoch, and the closing figures; kept as JSON, and passed on while it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from recpipe.recipe import silent
from recpipe.storage import replace_text

JOURNAL = "journal.json"


@dataclass(frozen=True)
class Journal:
    """Hand `journal.report` to `Run`. Numbers with an `epoch` among them are a row; all others are closing figures.

    listener: called with every report as it comes, for live progress. Rows up to the epoch that a training was resumed
    from come a second time, since this journal does not know them; listeners heard them before the kill.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    closing: dict[str, Any] = field(default_factory=dict)
    listener: Callable[..., None] = field(default=silent, compare=False)

    def report(self, **numbers: Any) -> None:
        """Take the numbers down and pass them on."""
        if "epoch" in numbers:
            self.epochs.append(numbers)
        else:
            notes = [self.closing.get("note", ""), numbers.get("note", "")]
            self.closing.update(numbers)
            if all(notes):  # no note makes another one forgotten
                self.closing["note"] = notes[0] if notes[1] in notes[0] else "; ".join(notes)
        if numbers.get("epoch", math.inf) > self.closing.get("resumed_from", 0):
            self.listener(**numbers)

    def seconds_left(self, epochs: int) -> float | None:
        """Until `epochs` are done at the pace so far; None before the first epoch. Early stopping may need less."""
        if not self.epochs:
            return None
        seconds = [row.get("seconds", 0.0) + row.get("valid_seconds", 0.0) for row in self.epochs]
        return sum(seconds) / len(seconds) * max(0, epochs - len(seconds))

    def write(self, folder: Path) -> None:
        """`journal.json` in the folder. What JSON does not know (infinity, not a number) is written as words."""
        content = {"epochs": self.epochs, "closing": self.closing}
        replace_text(folder / JOURNAL, json.dumps(_in_words(content), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The journal that was written there."""
        content = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        return cls([_in_numbers(row) for row in content["epochs"]], _in_numbers(content["closing"]))


_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _in_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_words(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_in_words(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _in_numbers(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: _WORDS.get(value, value) if isinstance(value, str) else value for key, value in figures.items()}
