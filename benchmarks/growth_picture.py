"""The picture of growth: a row a family, a column an axis, a line a model."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
from figures import Figure
from growing import AXES, FACTORS, PATH, family_of, sizes
from growth import by_family, by_size, fits, path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from recpipe.evaluation.plots import BLUE, DOTS_PER_INCH, GREY, ORANGE, grid

HIGHEST = 256
GUIDES = (1, 2, 3)
COLOURS = 256
"""Of the palette: a quarter of the bytes of true colours."""


def picture(figures: Iterable[Figure], work: Path, file: Path) -> None:
    """Write a PNG: cost over size, both as multiples of the smallest; what is worse than its mathematics in orange."""
    figures = list(figures)
    worse = {each.work: each.worse for each in [*fits(figures, work), *path(figures, work)]}
    families = {name: list(of) for name, of in groupby(by_family(figures), lambda figure: family_of(figure["work"]))}
    families["data path"] = [figure for figure in figures if figure["work"] in PATH]
    drawing = Drawing(figsize=(9, 1.55 * len(families) + 0.8), layout="constrained")
    panels = drawing.subplots(len(families), len(AXES), sharex=True, sharey=True, squeeze=False)
    for row, (name, of) in zip(panels, families.items(), strict=True):
        for axes, axis in zip(row, AXES, strict=True):
            _panel(axes, axis, of, worse)
        row[0].set_ylabel(f"{name}\ncost, ×")
    for axes, axis in zip(panels[0], AXES, strict=True):
        axes.set_title(axis)
    for axes in panels[-1]:
        axes.set_xlabel("size, ×")
    dashed, orange = "dashed: proportional, squared, cubed", "orange: worse than its mathematics"
    drawing.suptitle(f"Cost of a fit (an epoch) by size\n{dashed}; {orange}")
    canvas = FigureCanvasAgg(drawing)
    drawing.set_dpi(DOTS_PER_INCH)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(COLOURS, Image.Quantize.FASTOCTREE).save(file, optimize=True)


def _panel(axes: Axes, axis: str, figures: list[Figure], worse: dict[str, list[str]]) -> None:
    across = np.array(FACTORS, dtype=float)
    for power in GUIDES:
        axes.plot(across, across**power, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
    ends = {}
    for figure in figures:
        seconds = by_size(figure, "fit")
        smallest = min(seconds, key=lambda size: (size.events, size.films))
        row = np.array([seconds[size] for size in sizes(smallest)[axis]])
        bad = axis in worse[figure["work"]]
        axes.plot(across, row / row[0], color=ORANGE if bad else BLUE, linewidth=1.3, alpha=0.9 if bad else 0.7,
                  marker=".", markersize=3)  # fmt: skip
        ends[figure["work"]] = row[-1] / row[0]
    steepest = max(ends, key=lambda name: ends[name])
    axes.annotate(f"steepest: {steepest}", (0.03, 0.95), xycoords="axes fraction", va="top", fontsize=7.5, color=GREY)
    axes.set(xscale="log", yscale="log", ylim=(0.5, HIGHEST))
    for each, places in ((axes.xaxis, FACTORS), (axes.yaxis, (1, 8, 64))):
        each.set_major_locator(FixedLocator(places))
        each.set_minor_locator(NullLocator())
        each.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    grid(axes, "both")
