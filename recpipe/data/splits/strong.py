"""Strong generalisation: whole users are held out (Marlin 2004; the protocol of Liang et al., 2018)."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.ratios import share_sizes
from recpipe.data.splits.strategy import (
    Labels,
    Owners,
    Promises,
    Strategy,
    drawn_places,
    events_a_user,
    split_first_watches,
)

Mask: TypeAlias = NDArray[np.bool_]


class Strong(Strategy):
    """Nothing of the held-out users trains: a drawn share of each one's films is known (fold-in), the rest to be found.

    Held-out users are drawn among those with at least two films. Their films that no training user watched are dropped;
    who is left with fewer than two is dropped whole.
    """

    strategy: Literal["strong"] = "strong"
    valid_users: float = Field(default=0.1, gt=0, le=0.4)
    test_users: float = Field(default=0.1, gt=0, le=0.4)
    fold_in: float = Field(default=0.8, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)

    promises: ClassVar[Promises] = Promises(users="unknown", items="all", drops="more")

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self._labels)

    def sizes(self, films: LongArray) -> None:
        return None

    def _labels(self, events: Interactions) -> Labels:
        random = np.random.default_rng(self.seed)
        valid, test = self._held_out(events, random)
        out = (valid | test)[events.users]
        known = np.bincount(events.items[~out], minlength=events.n_items)[events.items] > 0

        kept = np.flatnonzero(out & known)
        films = events_a_user(Owners.of(events, kept))
        kept = kept[films[events.users[kept]] > 1]
        held_out = Owners.of(events, kept)
        place = drawn_places(held_out, random)
        target = place < share_sizes(events_a_user(held_out), 1 - self.fold_in)[held_out.users]

        part = np.where(out, Part.DROPPED, Part.TRAIN).astype(np.uint8)
        in_test = test[held_out.users]
        part[kept] = np.select(
            [in_test & target, in_test, target], [Part.TEST, Part.TEST_FOLD_IN, Part.VALID], Part.VALID_FOLD_IN
        )
        reasons = (
            "",
            "no training user watched this film",
            "a held-out user with fewer than 2 films that training users watched",
        )
        reason = np.select([part != Part.DROPPED, ~known], [0, 1], 2).astype(np.uint8)
        return Labels(part, reason, reasons)

    def _held_out(self, events: Interactions, random: np.random.Generator) -> tuple[Mask, Mask]:
        eligible = np.flatnonzero(events_a_user(events) > 1)
        n_valid = max(1, round(self.valid_users * len(eligible)))
        n_test = max(1, round(self.test_users * len(eligible)))
        if n_valid + n_test >= len(eligible):
            raise ValueError(
                f"strong wants users left for training, but of {len(eligible)} with two films or more "
                f"{n_valid} go to validation and {n_test} to test: take more users, or smaller shares"
            )
        drawn = random.permutation(eligible)
        valid, test = np.zeros((2, events.n_users), dtype=bool)
        test[drawn[:n_test]] = True
        valid[drawn[n_test : n_test + n_valid]] = True
        return valid, test
