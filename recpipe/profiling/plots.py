"""Plots of a data report, drawn from its figures alone; colours and habits are those of the evaluation's plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recpipe.evaluation.plots import BLUE, GREEN, GREY, ORANGE, grid
from recpipe.profiling.coverage import Coverage
from recpipe.profiling.drift import Drift
from recpipe.profiling.long_tail import Spread
from recpipe.profiling.sessions import Sessions
from recpipe.profiling.years import Years

LABELS = 12
"""Names of periods on an axis, at most."""


def lorenz(films: Spread, users: Spread) -> Figure:
    """The share of all interactions that the least busy have together, films and users."""
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle="--", label="all alike")
    for name, spread, colour, line in (("films", films, BLUE, "-"), ("users", users, ORANGE, "-.")):
        axes.plot(100 * np.array(spread.lorenz), color=colour, linestyle=line, label=f"{name}, Gini {spread.gini:.2f}")
    axes.set(title="Spread over films and users", xlabel="films, or users, the least busy first (%)",
             ylabel="their share of the interactions (%)")  # fmt: skip
    grid(axes, "both")
    axes.legend(frameon=False, loc="upper left")  # no curve rises above "all alike"
    return figure


def pauses(sessions: Sessions) -> Figure:
    """How far apart in time neighbouring interactions of a user are; what ends a session stands out."""
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    axes = figure.subplots()
    names = list(sessions.gaps)
    colours = [ORANGE if place > names.index("up to 30 minutes") else BLUE for place in range(len(names))]
    _bars(axes, sessions.gaps, colours)
    axes.set(title="From one interaction of a user to the next", xlabel="share of all such pauses")
    return figure


def activity(drift: Drift) -> Figure:
    """Interactions, users and new films of each period, one above the other."""
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True)
    places = np.arange(len(drift.periods))
    above.bar(places, drift.events, color=BLUE)
    above.set(title=f"Over time, by {drift.unit}", ylabel="interactions")
    middle.plot(places, drift.active_users, color=BLUE, marker=".", label="active")
    middle.plot(places, drift.new_users, color=ORANGE, marker=".", linestyle="--", label="new")
    middle.set(ylabel="users")
    middle.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    below.bar(places, drift.new_films, color=GREEN)
    below.set(ylabel="new films")
    shown = places[:: -(-len(places) // LABELS)]
    below.set_xticks(shown, [drift.periods[place] for place in shown], rotation=30, ha="right")
    for axes in (above, middle, below):
        axes.set_ylim(bottom=0)
        grid(axes, "y")
    return figure


def rank_correlation(drift: Drift) -> Figure:
    """Spearman's between the films' popularity in parts of equal size, one after another in time."""
    figure = Figure(figsize=(5.4, 4.0), layout="constrained")
    axes = figure.subplots()
    table = np.array([[np.nan if cell is None else cell for cell in row] for row in drift.rank_correlation])
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
    for (row, column), cell in np.ndenumerate(table):
        text = "–" if np.isnan(cell) else f"{cell:.2f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if cell > 0.6 else "black")
    names = [f"to {end}" for end in drift.part_ends]
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), names)
    drawn = "" if drift.drawn is None else f" (drawn parts: {drift.drawn:.2f})"
    axes.set(title=f"Do the same films lead?{drawn}")
    return figure


def coverage(fields: Mapping[str, Coverage]) -> Figure:
    """What share of the films, and of the interactions, each field of the side data is known of."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    places, height = np.arange(len(fields)), 0.38
    shares = {"films": [each.films for each in fields.values()],
              "interactions": [each.interactions for each in fields.values()]}  # fmt: skip
    for number, (name, values) in enumerate(shares.items()):
        bars = axes.barh(places + (number - 0.5) * height, values, height * 0.92, color=(BLUE, ORANGE)[number],
                         hatch=("", "//")[number], edgecolor="white", label=name)  # fmt: skip
        axes.bar_label(bars, [f"{value:.0%}" for value in values], padding=2, fontsize=9)
    axes.set_yticks(places, list(fields))
    axes.invert_yaxis()
    axes.set(title="Side data that is known", xlabel="share")
    _shares(axes, 1.0)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def ages(years: Years) -> Figure:
    """How old films are when they are watched."""
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    axes = figure.subplots()
    _bars(axes, years.ages, [ORANGE if name == "before release" else BLUE for name in years.ages])
    axes.set(title="Age of a film when it is watched (years)", xlabel="share of the interactions")
    return figure


def watch_years(years: Years) -> Figure:
    """Release years of what was watched in each year: median, middle half, and eight in ten."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    watched = [int(year) for year in years.by_watch_year]
    told = list(years.by_watch_year.values())
    for low, high, width, name in (("p10", "p90", 2, "eight in ten"), ("p25", "p75", 7, "middle half")):
        axes.vlines(watched, [each[low] for each in told], [each[high] for each in told], BLUE, linewidth=width,
                    alpha=0.5, label=name)  # fmt: skip
    axes.plot(watched, [each["median"] for each in told], "o", color=BLUE, label="median")
    axes.plot(watched, watched, "_", color=ORANGE, markersize=22, markeredgewidth=2, label="year of the watch")
    axes.set(title="Release years of what was watched", xlabel="year of the watch", ylabel="release year")
    axes.set_xticks(watched[:: -(-len(watched) // LABELS)])
    axes.margins(x=0.15)
    grid(axes, "y")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _bars(axes: Axes, shares: Mapping[str, float], colours: Sequence[str]) -> None:
    bars = axes.barh(list(shares), list(shares.values()), color=colours)
    axes.bar_label(bars, [f"{share:.1%}" for share in shares.values()], padding=2, fontsize=9)
    axes.invert_yaxis()
    _shares(axes, max(shares.values()) or 1.0)


def _shares(axes: Axes, most: float) -> None:
    axes.set_xlim(0, 1.12 * most)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    grid(axes, "x")
