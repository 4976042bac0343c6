"""The best films of every user from a scorer: in blocks of users, seen films masked here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import UNKNOWN_YEAR
from recpipe.data.interactions import FloatArray, Histories, IntArray, LongArray
from recpipe.recipe import NonFiniteScores, Scorer
from recpipe.scoring.largest import kth_largest, maxima_of_groups

NO_FILM = -1
"""Stands in a list where no film is left to recommend."""

ROWS_A_CALL = 128
"""Users a scorer is asked about at once. Fixed, and counted from the first row, because a matrix product may change in
its last bits with the number of rows: so neither the byte budget nor the memory of a machine changes a list."""

MIB = 1 << 20
LOWEST = np.finfo(np.float32).min
NO_KEY = np.uint64(2**64 - 1)
"""In the order of a list behind every film."""

GROUPS_A_PLACE = 8
"""Groups of films a place of the list, whose maxima say how high a score must be: with fewer more films are looked at
twice, with more the maxima take longer to be put in order."""

MANY_CANDIDATES = 1 << 20
"""Candidates of the rows that are looked at together; the work on one takes about 60 bytes."""

Masker: TypeAlias = Callable[[Histories], NDArray[np.bool_]]
"""From a block of users to bool [rows × n_items]: which films may be recommended to each of them."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best films of each user, best first. items: int32 [rows × k], `NO_FILM` behind the last; scores: float32
    [rows × k], -inf there."""

    items: IntArray
    scores: FloatArray

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.items.shape != self.scores.shape:
            raise ValueError(f"ranking: items {self.items.shape} and scores {self.scores.shape} must be one [rows × k]")

    def __len__(self) -> int:
        return len(self.items)

    def filled_from(self, reserve: Ranking) -> Ranking:
        """Gaps at the ends of the lists filled with the reserve's films, in its order, none twice.

        Scores of filled films are the reserve's and may stand above the ones before them.
        """
        gaps = np.flatnonzero((self.items == NO_FILM).any(axis=1))
        own, other = self.items[gaps], reserve.items[gaps]
        listed = (other[:, :, None] == own[:, None, :]).any(axis=2)
        both = np.concatenate((own, np.where(listed, NO_FILM, other)), axis=1)
        order = np.argsort(both == NO_FILM, axis=1, kind="stable")[:, : self.items.shape[1]]
        scores = np.concatenate((self.scores[gaps], np.where(listed, -np.inf, reserve.scores[gaps])), axis=1)
        items, filled = self.items.copy(), self.scores.copy()
        items[gaps] = np.take_along_axis(both, order, axis=1)
        filled[gaps] = np.take_along_axis(scores, order, axis=1)
        return Ranking(items, filled)


def rank(
    scorer: Scorer,
    histories: Histories,
    k: int,
    *,
    byte_budget: int = 256 * MIB,
    allowed: NDArray[np.bool_] | None = None,
    masker: Masker | None = None,
) -> Ranking:
    """The k best films of each row that its user has not seen; of equal scores the lower film number comes first.

    byte_budget: bytes for the scores of one call and the work on them; the lists do not depend on it.
    allowed: bool [n_items], the films that may be recommended to anybody; masker: the same user by user.
    Raises ValueError where the scorer returns another shape, NaN or infinity, or the budget cannot hold one call.
    """
    n_rows, n_items = len(histories), histories.n_items
    _check(k, n_items, allowed)
    block = _rows_a_block(n_items, min(n_rows, ROWS_A_CALL), byte_budget)
    ranked = Ranking(np.full((n_rows, k), NO_FILM, np.int32), np.full((n_rows, k), -np.inf, np.float32))
    masked = np.empty((block, n_items), dtype=np.float32)
    forbidden = None if allowed is None else np.flatnonzero(~allowed)
    for call in range(0, n_rows, ROWS_A_CALL):
        known = histories.rows(slice(call, call + ROWS_A_CALL))
        scores = scorer.scores(known)
        if scores.shape != (len(known), n_items):
            raise ValueError(
                f"{type(scorer).__name__} was asked for scores [{len(known)} × {n_items}] and returned {scores.shape}"
            )
        for start in range(0, len(known), block):
            asked = known if block >= len(known) else known.rows(slice(start, start + block))
            rows = masked[: len(asked)]
            np.copyto(rows, scores[start : start + block])  # a copy: the scorer may have returned something of its own
            rows.reshape(-1)[np.repeat(np.arange(len(asked)) * n_items, asked.lengths) + asked.items] = -np.inf
            if forbidden is not None:
                rows[:, forbidden] = -np.inf
            if masker is not None:
                np.copyto(rows, -np.inf, where=~masker(asked))
            here = slice(call + start, call + start + len(asked))
            ranked.items[here], ranked.scores[here] = top(rows, k)
    return ranked


def top(scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k highest columns of each row, highest first, ties to the lower column: int32 and float32 [rows × k].

    scores: float32 [rows × columns], -inf for what may not be chosen; where fewer than k are left: `NO_FILM`, -inf.
    Raises ValueError on NaN and +inf.
    """
    return _listed(scores, _below_the_kth(scores, min(k, scores.shape[1])), k)


