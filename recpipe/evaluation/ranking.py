"""The best films of every user from a scorer: in blocks of users, seen films masked here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import UNKNOWN_YEAR
from recpipe.data.interactions import FloatArray, Histories, IntArray
from recpipe.recipe import ROWS_A_CALL, NonFiniteScores, Scorer
from recpipe.scoring.top import DIVERGED, NO_FILM, top

MIB = 1 << 20

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
    Raises ValueError where the scorer returns another shape, NaN or infinity, or minus infinity for so many films that
    a list is short of them, and where the budget cannot hold one call.
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
            short = ranked.items[here, -1] == NO_FILM
            if short.any() and not np.isfinite(scores[start : start + block][short]).all():
                raise NonFiniteScores(DIVERGED)
    return ranked


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
