"""What follows a training from outside: an interface of two calls, so that a tool more is a file more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Training:
    """What a tracker is told when a training starts.

    settings: of the recipe and the run, by name. folder: where trackers may write; each takes a subfolder of its own.
    run: tells this training from others of the same model and split.
    """

    model: str
    split: str
    settings: Mapping[str, Any]
    folder: Path
    run: str

    @property
    def name(self) -> str:
        """For people, and unique among the trainings of a folder."""
        return f"{self.model} {self.split} {self.run}"


class Tracker(Protocol):
    """One tool that follows one training; what it raises is caught by `following.Following`."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Figures of an epoch, from 1. Parts that are trained alone first count their own: `gmf/loss`."""

    def end(self, figures: Mapping[str, Any] | None) -> None:
        """The training is over: its closing figures; None where it failed."""
