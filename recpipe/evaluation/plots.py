"""Plots of results: titled, with units, in colours that colour-blind readers can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recpipe.evaluation.comparison import Interval

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MARKS = ("o", "s", "^", "D")
DOTS_PER_INCH = 100


def training_curve(epochs: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """Loss and validation metric by epoch, one above the other; the best epoch is marked."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    _line(above, epochs, "loss", BLUE)
    above.set(title="Training: loss and validation by epoch", ylabel="loss (mean an example)")
    numbers, valid = _line(below, epochs, "valid", ORANGE)
    if len(valid):
        best = int(np.argmax(valid))
        side = "left" if best < len(valid) / 2 else "right"
        below.plot(numbers[best], valid[best], "*", color=ORANGE, markersize=13)
        below.annotate(
            f"best: {valid[best]:.4f}",
            (numbers[best], valid[best]),
            xytext=(0, -16),
            textcoords="offset points",
            ha=side,
        )
        below.margins(y=0.25)
    below.set(xlabel="epoch", ylabel=f"validation {metric}")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def importance(shares: Mapping[str, float], most: int = 20) -> Figure:
    """What each column of a ranker's table brought, as a share of all that its splits brought; the `most` greatest."""
    greatest = sorted(shares.items(), key=lambda each: each[1])[-most:]
    figure = Figure(figsize=(7, 1.2 + 0.26 * len(greatest)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name for name, _ in greatest], [100 * share for _, share in greatest], color=BLUE)
    axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
    axes.set(title="What the trees split at", xlabel="share of the gain (%)")
    axes.margins(x=0.1)
    grid(axes, "x")
    return figure


def search_path(path: Sequence[tuple[str, float]], metric: str) -> Figure:
    """What a forward selection reached after each step, from the best member alone; the member added beside each."""
    figure = Figure(figsize=(7, 1.4 + 0.3 * len(path)), layout="constrained")
    axes = figure.subplots()
    reached, steps = np.array([score for _, score in path]), np.arange(len(path))
    axes.plot(reached, steps, color=BLUE, marker="o")
    for step, gain in enumerate(np.diff(reached), start=1):
        axes.annotate(f"{gain:+.4f}", (reached[step], step), xytext=(8, -3), textcoords="offset points", fontsize=9)
    axes.set_yticks(steps, [("+ " if step else "") + member for step, (member, _) in enumerate(path)])
    axes.invert_yaxis()
    axes.set(title="Greedy search: what each step brought", xlabel=f"{metric} on validation, of the users searched on")
    axes.margins(x=0.15)
    grid(axes, "x")
    return figure


def metrics_by_user_group(groups: Mapping[str, Mapping[str, Interval]], names: Sequence[str]) -> Figure:
    """Means with 95 % intervals of each metric, one colour and mark a group of users."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, (group, metrics) in enumerate(groups.items()):
        shift = (number - (len(groups) - 1) / 2) * 0.16
        chosen = [metrics[name] for name in names]
        means, errors = error_bars(chosen)
        colour, mark = COLOURS[number % 4], MARKS[number % 4]
        places = np.arange(len(names)) + shift
        axes.errorbar(places, means, yerr=errors, linestyle="", marker=mark, color=colour, capsize=3, label=group)
    axes.set(title="Metrics by group of users", ylabel="mean over users, 95 % interval")
    axes.set_xticks(np.arange(len(names)), names)
    axes.set_ylim(bottom=0)
    grid(axes, "y")
    figure.legend(title="users", frameon=False, loc="outside right upper")
    return figure


def recall_by_film_group(groups: Mapping[str, Mapping[str, float]], cut_offs: Sequence[int]) -> Figure:
    """Share of each film group's hidden films that was found, by cut-off."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(len(groups), 1)
    for number, (group, figures) in enumerate(groups.items()):
        places = np.arange(len(cut_offs)) + (number - (len(groups) - 1) / 2) * width
        shares = [100 * figures[f"recall@{k}"] for k in cut_offs]
        label = f"{group}: {figures['films']:,.0f} films, {figures['targets']:,.0f} hidden"
        bars = axes.bar(
            places, shares, width * 0.92, color=COLOURS[number % 4], hatch=("", "//")[number % 2], label=label
        )
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
    axes.set(
        title="Hidden films that were found, by group of films", xlabel="films in the list (k)", ylabel="found (%)"
    )
    axes.set_xticks(np.arange(len(cut_offs)), [str(k) for k in cut_offs])
    axes.margins(y=0.15)
    grid(axes, "y")
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def scores_of_models(names: Sequence[str], scores: Sequence[Interval], metric: str) -> Figure:
    """Each model's mean with its 95 % interval, the first on top."""
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(names)), layout="constrained")
    axes = figure.subplots()
    means, errors = error_bars(scores)
    axes.errorbar(means, np.arange(len(names)), xerr=errors, linestyle="", marker="o", color=BLUE, capsize=3)
    axes.axvline(means[0], color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(title=f"Models by {metric}", xlabel=f"{metric} (mean over users, 95 % interval)")
    grid(axes, "x")
    return figure


def data_uri(figure: Figure) -> str:
    """The figure as a PNG inside a URI, for HTML and Markdown."""
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


def _line(axes: Axes, epochs: Sequence[Mapping[str, Any]], key: str, colour: str) -> tuple[Any, Any]:
    """Draws the epochs that have the number; returns epochs and numbers."""
    told = [each for each in epochs if each.get(key) is not None]
    numbers = np.array([each["epoch"] for each in told], dtype=float)
    values = np.array([each[key] for each in told], dtype=float)
    axes.plot(numbers, values, color=colour, marker="." if len(told) < 60 else "")
    grid(axes, "y")
    return numbers, values


def error_bars(intervals: Sequence[Interval]) -> tuple[Any, Any]:
    """Means, and the distances to both ends as matplotlib wants them."""
    means = np.array([each.mean for each in intervals])
    ends = np.array([[each.low, each.high] for each in intervals])
    return means, np.abs(ends - means[:, None]).T


def grid(axes: Axes, along: str) -> None:
    """Pale lines along one axis (x, y or both), behind what is drawn, and no frame above and on the right."""
    axes.grid(axis=along, color="#dddddd", linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
