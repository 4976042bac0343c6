"""Who watched what, in time order: one array of events and its three views (pairs, matrix, histories)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

IntArray: TypeAlias = NDArray[np.int32]
LongArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float32]

NEWCOMER = -1
"""The row number of a user that training has not seen."""

USERS_A_BLOCK = 4096
"""Users whose films are counted at once: memory does not grow with their number."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events sorted by (user, time); events of one user at one time keep the order in which they were delivered.

    users, items: int32 [events], row numbers (see `ids.py`). times: int64 [events], unix seconds.
    ratings: float32 [events], or None where the data has none.
    """

    users: IntArray
    items: IntArray
    times: LongArray
    ratings: FloatArray | None
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        lengths = {len(self.users), len(self.items), len(self.times)}
        if self.ratings is not None:
            lengths.add(len(self.ratings))
        if len(lengths) != 1:
            raise ValueError(f"interactions: users, items, times and ratings differ in length: {sorted(lengths)}")
        if len(self.users) and (np.diff(self.users) < 0).any():
            raise ValueError("interactions: users are not in ascending order; build them with Interactions.sorted_from")

    @classmethod
    def sorted_from(
        cls,
        users: NDArray[np.integer],
        items: NDArray[np.integer],
        times: NDArray[np.integer],
        ratings: NDArray[np.floating] | None,
        n_users: int,
        n_items: int,
    ) -> Interactions:
        """Sort events of any order by (user, time). The sort is stable: equal times keep the order given."""
        order = order_by(users, times)
        return cls(
            users[order].astype(np.int32),
            items[order].astype(np.int32),
            times[order].astype(np.int64),
            None if ratings is None else ratings[order].astype(np.float32),
            n_users,
            n_items,
        )

    def __len__(self) -> int:
        return len(self.users)

    def take(self, events: NDArray[np.bool_] | LongArray) -> Interactions:
        """The chosen events, in the same order, over the same users and films. events: a mask or ascending places."""
        return Interactions(
            self.users[events],
            self.items[events],
            self.times[events],
            None if self.ratings is None else self.ratings[events],
            self.n_users,
            self.n_items,
        )

    @cached_property
    def offsets(self) -> LongArray:
        """int64 [n_users + 1]: the events of user u are `offsets[u]:offsets[u + 1]`."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1)).astype(np.int64)

    def matrix(self) -> sparse.csr_matrix:
        """Binary float32 [n_users × n_items]; a film watched twice counts once."""
        return _binary(self.offsets, self.items, self.n_users, self.n_items)

    def rating_matrix(self) -> sparse.csr_matrix:
        """Float32 [n_users × n_items] of ratings; of several ratings of one film the latest holds."""
        if self.ratings is None:
            raise ValueError("these interactions carry no ratings; use .matrix(), or data that has a rating column")
        return _latest_of_each(self.offsets, self.items, self.ratings, self.n_users, self.n_items)

    def item_counts(self) -> LongArray:
        """int64 [n_items]: how many users watched each film."""
        counts = np.zeros(self.n_items, dtype=np.int64)
        for first in range(0, self.n_users, USERS_A_BLOCK):
            offsets = self.offsets[first : first + USERS_A_BLOCK + 1]
            items = self.items[offsets[0] : offsets[-1]]
            watched = (np.ones(len(items), dtype=np.int8), items, offsets - offsets[0])
            by_film = sparse.csr_matrix(watched, shape=(len(offsets) - 1, self.n_items)).tocsc()
            by_film.sum_duplicates()  # by film users are in order, so that repeats are neighbours
            counts += np.diff(by_film.indptr)
        return counts

    def histories(self, users: NDArray[np.integer] | None = None) -> Histories:
        """The films of the given users (all where None), one row a user, oldest first."""
        everyone = Histories(
            np.arange(self.n_users, dtype=np.int32), self.offsets, self.items, self.times, self.ratings, self.n_items
        )
        return everyone if users is None else everyone.rows(users)


