"""Pictures of studies: models on a line with bars, differences with intervals, scores beside scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from recpipe.evaluation.comparison import Interval
from recpipe.evaluation.metrics import Values
from recpipe.evaluation.plots import BLUE, GREY, ORANGE, error_bars, grid
from recpipe.studies.head_to_head import GroupResult


def places_on_a_line(
    names: Sequence[str],
    places: Sequence[float],
    runs: Sequence[tuple[int, int]],
    axis: str,
    best: str = "left",
    critical: float | None = None,
    decimals: int = 4,
) -> Figure:
    """Critical-difference diagram (Demšar, 2006): models on a line, the best first; bars join what is not told apart.

    runs: first and last position of each bar. best: the side on which the best stands. critical: a length that is drawn
    above the line for comparison, in the axis' unit. decimals: of the places as they are told.
    """
    n = len(names)
    right = (n + 1) // 2
    height = max(right, n - right)
    figure = Figure(figsize=(8.6, 1.5 + 0.3 * height + 0.13 * len(runs)), layout="constrained")
    axes = figure.subplots()
    low, high = min(places), max(places)
    pad = 0.03 * ((high - low) or 1.0)
    start, end = low - pad, high + pad
    axes.hlines(0, start, end, color="black", linewidth=1.2)
    bars = 0.35 + 0.42 * len(runs)
    for level, (first, last) in enumerate(runs):
        drawn = sorted((places[first], places[last]))
        axes.hlines(-0.35 - 0.42 * level, drawn[0] - pad / 2, drawn[1] + pad / 2, color=BLUE, linewidth=4)
    for number, (name, place) in enumerate(zip(names, places, strict=True)):
        first_half = number < right
        row = number if first_half else n - 1 - number
        y = -bars - 0.5 - 0.8 * row
        side = 1 if (best == "right") == first_half else -1
        edge = end if side > 0 else start
        axes.plot([place, place, edge], [0, y, y], color=GREY, linewidth=0.8)
        axes.plot(place, 0, "|", color="black", markersize=9)
        axes.annotate(f"{name}  {place:.{decimals}f}", (edge, y), xytext=(4 * side, 0), textcoords="offset points",
                      ha="left" if side > 0 else "right", va="center", fontsize=9)  # fmt: skip
    if critical is not None:
        axes.hlines(1.0, start, start + critical, color=ORANGE, linewidth=3)
        axes.annotate(f"critical difference {critical:.2f}", (start, 1.25), fontsize=9, color=ORANGE, va="bottom")
    ticks = [tick for tick in axes.get_xticks() if start <= tick <= end]
    axes.set_xlim(start, max(end, start + (critical or 0)))
    axes.set_xticks(ticks)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(xlabel=axis, yticks=[], ylim=(-bars - 0.5 - 0.8 * height, 2.2 if critical is not None else 0.6))
    axes.spines[:].set_visible(False)
    return figure


def difference_matrix(names: Sequence[str], differences: Values, apart: NDArray[np.bool_], metric: str) -> Figure:
    """Mean of the row less mean of the column in colours; pairs that are not told apart are crossed out."""
    n = len(names)
    size = 3.6 + 0.32 * n
    figure = Figure(figsize=(size + 1.4, size), layout="constrained")
    axes = figure.subplots()
    most = float(np.abs(differences).max()) or 1.0
    shown = axes.imshow(differences, cmap="PuOr", vmin=-most, vmax=most)
    rows, columns = np.nonzero(~apart & ~np.eye(n, dtype=bool))
    axes.plot(columns, rows, "x", color=GREY, markersize=6, linestyle="")
    axes.set_xticks(np.arange(n), names, rotation=90)
    axes.set_yticks(np.arange(n), names)
    axes.set_title("Row less column; × is not told apart", fontsize=10)
    figure.colorbar(shown, ax=axes, label=f"difference of {metric}", shrink=0.8)
    return figure


def differences_by_group(groups: Sequence[GroupResult], first: str, second: str, measure: str) -> Figure:
    """First less second in each group with its interval, under a heading a kind; filled where it is a finding."""
    headings = list(dict.fromkeys(group.by for group in groups))
    lines = len(groups) + 1.3 * len(headings)
    figure = Figure(figsize=(8.6, 1.1 + 0.25 * lines), layout="constrained")
    axes = figure.subplots()
    y, ticks, labels = 0.0, [], []
    for heading in headings:
        axes.annotate(heading, (0, y + 0.1), xycoords=("axes fraction", "data"), fontsize=9, fontweight="bold",
                      xytext=(4, 0), textcoords="offset points", va="center")  # fmt: skip
        y += 1
        for group in (each for each in groups if each.by == heading):
            change = group.difference
            colour = GREY if not group.found else BLUE if change.mean > 0 else ORANGE
            axes.hlines(y, change.low, change.high, color=colour, linewidth=1.6)
            axes.plot(change.mean, y, "o", color=colour, markerfacecolor=colour if group.found else "white")
            ticks.append(y)
            labels.append(f"{group.who}  ({group.users:,})")
            y += 1
        y += 0.3
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(ticks, labels)
    axes.set_ylim(y, -0.8)
    axes.set(xlabel=f"← {second} better      {measure}, difference      {first} better →")
    grid(axes, "x")
    return figure


def scores_by_fold(names: Sequence[str], scores: Values, means: Sequence[Interval], metric: str) -> Figure:
    """A pale dot a fold, the mean with its interval over them. scores: float64 [folds × models], the best first."""
    figure = Figure(figsize=(8.6, 1.2 + 0.34 * len(names)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(names))
    centres, ends = error_bars(means)
    axes.errorbar(centres, rows, xerr=ends, linestyle="", marker="D", markersize=5, color=BLUE, capsize=3,
                  label="mean, 95 % interval corrected for overlapping folds")  # fmt: skip
    for number, fold in enumerate(scores):
        axes.plot(fold, rows + 0.22, "o", color=ORANGE, markersize=4, alpha=0.6, label="" if number else "one fold")
    axes.set_yticks(rows, names)
    axes.set(xlabel=metric)
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    axes.set_ylim(len(names) - 0.5, -1.6)
    grid(axes, "x")
    return figure


def agreements(names: Sequence[str], taus: Sequence[Interval]) -> Figure:
    """Kendall's tau of every split with its interval, the first on top."""
    figure = Figure(figsize=(8.6, 1.2 + 0.34 * len(names)), layout="constrained")
    axes = figure.subplots()
    centres, ends = error_bars(taus)
    rows = np.arange(len(names))
    axes.errorbar(centres, rows, xerr=ends, linestyle="", marker="o", color=BLUE, capsize=3)
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="Kendall's tau with the ranking on the hidden part (95 % interval over users)")
    grid(axes, "x")
    return figure


def scores_beside_scores(points: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> Figure:
    """A panel a split: what models have there over what they have on the hidden part; on the dashed line equal.

    points: by split, (across, up) a model.
    """
    columns = min(4, len(points))
    lines = -(-len(points) // columns)
    figure = Figure(figsize=(8.6, 0.4 + 2.2 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (split, pairs) in zip(panels, points.items(), strict=False):
        both = np.array(pairs, dtype=float).reshape(-1, 2)
        axes.plot(both[:, 0], both[:, 1], "o", color=BLUE, markersize=4, alpha=0.8)
        axes.axline((0, 0), slope=1, color=GREY, linewidth=0.8, linestyle="--")
        axes.set_title(split, fontsize=10)
        axes.tick_params(labelsize=8)
        axes.margins(0.1)
        grid(axes, "both")
    for axes in panels[len(points) :]:
        axes.set_visible(False)
    figure.supxlabel(across, fontsize=10)
    figure.supylabel(up, fontsize=10)
    return figure
