"""Strategies that take few users or all events: quick (a full cycle in little time) and full (for the submission)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.by_user import Holdout
from recpipe.data.splits.strategy import Labels, Promises, Strategy, events_a_user, split_first_watches


class Quick(Strategy):
    """A drawn share of the users, `at_least` so many, split as `within` says; everybody else's events are dropped."""

    strategy: Literal["quick"] = "quick"
    users_share: float = Field(default=0.01, gt=0, le=1)
    at_least: int = Field(default=50, ge=1)
    within: Holdout = Holdout()
    seed: int = Field(default=0, ge=0)

    # so few users train on too few films for a promise about those of the test part
    promises: ClassVar[Promises] = replace(Holdout.promises, items="any", drops="more")

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self._labels)

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        return self.within.sizes(films)

    def _labels(self, events: Interactions) -> Labels:
        active = np.flatnonzero(events_a_user(events))
        n_users = min(len(active), max(self.at_least, round(self.users_share * len(active))))
        sampled = np.zeros(events.n_users, dtype=bool)
        sampled[np.random.default_rng(self.seed).permutation(active)[:n_users]] = True

        inside = np.flatnonzero(sampled[events.users])
        part = np.full(len(events), Part.DROPPED, dtype=np.uint8)
        part[inside] = self.within.labels(events.take(inside)).part
        reason = (part == Part.DROPPED).astype(np.uint8)
        return Labels(part, reason, ("", "not in the quick sample"))


class Full(Strategy):
    """Everything trains, films watched twice too: nothing is hidden, so nothing can leak."""

    strategy: Literal["full"] = "full"

    promises: ClassVar[Promises] = Promises(hides=False, drops="none")

    def split(self, interactions: Interactions) -> Parts:
        part = np.full(len(interactions), Part.TRAIN, dtype=np.uint8)
        return Parts(interactions, part, np.zeros_like(part))

    def sizes(self, films: LongArray) -> tuple[LongArray, LongArray]:
        return np.zeros_like(films), np.zeros_like(films)
