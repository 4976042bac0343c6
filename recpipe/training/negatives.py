"""Films that a user has not watched, drawn exactly: thrown, and what was seen is thrown again or found by a search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions, LongArray

FINEST = 2**20
"""The weight of the heaviest film where weights are scaled to whole numbers."""
THROWS = 3
"""After these, a draw that still hit what was seen is found by a search, which takes some ten times as long."""


@dataclass(frozen=True, eq=False)
class Unseen:
    """Draws films that a user has not watched, each with its weight.

    Lay the films side by side on a line, each as long as its weight: a uniform point on it that hits no film seen is
    the draw. Who has seen so much that `THROWS` points hit it gets a point on what remains when the seen films are
    taken out of the line. Putting them back moves it to the right by the weight of those at or before it, which one
    binary search in `keys` finds. Both ways give the same distribution, so any number of throws does. Whole numbers
    throughout, so the boundaries are exact.

    starts: int64 [n_items + 1], where each film begins on the full line. offsets: int64 [n_users + 1] into the seen
    films. seen: int64 [seen], ascending: (user, film). marks: `Marks` of them. keys: int64 [seen], ascending: (user,
    weight not seen before this seen film). taken: int64 [seen + 1], running weight of the seen films. free: int64
    [n_users], the length of what remains: 0 for users who have watched everything.
    """

    starts: LongArray
    offsets: LongArray
    seen: LongArray
    marks: Marks
    keys: LongArray
    taken: LongArray
    free: LongArray

    @classmethod
    def of(cls, interactions: Interactions, weights: LongArray | None = None) -> Unseen:
        """weights: int64 [n_items], at least 1 each; None draws uniformly."""
        weights = np.ones(interactions.n_items, dtype=np.int64) if weights is None else weights
        starts = np.concatenate(([0], np.cumsum(weights)))
        watched = interactions.matrix()
        offsets, items = watched.indptr.astype(np.int64), watched.indices
        users = np.repeat(np.arange(interactions.n_users), np.diff(offsets))
        seen = users * interactions.n_items + items
        taken = np.concatenate(([0], np.cumsum(weights[items])))
        taken_of_user = taken[offsets]
        unseen_before = starts[items] - (taken[:-1] - taken_of_user[users])
        keys = users * (starts[-1] + 1) + unseen_before
        marks = Marks.of(seen, interactions.n_users * interactions.n_items)
        return cls(starts, offsets, seen, marks, keys, taken, starts[-1] - np.diff(taken_of_user))

    def draw(self, users: NDArray[np.integer], each: int, numbers: np.random.Generator) -> LongArray:
        """int64 [users × each], with replacement. The users must have a film that they have not watched."""
        rows = np.repeat(users.astype(np.int64), each)
        films = self._films_at(numbers.integers(0, self.starts[-1], len(rows)))
        left = self._seen(rows, films)
        for _ in range(THROWS - 1):
            thrown = self._films_at(numbers.integers(0, self.starts[-1], len(left)))
            films[left] = thrown
            left = left[self._seen(rows[left], thrown)]
        films[left] = self._searched(rows[left], numbers)
        return films.reshape(len(users), each)

    def _films_at(self, points: LongArray) -> LongArray:
        if self.starts[-1] == len(self.starts) - 1:  # films of length one
            return points
        return np.searchsorted(self.starts, points, side="right") - 1

    def _seen(self, rows: LongArray, films: LongArray) -> LongArray:
        """Which of the draws hit what their user has seen, ascending."""
        pairs = rows * (len(self.starts) - 1) + films
        marked = np.flatnonzero(self.marks.has(pairs))
        if self.marks.certain:
            return marked
        candidates = pairs[marked]
        places = np.searchsorted(self.seen, candidates)
        return marked[self.seen[np.minimum(places, len(self.seen) - 1)] == candidates]

    def _searched(self, rows: LongArray, numbers: np.random.Generator) -> LongArray:
        points = numbers.integers(0, self.free[rows])
        found = np.searchsorted(self.keys, rows * (self.starts[-1] + 1) + points, side="right")
        return self._films_at(points + self.taken[found] - self.taken[self.offsets[rows]])


@dataclass(frozen=True, eq=False)
class Marks:
    """A set of whole numbers, at least 32 bits for each of them: a bit for every number that there could be, or, where
    these are more, a hashed one (Bloom 1970), which says "not in it" for certain and "in it" perhaps.

    bits: uint8, a power of two of them. certain: whether every number has its own. shift: what is left of a hashed
    number of 64 bits is the place of its bit.
    """

    bits: NDArray[np.uint8]
    certain: bool
    shift: np.uint64

    @classmethod
    def of(cls, values: LongArray, below: int) -> Marks:
        """values: int64, from 0 to `below`, which is not among them."""
        exponent = max(3, (32 * len(values)).bit_length())
        bits = np.zeros(2 ** (exponent - 3), dtype=np.uint8)
        marks = cls(bits, below <= 2**exponent, np.uint64(64 - exponent))
        places, bit = marks._places(values)
        np.bitwise_or.at(bits, places, bit)
        return marks

    def has(self, values: LongArray) -> NDArray[np.bool_]:
        """True for what is in the set; for what is not, True at most once in 32 times, and never where certain."""
        places, bit = self._places(values)
        return (self.bits[places] & bit) != 0

    def _places(self, values: LongArray) -> tuple[LongArray, NDArray[np.uint8]]:
        numbers = values.view(np.uint64)
        if not self.certain:
            numbers = (numbers * np.uint64(0x9E3779B97F4A7C15)) >> self.shift  # Knuth 1973: the golden ratio
        bit = np.left_shift(np.uint8(1), (numbers & np.uint64(7)).astype(np.uint8))
        return (numbers >> np.uint64(3)).view(np.int64), bit


def popularity_weights(interactions: Interactions, alpha: float = 0.75) -> LongArray:
    """int64 [n_items]: watchers ** alpha in whole numbers, at least 1 (word2vec's exponent; Mikolov et al. 2013)."""
    weights = np.maximum(interactions.item_counts(), 1).astype(np.float64) ** alpha
    return np.maximum(np.rint(weights * (FINEST / weights.max(initial=1.0))), 1).astype(np.int64)
