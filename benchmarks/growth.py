"""Exponents of growth, beside those of the mathematics: from kept figures to rows, tables and the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from figures import Figure
from generated import ML_20M
from growing import AXES, PATH, Size, base_of, family_of, interactions_of, recipe_of, sizes

from recpipe.costs import Shape
from recpipe.probing import seconds_of_one
from recpipe.recipe import Recipe
from recpipe.settings import Project

CLEAR = 2.92
"""Standard errors: of four points on a line, Student's t with two degrees of freedom, 95 % on one side."""
ALLOWED = 0.1
"""An exponent above the mathematics that is nothing: over a factor of eight each number costs 1.23 times as much, as
where the data leaves the processor's cache."""
RANKING = {
    "SameForAll": (0, 1, 0), "Factors": (0, 1, 0), "PairNetwork": (0, 1, 0), "SequenceNetwork": (0, 1, 1),
    "HistoryNetwork": (0, 1, 1), "ItemWeights": (0, 1, 1), "BoostedTrees": (0, 1, 1), "UserNeighbours": (1, 1, 1),
    "nais": (0, 2, 1),
}  # fmt: skip
"""Exponents over users, films and a user's interactions of ranking so many users, by scorer or model: users × films,
times what is read of a history; neighbours compare a history with everybody's, and NAIS films with films."""
MASKED = 4
"""A known film that is masked takes as long as so many scores, as measured by `evaluate`."""


@dataclass(frozen=True)
class Axis:
    """exponent: measured, with its standard error. mathematics: its exponent over the same points. excess: the first
    above the second, with its standard error, in which nothing is that bends both alike."""

    exponent: float
    error: float
    mathematics: float
    excess: float
    excess_error: float

    @classmethod
    def of(cls, counts: Sequence[float], seconds: Sequence[float], mathematics: Sequence[float]) -> Axis:
        ratio = np.divide(seconds, mathematics)
        return cls(*slope(counts, seconds), slope(counts, mathematics)[0], *slope(counts, ratio))

    @property
    def worse(self) -> bool:
        return self.excess > max(ALLOWED, CLEAR * self.excess_error)


@dataclass(frozen=True)
class Grown:
    """One piece of work, and its growth by axis. kind: its family, or its scorer. far: the mathematics' exponents over
    the same axes on the shape of `ML_20M`, where a formula tells them."""

    work: str
    kind: str
    axes: Mapping[str, Axis]
    far: tuple[float, ...] = ()

    @property
    def worse(self) -> list[str]:
        """The axes on which it is worse than its mathematics."""
        return [name for name, axis in self.axes.items() if axis.worse]


