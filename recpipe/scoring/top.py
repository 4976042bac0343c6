"""The best columns of each row of scores, in one order on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, IntArray, LongArray
from recpipe.recipe import NonFiniteScores
from recpipe.scoring.largest import kth_largest, maxima_of_groups

NO_FILM = -1
"""Stands in a list where no film is left to recommend."""

DIVERGED = "scores hold NaN or infinity: the model has diverged; see the health checks of its training"

LOWEST = np.finfo(np.float32).min
NO_KEY = np.uint64(2**64 - 1)
"""In the order of a list behind every film."""

GROUPS_A_PLACE = 8
"""Groups of films a place of the list, whose maxima say how high a score must be: with fewer more films are looked at
twice, with more the maxima take longer to be put in order."""

MANY_CANDIDATES = 1 << 20
"""Candidates of the rows that are looked at together; the work on one takes about 60 bytes."""


def top(scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k highest columns of each row, highest first, ties to the lower column: int32 and float32 [rows × k].

    scores: float32 [rows × columns], -inf for what may not be chosen; where fewer than k are left: `NO_FILM`, -inf.
    Raises ValueError on NaN and +inf.
    """
    return _listed(scores, _below_the_kth(scores, min(k, scores.shape[1])), k)


def _below_the_kth(scores: FloatArray, k: int) -> FloatArray:
    """float32 [rows]: at most each row's k-th highest score, finite, and mostly hardly less."""
    maxima = maxima_of_groups(scores, GROUPS_A_PLACE * max(k, 1))
    if not (maxima < np.inf).all():  # a maximum with NaN is NaN
        raise NonFiniteScores(DIVERGED)
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