def release_year_filter(years: IntArray, tolerance: int) -> Masker:
    """Films released more than `tolerance` years after the year of a user's last watch are left out (B-20).

    years: int32 [n_items]; films of `UNKNOWN_YEAR` stay, and so does everything for a user without a history.
    """
    known_years = np.where(years == UNKNOWN_YEAR, np.iinfo(np.int32).min, years)

    def released(histories: Histories) -> NDArray[np.bool_]:
        latest = np.full(len(histories), np.iinfo(np.int32).max, dtype=np.int64)
        watched = histories.lengths > 0
        last = histories.times[histories.offsets[1:][watched] - 1]
        latest[watched] = last.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970 + tolerance
        return known_years[None, :] <= latest[:, None]

    return released


def _check(k: int, n_items: int, allowed: NDArray[np.bool_] | None) -> None:
    if k < 1:
        raise ValueError(f"rank: k is {k}; lists of at least one film are wanted")
    if allowed is not None and (allowed.shape != (n_items,) or allowed.dtype != np.bool_):
        raise ValueError(f"rank: allowed must be bool [{n_items}]; it is {allowed.dtype} {list(allowed.shape)}")


def _rows_a_block(n_items: int, n_rows: int, byte_budget: int) -> int:
    """Rows that are masked and cut at once: 4 bytes a film for the scorer's answer, 9 for two copies and a mask."""
    left = byte_budget - 4 * n_rows * n_items
    if left < 9 * n_items:
        wanted = 4 * n_rows * n_items + 9 * n_items
        raise ValueError(f"rank: {n_rows} users × {n_items} films take {wanted} bytes; byte_budget is {byte_budget}")
    return max(1, min(n_rows, left // (9 * n_items) if n_items else 1))


def _below_the_kth(scores: FloatArray, k: int) -> FloatArray:
    """float32 [rows]: at most each row's k-th highest score, finite, and mostly hardly less."""
    maxima = maxima_of_groups(scores, GROUPS_A_PLACE * max(k, 1))
    if not (maxima < np.inf).all():  # a maximum with NaN is NaN
        raise NonFiniteScores(
            "scores hold NaN or infinity: the model has diverged; see the health checks of its training"
        )
    return np.maximum(kth_largest(maxima, k), LOWEST)


def _listed(scores: FloatArray, least: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The lists of `top`, given a bound below which no score of a row is in its list."""
    n_rows, n_columns = scores.shape
    candidate = scores >= least[:, None]
    if n_rows > 1 and np.count_nonzero(candidate) > MANY_CANDIDATES:  # ties; a part of the rows takes less memory
        parts = slice(n_rows // 2), slice(n_rows // 2, None)
        lists = [_listed(scores[part], least[part], k) for part in parts]
        return np.concatenate([films for films, _ in lists]), np.concatenate([values for _, values in lists])
    cells = np.flatnonzero(candidate)
    rows = cells // n_columns
    values = scores.reshape(-1)[cells]
    starts = np.searchsorted(rows, np.arange(n_rows))
    if len(cells) > 2 * n_rows * k:
        wanted = _without_surplus_ties(rows, starts, values == least[rows], k)
        cells, rows, values = cells[wanted], rows[wanted], values[wanted]
        starts = np.searchsorted(rows, np.arange(n_rows))
    places = np.arange(len(rows)) - starts[rows]
    keys = np.full((n_rows, max(k, places.max(initial=-1) + 1)), NO_KEY)
    keys[rows, places] = _descending(values) << 32 | (cells - rows * n_columns).astype(np.uint64)
    keys.partition(k - 1, axis=1)
    keys = np.sort(keys[:, :k], axis=1)
    columns = keys.astype(np.uint32).view(np.int32)  # the lower half; that of `NO_KEY` is -1
    highest = np.take_along_axis(scores, np.maximum(columns, 0), axis=1)
    highest[columns == NO_FILM] = -np.inf
    return columns, highest


def _without_surplus_ties(
    rows: NDArray[np.integer], starts: NDArray[np.integer], tied: NDArray[np.bool_], k: int
) -> NDArray[np.bool_]:
    """Of the candidates that equal a row's bound, the first k, which are all that can be in the list."""
    before: LongArray = np.cumsum(tied) - tied
    return ~tied | (before - before[starts[rows]] < k)


def _descending(scores: FloatArray) -> NDArray[np.uint64]:
    """Numbers below 2^32 that are in order what the scores are in reverse; equal scores, both zeros too, have one."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 + 0 = 0
    return np.where(bits >> 31, bits, bits ^ 0x7FFFFFFF).astype(np.uint64)