def slope(counts: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Of the line through log values over log counts, by least squares, and its standard error."""
    across, up = np.log(counts), np.log(values)
    across = across - across.mean()
    steepness = float(across @ up / (across @ across))
    residuals = up - up.mean() - steepness * across
    return steepness, float(np.sqrt(residuals @ residuals / (len(counts) - 2) / (across @ across)))


def fits(figures: Iterable[Figure], work: Path) -> list[Grown]:
    """Of each model, beside its recipe's own estimate at the same points."""
    return [_fit(figure, work) for figure in by_family(figures)]


def _fit(figure: Figure, work: Path) -> Grown:
    model, seconds = figure["work"], by_size(figure, "fit")
    recipe, axes = recipe_of(model), {}
    for name, row in sizes(base_of(model)).items():
        shapes = [shape_of(size, work) for size in row]
        estimated = [seconds_of_one(recipe, shape) for shape in shapes]
        axes[name] = Axis.of([_count(name, shape) for shape in shapes], [seconds[size] for size in row], estimated)
    return Grown(model, family_of(model), axes, far(Project.here().recipe(model)))


def far(recipe: Recipe) -> tuple[float, ...]:
    """Exponents of the recipe's estimate over the axes, from the shape of `ML_20M` to twice as much."""
    here, *doubled = (seconds_of_one(recipe, shape) for shape in _far_shapes())
    return tuple(float(np.log2(seconds / here)) for seconds in doubled)


@cache
def _far_shapes() -> list[Shape]:
    """Of `ML_20M`, and with each axis doubled; films by their expected popularity, users all alike in their events."""
    base = Size(*ML_20M.values())
    return [_expected(size) for size in (base, *(row[1] for row in sizes(base).values()))]


def _expected(size: Size) -> Shape:
    popularity = 1.0 / (10.0 + np.arange(size.films)) ** 0.8
    counts = np.minimum(size.events * popularity / popularity.sum(), size.users)
    lengths = np.full(size.users, counts.sum() / size.users)
    return Shape(lengths.round().astype(np.int64), counts.round().astype(np.int64), rated=True)


def rankings(figures: Iterable[Figure], work: Path) -> list[Grown]:
    """Of each model, the ranking of a fixed number of users."""
    return [_known(figure, scorer, "rank", partial(_ranked, RANKING.get(figure["work"], RANKING[scorer])), work)
            for figure in by_family(figures) for scorer in {point["scorer"] for point in figure["points"]}]  # fmt: skip


def path(figures: Iterable[Figure], work: Path) -> list[Grown]:
    """Of each step of the data path: a sort of the events, or all scores of all users."""
    return [_known(figure, "data path", "fit", _scored if figure["work"] == "evaluate" else _sorted, work)
            for figure in figures if figure["work"] in PATH]  # fmt: skip


def _known(figure: Figure, kind: str, column: str, mathematics: Callable[[Shape], float], work: Path) -> Grown:
    seconds, axes = by_size(figure, column), {}
    smallest = min(seconds, key=lambda size: (size.events, size.films))
    for name, row in sizes(smallest).items():
        shapes = [shape_of(size, work) for size in row]
        counts, expected = [_count(name, shape) for shape in shapes], [mathematics(shape) for shape in shapes]
        axes[name] = Axis.of(counts, [seconds[size] for size in row], expected)
    return Grown(figure["work"], kind, axes)


def _ranked(exponents: tuple[int, int, int], shape: Shape) -> float:
    counts = shape.n_users, shape.n_items, shape.n_events / shape.n_users
    return float(np.prod(np.power(counts, exponents)) + MASKED * counts[2])


def _sorted(shape: Shape) -> float:
    return shape.n_events * float(np.log(shape.n_events))


def _scored(shape: Shape) -> float:
    """A score for each user and film, and each event known or hidden; CPU seconds of either, as measured."""
    return 1.5e-8 * (shape.n_users * shape.n_items + MASKED * shape.n_events)


def table(grown: Iterable[Grown], kind: str) -> Iterator[str]:
    """Markdown: measured exponent ± standard error / that of the mathematics, for each axis."""
    grown = list(grown)
    told_far = [" by the formula, at 138,000 × 20,000 × 20 million |"] if any(each.far for each in grown) else []
    yield f"| {kind} | work | {' | '.join(AXES)} |{''.join(told_far)} worse than its mathematics |"
    yield "|---" * (len(AXES) + 3 + len(told_far)) + "|"
    for each in grown:
        cells = (f"{_said(axis.exponent)} ± {_said(axis.error)} / {_said(axis.mathematics)}"
                 for axis in each.axes.values())  # fmt: skip
        worse = ", ".join(f"**{name}: +{each.axes[name].excess:.2f}**" for name in each.worse) or "–"
        columns = [each.kind, f"`{each.work}`", *cells]
        columns += [" / ".join(f"{exponent:.1f}" for exponent in each.far)] if told_far else []
        yield f"| {' | '.join([*columns, worse])} |"


def _said(number: float) -> str:
    return f"{round(number, 2) + 0.0:.2f}"  # no minus before a zero


@cache
def shape_of(size: Size, work: Path) -> Shape:
    return Shape.of(interactions_of(size, work))


def _count(axis: str, shape: Shape) -> int:
    return {"users": shape.n_users, "films": shape.n_items, "interactions": shape.n_events}[axis]


def by_size(figure: Figure, column: str) -> dict[Size, float]:
    return {Size(*point["size"]): point[column] for point in figure["points"]}


def by_family(figures: Iterable[Figure]) -> list[Figure]:
    return sorted((figure for figure in figures if figure["work"] not in PATH),
                  key=lambda figure: (family_of(figure["work"]), figure["work"]))  # fmt: skip
