"""Similarities between rows of ratings, and sums over the k nearest rows that rated a film: the arithmetic of kNN.

Formulas as in Aggarwal, Recommender Systems: The Textbook (2016), chapter 2; all of it sparse products and blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import FloatArray
from recpipe.scoring.largest import kth_largest, maxima_of_groups

Doubles: TypeAlias = NDArray[np.float64]

SIMILARITIES = ("msd", "cosine", "pearson", "history_cosine")
"""The first three compare two rows on what both rated; the last takes a film that was not rated as a zero."""
COMPARES_RATINGS = SIMILARITIES[:3]


@dataclass(frozen=True, eq=False)
class Sums:
    """For each query and target [queries × targets], over the nearest: Σ similarity · rating, Σ similarity, how many.

    Only positive similarities count.
    """

    weighted: FloatArray
    weights: FloatArray
    counts: NDArray[np.int32]

    def transposed(self) -> Sums:
        """[targets × queries]."""
        return Sums(self.weighted.T, self.weights.T, self.counts.T)


CHUNK = 256
"""Rows compared with at once, so few that most of their dense table stays in the processor's cache."""
_CELLS = 2**20
"""Cells gathered at once: 4 MiB, which stay in the processor's cache."""
GROUPS_A_NEIGHBOUR = 4
"""Groups of candidates, whose largest entries bound what can be among the nearest."""
_VARIES = 1e-9
"""A smaller share of nΣx² is the rounding of doubles, not a row that varies."""


def similarities(rows: sparse.csr_matrix, others: sparse.csr_matrix, measure: str) -> FloatArray:
    """float32 [rows × others]; 0 where two rows share nothing.

    With n, Σ over the columns that both rows have: msd = 1 / (Σ(x−y)²/n + 1); cosine = Σxy / √(Σx² Σy²);
    pearson = (nΣxy − ΣxΣy) / √((nΣx² − (Σx)²)(nΣy² − (Σy)²)), 0 where a row does not vary. history_cosine: the plain
    cosine of the whole rows. Row by row: one row's result does not depend on the others asked about.
    """
    found = np.zeros((rows.shape[0], others.shape[0]), dtype=np.float32)
    rows = rows.astype(np.float64)  # before anything is multiplied: differences of sums would be float32's rounding
    for start in range(0, others.shape[0], CHUNK):
        chunk = others[start : start + CHUNK].astype(np.float64)
        between = _whole_cosine(rows, chunk) if measure == "history_cosine" else _on_common(rows, chunk, measure)
        found[:, start : start + CHUNK] = between
    return found


def sums_over_nearest(similarity: FloatArray, ratings: sparse.csc_matrix, neighbours: int) -> Sums:
    """The sums over the nearest candidates *that have a rating* of the target: for each target other ones.

    similarity: float32 [queries × candidates]. ratings: CSC [candidates × targets]. Those that tie at the last place
    share it, so that the result depends on no order. Work: queries × ratings.
    """
    shape = similarity.shape[0], ratings.shape[1]
    sums = Sums(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.int32))
    nobody = np.zeros((shape[0], 1), dtype=np.float32)
    padded = np.maximum(np.concatenate((similarity, nobody), axis=1), 0.0)
    for targets, candidates, given in _groups(ratings, shape[0]):
        near = np.take(padded, candidates.ravel(), axis=1).reshape(shape[0], *candidates.shape)
        if near.shape[-1] > neighbours:
            _keep_nearest(near, neighbours)
        sums.weighted[:, targets] = np.einsum("qtc,tc->qt", near, given)
        sums.weights[:, targets] = near.sum(axis=-1)
        sums.counts[:, targets] = np.minimum(np.count_nonzero(near, axis=-1), neighbours)
    return sums


def sums_over_nearest_overall(nearest: sparse.csr_matrix, ratings: sparse.csr_matrix) -> Sums:
    """The sums over the nearest candidates of all, as far as they have a rating: for all targets the same ones.

    nearest: [queries × candidates] as `nearest_overall` keeps them. ratings: CSR [candidates × targets]. Work: queries
    × neighbours × ratings of one: for large data far less than `sums_over_nearest`.
    """
    has = _mask(ratings)
    weighted, weights, counts = nearest @ ratings, nearest @ has, _mask(nearest) @ has
    return Sums(weighted.toarray(), weights.toarray(), counts.toarray().astype(np.int32))


