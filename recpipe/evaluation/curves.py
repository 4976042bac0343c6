"""Learning curves of several models: one picture, validation by epoch and by seconds, and a row a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from recpipe.evaluation.pages import page
from recpipe.evaluation.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, grid

SKY, YELLOW = "#56B4E9", "#E69F00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GREY)
DASHES = ("-", "--", ":", "-.")
"""Colours and dashes go round with lengths that have no common divisor: 28 models before two lines look alike."""
SPREAD = 20.0
"""How many times longer than the shortest training the longest may be before seconds go by their magnitude."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Validation over one training. epochs: int64, seconds: float64 from the start, scores: float64, all [validated].

    figures: of the training as a whole, as its record has them.
    """

    model: str
    epochs: NDArray[np.int64]
    seconds: NDArray[np.float64]
    scores: NDArray[np.float64]
    figures: Mapping[str, Any]

    @classmethod
    def of(cls, model: str, rows: Sequence[Mapping[str, Any]], before: float, figures: Mapping[str, Any]) -> Self:
        """From a journal's rows. before: seconds of what was trained before the first of them."""
        ends = before + np.cumsum([row.get("seconds", 0.0) + row.get("valid_seconds", 0.0) for row in rows])
        told = [(row["epoch"], end, row["valid"]) for row, end in zip(rows, ends, strict=True)
                if row.get("valid") is not None]  # fmt: skip
        epochs, seconds, scores = zip(*told, strict=True) if told else ((), (), ())
        return cls(model, np.array(epochs, dtype=np.int64), np.array(seconds, dtype=float),
                   np.array(scores, dtype=float), figures)  # fmt: skip

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def best(self) -> int:
        """The position of the best epoch, the first of equals. Scores that are no numbers are never it."""
        return int(np.argmax(np.nan_to_num(self.scores, nan=-np.inf)))


def learning_curves(curves: Sequence[Curve], metric: str) -> Figure:
    """Two plots with one scale of scores; each model's best epoch is marked, the legend is in the order of the best."""
    figure = Figure(figsize=(10, 4.6 + 0.12 * len(curves)), layout="constrained")
    by_epoch, by_seconds = figure.subplots(1, 2, sharey=True)
    ordered = sorted(curves, key=lambda curve: -curve.scores[curve.best])
    dashes = cycle(DASHES)
    looks = [(COLOURS[number % len(COLOURS)], next(dashes)) for number in range(len(ordered))]
    for curve, (colour, dash) in zip(ordered, looks, strict=True):
        label = f"{curve.model}: {curve.scores[curve.best]:.4f} in epoch {curve.epochs[curve.best]}"
        _line(by_epoch, curve.epochs, curve, colour, dash, label)
        _line(by_seconds, curve.seconds, curve, colour, dash, label)
    by_epoch.set(title="By epoch", xlabel="epoch", ylabel=f"validation {metric}")
    by_epoch.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_seconds.set(title="By time", xlabel="seconds of training and validation")
    ends = [curve.seconds[-1] for curve in curves]
    if max(ends) > SPREAD * min(ends) > 0:
        by_seconds.set_xscale("log")
    figure.legend(*by_epoch.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def page_of(curves: Sequence[Curve], picture: str, split: str, metric: str) -> str:
    """A page that stands alone: the picture, a data URI, and the table."""
    return page("curves.html", split=split, metric=metric, picture=picture, columns=COLUMNS, rows=[*map(row, curves)])


COLUMNS = ("model", "epochs", "best epoch", "validation", "s to the best", "s in all", "peak MiB", "ended by")


def row(curve: Curve) -> list[str]:
    """The cells of `COLUMNS`; a model that is learned in one step has no epochs to tell of."""
    figures = curve.figures
    ends = [f"{figures['seconds']:,.1f}", f"{figures['peak_memory_mb']:,.0f}", str(figures["stopped"])]
    if not len(curve):
        return [curve.model, str(figures["epochs"] or "–"), "–", "–", "–", *ends]
    best = curve.best
    told = [str(curve.epochs[best]), f"{curve.scores[best]:.4f}", f"{curve.seconds[best]:,.1f}"]
    return [curve.model, str(figures["epochs"]), *told, *ends]


def _line(axes: Axes, places: NDArray[Any], curve: Curve, colour: str, dash: str, label: str) -> None:
    mark = "." if len(curve) < 40 else ""
    axes.plot(places, curve.scores, color=colour, linestyle=dash, linewidth=1.4, marker=mark, label=label)
    axes.plot(places[curve.best], curve.scores[curve.best], "*", color=colour, markersize=12)
    grid(axes, "both")