@dataclass(frozen=True, eq=False)
class Histories:
    """What a scorer is asked about: one row a user, with the films watched so far, oldest first.

    users: int32 [rows], the user's row number at training, or `NEWCOMER`. offsets: int64 [rows + 1].
    items: int32 [events]. times: int64 [events]. ratings: float32 [events] or None.
    """

    users: IntArray
    offsets: LongArray
    items: IntArray
    times: LongArray
    ratings: FloatArray | None
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def lengths(self) -> LongArray:
        """int64 [rows]: events a row."""
        return np.diff(self.offsets)

    def rows(self, which: NDArray[np.integer] | slice) -> Histories:
        """The chosen rows, in the order asked for; of a slice with neighbouring rows the events are not copied."""
        if isinstance(which, slice):
            first, end, step = which.indices(len(self))
            if step == 1:
                return self._between(first, max(first, end))
            which = np.arange(len(self))[which]
        lengths = self.lengths[which]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        events = np.repeat(self.offsets[:-1][which] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Histories(
            self.users[which],
            offsets,
            self.items[events],
            self.times[events],
            None if self.ratings is None else self.ratings[events],
            self.n_items,
        )

    def _between(self, first: int, end: int) -> Histories:
        begin, stop = self.offsets[first], self.offsets[end]
        return Histories(
            self.users[first:end],
            self.offsets[first : end + 1] - begin,
            self.items[begin:stop],
            self.times[begin:stop],
            None if self.ratings is None else self.ratings[begin:stop],
            self.n_items,
        )

    def as_newcomers(self) -> Histories:
        """The same films, with nobody known from training."""
        nobody = np.full(len(self), NEWCOMER, dtype=np.int32)
        return Histories(nobody, self.offsets, self.items, self.times, self.ratings, self.n_items)

    def matrix(self) -> sparse.csr_matrix:
        """Binary float32 [rows × n_items]."""
        return _binary(self.offsets, self.items, len(self), self.n_items)

    def rating_matrix(self) -> sparse.csr_matrix:
        """Float32 [rows × n_items] of ratings, the latest of each film; ones where the data has no ratings."""
        if self.ratings is None:
            return self.matrix()
        return _latest_of_each(self.offsets, self.items, self.ratings, len(self), self.n_items)

    def recency_matrix(self, half_life: float) -> sparse.csr_matrix:
        """Float32 [rows × n_items] of 2^(−age / half_life): age 0 for the newest film, 1 for the one before it.

        Age is by place alone, so films of one time have different ones; a film watched twice has that of its latest.
        """
        ages = np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))
        weights = np.exp2(-ages / half_life).astype(np.float32)
        return _latest_of_each(self.offsets, self.items, weights, len(self), self.n_items)

    def last(self, length: int) -> LongArray:
        """int64 [rows × length]: the latest films, the newest in the last column; padded on the left with `n_items`."""
        positions = self.offsets[1:, None] - length + np.arange(length)[None, :]
        inside = positions >= self.offsets[:-1, None]
        if not len(self.items):
            return np.full((len(self), length), self.n_items, dtype=np.int64)
        return np.where(inside, self.items[np.maximum(positions, 0)], self.n_items).astype(np.int64)


def order_by(*keys: NDArray[np.integer]) -> LongArray:
    """Places that sort events by the first key, among equals by the next, and so on; equal events keep their order.

    One number is sorted where the keys fit into it together: on twenty million events of MovieLens' order a tenth of
    the seconds of a lexical sort.
    """
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64)
    bounds = [(int(key.min()), int(key.max()) + 1) for key in keys]
    if math.prod(most - least for least, most in bounds) > np.iinfo(np.int64).max:
        return np.lexsort(keys[::-1])
    together = np.zeros(len(keys[0]), dtype=np.int64)
    for key, (least, most) in zip(keys, bounds, strict=True):
        together *= most - least
        together += key
        together -= least
    return np.argsort(together, kind="stable")


def _binary(offsets: LongArray, items: IntArray, n_rows: int, n_items: int) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((np.ones(len(items), dtype=np.float32), items, offsets), shape=(n_rows, n_items))
    matrix = matrix.copy()  # sum_duplicates works in place, and the arrays above are shared
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _latest_of_each(
    offsets: LongArray, items: IntArray, values: FloatArray, n_rows: int, n_items: int
) -> sparse.csr_matrix:
    rows = np.repeat(np.arange(n_rows, dtype=np.int64), np.diff(offsets))
    keys = rows * n_items + items
    _, first_from_the_end = np.unique(keys[::-1], return_index=True)
    latest = np.sort(len(keys) - 1 - first_from_the_end)
    return sparse.csr_matrix((values[latest], (rows[latest], items[latest])), shape=(n_rows, n_items), dtype=np.float32)
