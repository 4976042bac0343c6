"""Strategies that draw each user's hidden films at random: ratio_random and folds."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.ratios import Share, ratio_sizes, share_sizes, wanted_remainder
from recpipe.data.splits.strategy import (
    Labels,
    Owners,
    Promises,
    Strategy,
    drawn_places,
    events_a_user,
    split_first_watches,
)


class RatioRandom(Strategy):
    """Per user in drawn order: shares of the films train, validate and test. Sizes as in `ratio_sizes`."""

    strategy: Literal["ratio_random"] = "ratio_random"
    train: Share = 0.8
    valid: Share = 0.1
    seed: int = Field(default=0, ge=0)

    promises: ClassVar[Promises] = Promises()

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> RatioRandom:
        wanted_remainder(self.strategy, self.train, self.valid)
        return self

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self._labels)

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        return ratio_sizes(films, self.train, self.valid)

    def _labels(self, events: Interactions) -> Labels:
        valid, test = self.sizes(events_a_user(events))
        place = drawn_places(events, np.random.default_rng(self.seed))
        part = np.full(len(events), Part.TRAIN, dtype=np.uint8)
        part[place < (test + valid)[events.users]] = Part.VALID
        part[place < test[events.users]] = Part.TEST
        return Labels.kept(part)


class Folds(Strategy):
    """Fold `fold` of each user's films is the test part, a further tenth of the rest validation.

    The folds of one seed share no film of a user and hide every film of every user with at least two; a user with one
    film stays in the training part. A user's first fold is drawn, so that folds come out equally large.
    """

    strategy: Literal["folds"] = "folds"
    fold: int = Field(default=1, ge=1)
    of: int = Field(default=5, ge=2, le=20)
    seed: int = Field(default=0, ge=0)

    promises: ClassVar[Promises] = Promises()

    @model_validator(mode="after")
    def _fold_exists(self) -> Folds:
        if self.fold > self.of:
            raise ValueError(f"folds: fold {self.fold} of {self.of} does not exist; folds count from 1 to {self.of}")
        return self

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self._labels)

    def sizes(self, films: LongArray) -> None:
        return None

    def _labels(self, events: Interactions) -> Labels:
        random = np.random.default_rng(self.seed)
        films = events_a_user(events)
        place = drawn_places(events, random)
        first_fold = random.integers(self.of, size=events.n_users)
        test = ((place + first_fold[events.users]) % self.of == self.fold - 1) & (films[events.users] > 1)
        rest = np.flatnonzero(~test)
        left = Owners.of(events, rest)
        n_valid = share_sizes(events_a_user(left), 0.1)
        place = drawn_places(left, np.random.default_rng([self.seed, self.fold]))
        part = np.full(len(events), Part.TRAIN, dtype=np.uint8)
        part[test] = Part.TEST
        part[rest[place < n_valid[left.users]]] = Part.VALID
        return Labels.kept(part)
