"""What every split strategy is: settings, a promise about the parts, and a pure function from interactions to parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from recpipe.data.interactions import IntArray, Interactions, LongArray
from recpipe.data.parts import Part, Parts

REPEAT = "the user watched this film before"
"""Why a later watch of the same film is dropped: in another part than the first it would give the answer away."""


@dataclass(frozen=True)
class Promises:
    """What the split-integrity suite holds a strategy to.

    hides: there are validation and test parts. order: "user" (each user's training films come before the validation
    films, these before the test films), "latest" (a user's latest films are hidden before any is drawn), "date" (the
    parts follow one another in time, whoever the user is), "none". users: those of the later parts are "known" to the
    training part, "unknown" to it, or "any". items: "all", "most" or "any" of the later films stand in the training
    part. popularity: how far films may rank otherwise in a later part than if it were drawn at random ("as drawn",
    "drifts", "any"). drops: "none", only "repeats" (see `split_first_watches`), or "more", with the strategy's reasons.
    """

    hides: bool = True
    order: Literal["user", "latest", "date", "none"] = "none"
    users: Literal["known", "unknown", "any"] = "known"
    items: Literal["all", "most", "any"] = "most"
    popularity: Literal["as drawn", "drifts", "any"] = "as drawn"
    drops: Literal["none", "repeats", "more"] = "repeats"


@dataclass(frozen=True, eq=False)
class Labels:
    """The part of each event, and why events were dropped. Fields as in `Parts`."""

    part: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    reasons: tuple[str, ...] = ("",)

    @classmethod
    def kept(cls, part: NDArray[np.uint8]) -> Labels:
        """Nothing is dropped."""
        return cls(part, np.zeros(len(part), dtype=np.uint8))


class Strategy(BaseModel, ABC):
    """The settings of one way to split. Frozen; unknown keys are refused; concrete strategies are never subclassed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promises: ClassVar[Promises]

    strategy: str

    @abstractmethod
    def split(self, interactions: Interactions) -> Parts:
        """Every event with its part. The same interactions and settings give the same parts."""

    @abstractmethod
    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray] | None:
        """How many of a user's films go to validation and to test, for users who watched so many.

        None where that does not follow from the number of films alone.
        """


def split_first_watches(interactions: Interactions, label: Callable[[Interactions], Labels]) -> Parts:
    """Label each user's first watch of each film; later watches of it are dropped as `REPEAT`."""
    if not len(interactions):
        raise ValueError("a split wants at least one event, and the interactions have none: see the rejects table")
    first = first_watches(interactions)
    labels = label(interactions if first.all() else interactions.take(first))
    part = np.full(len(interactions), Part.DROPPED, dtype=np.uint8)
    reason = np.full(len(interactions), len(labels.reasons), dtype=np.uint8)
    part[first] = labels.part
    reason[first] = labels.reason
    reasons = labels.reasons if first.all() else (*labels.reasons, REPEAT)
    return Parts(interactions, part, reason, reasons)


def first_watches(interactions: Interactions) -> NDArray[np.bool_]:
    """bool [events]: the event is its user's first of its film."""
    pairs = interactions.users * np.int64(interactions.n_items)
    pairs += interactions.items
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    repeated = order[1:][pairs[1:] == pairs[:-1]]
    first = np.ones(len(interactions), dtype=bool)
    first[repeated] = False
    return first


@dataclass(frozen=True, eq=False)
class Owners:
    """Whose each event is: what strategies that only count take of some events, a fifth of the memory of all columns.

    users: int32 [events], ascending.
    """

    users: IntArray
    n_users: int

    @classmethod
    def of(cls, events: Interactions, some: LongArray) -> Owners:
        """some: int64 places of events, ascending."""
        return cls(events.users[some], events.n_users)

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def offsets(self) -> LongArray:
        """As of `Interactions`."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1)).astype(np.int64)


def events_a_user(events: Interactions | Owners) -> LongArray:
    """int64 [n_users]."""
    return np.diff(events.offsets)


def places(events: Interactions | Owners) -> IntArray:
    """int32 [events]: the place in the user's row, 0 for the oldest."""
    place = np.arange(len(events), dtype=np.int32)
    place -= events.offsets.astype(np.int32)[events.users]
    return place


def drawn_places(events: Interactions | Owners, random: np.random.Generator) -> IntArray:
    """int32 [events]: the place in the user's row when that is put into a drawn order."""
    drawn = np.empty(len(events), dtype=np.int32)
    keys = random.random(len(events))
    keys += events.users  # one array to sort: six times as fast as a lexical sort of two
    drawn[np.argsort(keys.view(np.int64), kind="stable")] = places(events)  # numbers above 0 and their bits: one order
    return drawn
