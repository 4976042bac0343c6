"""A search for people: history and importance drawn, both settings side by side, Markdown and the proposal's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recpipe.evaluation import plots
from recpipe.evaluation.pages import table

if TYPE_CHECKING:
    from recpipe.search.result import ModelSearch, Tried


def history(search: ModelSearch) -> Figure:
    """Every trial's score by its number, the best so far as a line, the settings of now as another.

    Hopeless trials would leave the others a line at the top: what lies far below stands at the lower edge.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    pruned = [trial for trial in search.trials if trial.state == "pruned"]
    floor = _floor([trial.score for trial in (*search.complete, *pruned)])
    kinds = ((search.complete, "o", plots.BLUE, "measured"), (pruned, "x", plots.GREY, "pruned (best epoch so far)"))
    for trials, mark, colour, label in kinds:
        inside = [trial for trial in trials if trial.score >= floor]
        below = [trial.number + 1 for trial in trials if trial.score < floor]
        if trials:
            axes.plot(*_points(inside), mark, color=colour, label=label)
            axes.plot(below, [floor] * len(below), "v", color=colour, fillstyle="none")
    if search.complete:
        places, scores = _points(search.complete)
        axes.step(places, np.maximum.accumulate(scores), where="post", color=plots.ORANGE, label="best so far")
    if search.default is not None:
        axes.axhline(search.default.score, color=plots.GREEN, linestyle="--", label="settings of now")
    axes.set(title=f"Search of {search.model} on {search.split}", xlabel="trial (▽: far below)",
             ylabel=f"validation {search.metric}")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.grid(axes, "y")
    if search.trials:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def importance(search: ModelSearch) -> Figure:
    """How much each setting decides whether a trial is among the best."""
    shares = list(search.importance.items())[::-1]
    figure = Figure(figsize=(7, 1.2 + 0.34 * len(shares)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name for name, _ in shares], [100 * share for _, share in shares], color=plots.BLUE)
    axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    axes.set(title="What sets the best trials apart", xlabel="share (%), by PED-ANOVA")
    axes.margins(x=0.1)
    plots.grid(axes, "x")
    return figure


def changes(search: ModelSearch) -> dict[str, tuple[Any, Any]]:
    """The settings in which the best differs from those of now: (now, best); a setting that plays no part is None."""
    best: Mapping[str, Any] = search.best.settings if search.best else {}
    names = [*search.shipped, *(name for name in best if name not in search.shipped)]
    return {name: (search.shipped.get(name), best[name]) for name in names
            if name in best and (name not in search.shipped or best[name] != search.shipped[name])}  # fmt: skip


def proposal(search: ModelSearch) -> str:
    """What would change, as YAML, under the verdict as a comment."""
    found = {name: best for name, (_, best) in changes(search).items()}
    text = yaml.safe_dump(found, sort_keys=False, default_flow_style=None) if found else "{}\n"
    return f"# {search.verdict}\n{text}"


def markdown(search: ModelSearch) -> str:
    """The verdict, the settings and the pictures."""
    counts = ", ".join(f"{count} {state}" for state, count in search.counts().items() if count)
    lines = [f"{search.verdict}.", "", f"Study `{search.study}`: {counts}, {search.wanted} asked for.", ""]
    told = changes(search)
    if told:
        lines += table(("setting", "now", "best"), [[name, str(now), str(best)] for name, (now, best) in told.items()])
    lines += [f"\n![{title}]({picture})" for title, picture in _pictures(search).items()]
    return "\n".join(lines) + "\n"


def write_pictures(search: ModelSearch, folder: Path) -> None:
    """`history.png` and `importance.png`, the latter where there are trials enough."""
    for name, figure in _figures(search).items():
        figure.savefig(folder / f"{name}.png", dpi=plots.DOTS_PER_INCH, metadata={"Software": None})


def _figures(search: ModelSearch) -> dict[str, Figure]:
    return {"history": history(search)} | ({"importance": importance(search)} if search.importance else {})


def _pictures(search: ModelSearch) -> dict[str, str]:
    return {name: plots.data_uri(figure) for name, figure in _figures(search).items()}


def _points(trials: Sequence[Tried]) -> tuple[list[int], list[float]]:
    return [trial.number + 1 for trial in trials], [trial.score for trial in trials]


def _floor(scores: list[float]) -> float:
    """Outliers lie below it: further under the lower quartile than one and a half times the way up to the best."""
    if len(scores) < 4:
        return -np.inf
    low = float(np.quantile(scores, 0.25))
    return low - 1.5 * (max(scores) - low)
