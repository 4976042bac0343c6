"""Films that a user has not watched, drawn exactly: no rejection, one binary search for any number of draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions, LongArray

FINEST = 2**20
"""The weight of the heaviest film where weights are scaled to whole numbers."""


@dataclass(frozen=True, eq=False)
class Unseen:
    """Draws films that a user has not watched, each with its weight.

    Lay the films side by side on a line, each as long as its weight, and take a user's seen films out: a uniform
    point on what remains is the draw. Putting the seen films back moves the point to the right by the weight of those
    at or before it, which one binary search in `keys` finds. Whole numbers throughout, so the boundaries are exact.

    starts: int64 [n_items + 1], where each film begins on the full line. offsets: int64 [n_users + 1] into the seen
    films. keys: int64 [seen], ascending: (user, weight not seen before this seen film). taken: int64 [seen + 1],
    running weight of the seen films. free: int64 [n_users], the length of what remains: 0 for users who have watched
    everything.
    """

    starts: LongArray
    offsets: LongArray
    keys: LongArray
    taken: LongArray
    free: LongArray

    @classmethod
    def of(cls, interactions: Interactions, weights: LongArray | None = None) -> Unseen:
        """weights: int64 [n_items], at least 1 each; None draws uniformly."""
        weights = np.ones(interactions.n_items, dtype=np.int64) if weights is None else weights
        starts = np.concatenate(([0], np.cumsum(weights)))
        seen = interactions.matrix()
        offsets, items = seen.indptr.astype(np.int64), seen.indices
        users = np.repeat(np.arange(interactions.n_users), np.diff(offsets))
        taken = np.concatenate(([0], np.cumsum(weights[items])))
        taken_of_user = taken[offsets]
        unseen_before = starts[items] - (taken[:-1] - taken_of_user[users])
        return cls(
            starts, offsets, users * (starts[-1] + 1) + unseen_before, taken, starts[-1] - np.diff(taken_of_user)
        )

    def draw(self, users: NDArray[np.integer], each: int, numbers: np.random.Generator) -> LongArray:
        """int64 [users × each], with replacement. The users must have a film that they have not watched."""
        rows = np.repeat(users.astype(np.int64), each)
        points = numbers.integers(0, self.free[rows])
        found = np.searchsorted(self.keys, rows * (self.starts[-1] + 1) + points, side="right")
        on_full_line = points + self.taken[found] - self.taken[self.offsets[rows]]
        return (np.searchsorted(self.starts, on_full_line, side="right") - 1).reshape(len(users), each)


def popularity_weights(interactions: Interactions, alpha: float = 0.75) -> LongArray:
    """int64 [n_items]: watchers ** alpha in whole numbers, at least 1 (word2vec's exponent; Mikolov et al. 2013)."""
    weights = np.maximum(interactions.item_counts(), 1).astype(np.float64) ** alpha
    return np.maximum(np.rint(weights * (FINEST / weights.max(initial=1.0))), 1).astype(np.int64)
