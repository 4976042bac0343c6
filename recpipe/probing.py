"""A short probe of this machine: one small fit of a recipe, by which the formula of its cost is corrected."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from recpipe.costs import Shape
from recpipe.data.features import Bag, ItemFeatures
from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.ranking import rank
from recpipe.recipe import ROWS_A_CALL, Recipe, Run
from recpipe.training.costs import START_SECONDS

AIM = 1.2
"""Seconds that the fit of a probe may take by the formula."""
EPOCHS = 3
PATIENCE = 20.0
"""Seconds after which a probe is ended, where the formula was wrong."""
FEW = 32
"""Users, and films, from which on their number is not halved any more."""
NOISE = 0.01
"""Seconds added to both sides of a quotient: what takes less cannot be told apart."""


@dataclass(frozen=True)
class Probe:
    """How the formula was off on a small part of the data.

    correction: seconds measured / seconds by the formula, of an epoch or of a whole fit. ranking: seconds of scoring
    and ranking for one user and film; too many where films were left out, since part of them is of the user alone.
    users, films: of the part. seconds: that the probe took.
    """

    correction: float
    ranking: float
    users: int
    films: int
    seconds: float

    @classmethod
    def of(cls, recipe: Recipe, train: TrainingSet, device: str = "cpu", aim: float = AIM) -> Self:
        """Fit the recipe on a part of the data for `aim` seconds by its formula: three epochs, or all of it in one.

        CPU seconds of this process, so that other work on the machine does not count; of the clock on a GPU. Give the
        process one thread: the formulas are of one. Raises what `fit` raises where the recipe cannot learn from it.
        """
        now = time.process_time if device == "cpu" else time.monotonic
        begun = time.monotonic()
        epochs = EPOCHS if "epochs" in type(recipe).model_fields else None
        small = part_that_takes(recipe, train, aim / (epochs or 1))
        shape, stamps = Shape.of(small.interactions), _Stamps(now)
        run = Run(device=device, epochs=epochs, time_budget=PATIENCE, report=stamps.report)
        started = now()
        scorer = recipe.model_copy(update=_without_stages(recipe)).fit(small, run)
        measured = stamps.an_epoch() if epochs else now() - started
        asked = small.interactions.histories()
        asked = asked.rows(np.flatnonzero(asked.lengths)[:ROWS_A_CALL])
        started = now()
        rank(scorer, asked, 10)
        ranking = (now() - started) / max(1, len(asked) * shape.n_items)
        correction = (measured + NOISE) / (seconds_of_one(recipe, shape) + NOISE)
        return cls(correction, ranking, shape.n_users, shape.n_items, time.monotonic() - begun)


def seconds_of_one(recipe: Recipe, shape: Shape) -> float:
    """By the formula: of one epoch without the loop's start, or of the fit of a recipe without epochs."""
    seconds = recipe.cost(shape).seconds
    return max(0.0, seconds - START_SECONDS) if "epochs" in type(recipe).model_fields else seconds


def part_that_takes(recipe: Recipe, train: TrainingSet, seconds: float) -> TrainingSet:
    """The whole training set, or the largest part of it that the formula says is short enough.

    Users or films are halved, in turn whichever shortens it more, until then or until few are left: what is as it is
    for all users, or for all films, is thus measured as it is.
    """
    part = train
    while seconds_of_one(recipe, Shape.of(part.interactions)) > seconds:
        users, films = part.n_users, part.n_items
        halves = [part_of(part, users // 2, films)] if users > FEW else []
        halves += [part_of(part, users, films // 2)] if films > FEW else []
        if not halves:
            break
        part = min(halves, key=lambda half: seconds_of_one(recipe, Shape.of(half.interactions)))
    return part


def part_of(train: TrainingSet, n_users: int, n_items: int) -> TrainingSet:
    """So many of the users who watched anything, evenly from first to last, and of the films, the most watched."""
    events = train.interactions
    films = np.sort(np.argsort(-events.item_counts(), kind="stable")[:n_items])
    watched = events.take(np.isin(events.items, films))
    active = np.flatnonzero(np.diff(watched.offsets))
    users = active[np.unique(np.linspace(0, len(active) - 1, min(n_users, len(active))).astype(np.int64))]
    kept = watched.take(np.isin(watched.users, users))
    renumbered = Interactions(
        np.searchsorted(users, kept.users).astype(np.int32), np.searchsorted(films, kept.items).astype(np.int32),
        kept.times, kept.ratings, len(users), len(films),
    )  # fmt: skip
    return TrainingSet(renumbered, None if train.features is None else _features_of(train.features, films))


class _Stamps:
    """Receives a fit's reports and notes when each epoch ended."""

    def __init__(self, now: Any) -> None:
        self._now, self._ends, self._predicted = now, [now()], None
        self._rows: list[dict[str, Any]] = []

    def report(self, **numbers: Any) -> None:
        self._predicted = numbers.get("predicted_epoch_seconds", self._predicted)
        if "epoch" in numbers:
            self._ends.append(self._now())
            self._rows.append(numbers)

    def an_epoch(self) -> float:
        """Seconds of one: of the later ones, since the first has the start in it; as predicted where time was up."""
        if len(self._rows) == 1:  # reported by the clock on the wall, of which this process had a share
            wall = self._rows[0]["seconds"]
            return float((self._predicted or wall) * min(1.0, (self._ends[1] - self._ends[0]) / wall))
        whole = sum(row["examples"] for row in self._rows[1:]) / self._rows[0]["examples"]  # the last may be cut short
        return float((self._ends[-1] - self._ends[1]) / whole)


def _without_stages(recipe: Recipe) -> dict[str, int]:
    return {"pretraining": 0} if "pretraining" in type(recipe).model_fields else {}


def _features_of(features: ItemFeatures, films: LongArray) -> ItemFeatures:
    bags = {name: _bag_of(bag, films) for name, bag in features.bags.items()}
    return replace(
        features, titles=tuple(features.titles[film] for film in films), years=features.years[films], bags=bags
    )


def _bag_of(bag: Bag, films: Iterable[int]) -> Bag:
    words = np.array(bag.vocabulary, dtype=object)
    return Bag.from_lists([list(words[bag.values[bag.offsets[film] : bag.offsets[film + 1]]]) for film in films])
