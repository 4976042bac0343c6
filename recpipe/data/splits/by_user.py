"""Strategies that hide the latest films of each user: holdout (with drawn films too), ratio_time, leave_one_out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.ratios import Share, ratio_sizes, wanted_remainder
from recpipe.data.splits.strategy import (
    Labels,
    Owners,
    Promises,
    Strategy,
    drawn_places,
    events_a_user,
    places,
    split_first_watches,
)

Films = Annotated[int, Field(ge=0, le=1000)]


class Holdout(Strategy):
    """Per user the last films and some drawn from the rest are the test part; the same on what remains is validation.

    A user with n films hides min(last + random, floor(n × most_share)) of them, the last ones and the drawn ones in the
    proportion of the settings, the odd film going to the last ones. So a user with fewer than 1 / most_share films
    hides none and stays in the training part.
    """

    strategy: Literal["holdout"] = "holdout"
    last: Films = 5
    random: Films = 5
    valid_last: Films = 5
    valid_random: Films = 5
    most_share: float = Field(default=0.2, gt=0, le=0.5)
    seed: int = Field(default=0, ge=0)

    promises: ClassVar[Promises] = Promises(order="latest", popularity="drifts")

    @model_validator(mode="after")
    def _hides_something(self) -> Holdout:
        if not (self.last + self.random and self.valid_last + self.valid_random):
            raise ValueError("holdout hides nothing: last + random and valid_last + valid_random must be at least 1")
        return self

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self.labels)

    def labels(self, events: Interactions) -> Labels:
        """The parts of events among which no user has a film twice."""
        random = np.random.default_rng(self.seed)
        part = np.full(len(events), Part.TRAIN, dtype=np.uint8)
        test = hidden(events, self.last, self.random, self.most_share, random)
        part[test] = Part.TEST
        rest = np.flatnonzero(~test)
        valid = hidden(Owners.of(events, rest), self.valid_last, self.valid_random, self.most_share, random)
        part[rest[valid]] = Part.VALID
        return Labels.kept(part)

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        test = most(films, self.last + self.random, self.most_share)
        return most(films - test, self.valid_last + self.valid_random, self.most_share), test


def most(films: LongArray, wanted: int, share: float) -> LongArray:
    """int64: how many a user of so many films hides, where at most this share may be hidden."""
    return np.minimum(wanted, np.floor(films * share + 1e-9).astype(np.int64))


def hidden(
    events: Interactions | Owners, last: int, drawn: int, most_share: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """bool [events], among which no user has a film twice: each user's latest ones and some drawn from the rest."""
    films = events_a_user(events)
    wanted = most(films, last + drawn, most_share)
    n_last = latest_of(wanted, last, drawn)
    latest = places(events) >= (films - n_last)[events.users]
    rest = np.flatnonzero(~latest)
    others = Owners(events.users[rest], events.n_users)
    chosen = drawn_places(others, random) < (wanted - n_last)[others.users]
    return _with(latest, rest[chosen])


def latest_of(hidden: LongArray, last: int, drawn: int) -> LongArray:
    """int64: how many of the hidden films are the user's latest, the odd one counted to them."""
    return -(-hidden * last // (last + drawn))


class RatioTime(Strategy):
    """Per user in time order: the oldest films train, then validation, then test. Sizes as in `ratio_sizes`."""

    strategy: Literal["ratio_time"] = "ratio_time"
    train: Share = 0.8
    valid: Share = 0.1

    promises: ClassVar[Promises] = Promises(order="user", popularity="drifts")

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> RatioTime:
        wanted_remainder(self.strategy, self.train, self.valid)
        return self

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, lambda events: _by_place(events, *self.sizes(events_a_user(events))))

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        return ratio_sizes(films, self.train, self.valid)


class LeaveOneOut(Strategy):
    """The last film of each user is the test part, the one before validation; users with fewer than 3 films train."""

    strategy: Literal["leave_one_out"] = "leave_one_out"

    promises: ClassVar[Promises] = Promises(order="user", popularity="drifts")

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, lambda events: _by_place(events, *self.sizes(events_a_user(events))))

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        one = (films >= 3).astype(np.int64)
        return one, one


def _by_place(events: Interactions, valid: LongArray, test: LongArray) -> Labels:
    place, films = places(events), events_a_user(events)
    part = np.full(len(events), Part.TRAIN, dtype=np.uint8)
    part[place >= (films - test - valid)[events.users]] = Part.VALID
    part[place >= (films - test)[events.users]] = Part.TEST
    return Labels.kept(part)


def _with(mask: NDArray[np.bool_], positions: LongArray) -> NDArray[np.bool_]:
    wider = mask.copy()
    wider[positions] = True
    return wider