def nearest_overall(similarity: FloatArray, neighbours: int) -> sparse.csr_matrix:
    """The largest positive similarities of each row; what ties at the last place shares it."""
    places, ends = perhaps_nearest(similarity, neighbours)
    near = similarity.ravel()[places]
    for start, stop in pairwise(ends):
        if stop - start > neighbours:
            _keep_nearest(near[start:stop], neighbours)
    kept = sparse.csr_matrix((near, places % max(1, similarity.shape[1]), ends), shape=similarity.shape)
    kept.eliminate_zeros()
    return kept


def perhaps_nearest(similarity: np.ndarray, neighbours: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Where the positive entries stand that can be among the largest of their row, few others among them.

    similarity: C order [queries × candidates]. Gives places in it, ascending, and [queries + 1] where each row's begin.
    """
    n_rows, n_columns = similarity.shape
    bounds = np.zeros(n_rows, dtype=similarity.dtype)
    if n_columns >= 2 * GROUPS_A_NEIGHBOUR * neighbours:
        bounds = kth_largest(maxima_of_groups(similarity, GROUPS_A_NEIGHBOUR * neighbours), neighbours)
    bounds = np.maximum(bounds, np.nextafter(bounds.dtype.type(0), bounds.dtype.type(1)))
    places = np.flatnonzero(similarity >= bounds[:, None])
    return places, np.searchsorted(places, np.arange(n_rows + 1) * n_columns)


def _keep_nearest(near: FloatArray, neighbours: int) -> None:
    """Set all but the largest along the last axis to zero, in place; what ties at the last place shares it."""
    last = np.partition(near, near.shape[-1] - neighbours, axis=-1)[..., -neighbours, None]
    kept = near >= last
    np.multiply(near, kept, out=near)
    crowded = (np.count_nonzero(kept, axis=-1) > neighbours) & (last[..., 0] > 0)
    cells, edge = near[crowded], last[crowded]
    tied = cells == edge
    room = neighbours - (cells > edge).sum(axis=-1, keepdims=True)
    near[crowded] = np.where(tied, cells * (room / np.maximum(tied.sum(axis=-1, keepdims=True), 1)), cells)


def _groups(ratings: sparse.csc_matrix, n_queries: int) -> Iterator[tuple[NDArray, NDArray, FloatArray]]:
    """Targets with about as many candidates each, padded with candidate number `n_candidates` and rating 0.

    Yields targets int64 [group], candidates int64 [group × most], ratings float32 [group × most].
    """
    lengths = np.diff(ratings.indptr)
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        most = int(lengths[order[start]])
        targets = order[start : start + max(1, _CELLS // (most * n_queries))]
        positions = ratings.indptr[targets].astype(np.int64)[:, None] + np.arange(most)
        inside = np.arange(most)[None, :] < lengths[targets, None]
        positions = np.where(inside, positions, 0)
        candidates = np.where(inside, ratings.indices[positions], ratings.shape[0])
        yield targets, candidates, np.where(inside, ratings.data[positions], 0.0).astype(np.float32)
        start += len(targets)


def _whole_cosine(rows: sparse.csr_matrix, chunk: sparse.csr_matrix) -> Doubles:
    lengths = np.sqrt(_square(rows).sum(axis=1)).A1[:, None] * np.sqrt(_square(chunk).sum(axis=1)).A1
    return _ratio(_product(rows, chunk), lengths)


def _on_common(rows: sparse.csr_matrix, chunk: sparse.csr_matrix, measure: str) -> Doubles:
    has, has_chunk = _mask(rows), _mask(chunk)
    xy = _product(rows, chunk)
    xx, yy = _product(_square(rows), has_chunk), _product(has, _square(chunk))
    if measure == "cosine":
        return _ratio(xy, np.sqrt(xx * yy))
    n = _product(has, has_chunk)
    if measure == "msd":
        mean_square = np.maximum(xx - 2 * xy + yy, 0.0) / np.maximum(n, 1)
        return np.where(n > 0, 1.0 / (mean_square + 1.0), 0.0)
    x, y = _product(rows, has_chunk), _product(has, chunk)
    return _ratio(n * xy - x * y, np.sqrt(_spread(n, x, xx) * _spread(n, y, yy)))


def _spread(n: Doubles, sums: Doubles, squares: Doubles) -> Doubles:
    """nΣx² − (Σx)², 0 where that is rounding."""
    most = n * squares
    spread = most - np.square(sums)
    most *= _VARIES
    spread[spread < most] = 0.0
    return spread


def _product(rows: sparse.csr_matrix, chunk: sparse.csr_matrix) -> Doubles:
    return rows @ chunk.T.toarray(order="C")


def _ratio(above: Doubles, below: Doubles) -> Doubles:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _square(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.data**2, rows.indices, rows.indptr), shape=rows.shape)


def _mask(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones_like(rows.data), rows.indices, rows.indptr), shape=rows.shape)
