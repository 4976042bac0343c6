"""Rows of zeros and ones compared whole, and the nearest of each kept: films by their users, users by their films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.scoring.nearest import Doubles, perhaps_nearest
from recpipe.scoring.sparse_products import RightFactor

Similarity: TypeAlias = Literal["cosine", "jaccard", "asymmetric_cosine", "dot"]
Weighting: TypeAlias = Literal["none", "tfidf", "bm25"]

CELLS = 2**20
"""Similarities held at once: 8 MiB of doubles, which stay in the processor's cache."""
_SATURATION, _LENGTH = 1.2, 0.75
"""k1 and b of BM25, at their customary values."""


@dataclass(frozen=True, eq=False)
class Counts:
    """What weights are made from. rarity: float64 [columns], log(rows / rows that have the column); mean_length: the
    mean of the rows' entries.
    """

    rarity: Doubles
    mean_length: float

    @classmethod
    def of(cls, rows: sparse.csr_matrix) -> Self:
        """One pass over the entries; their values do not count."""
        held_by = np.maximum(rows.getnnz(axis=0), 1)
        return cls(np.log(rows.shape[0] / held_by), max(rows.nnz / max(1, rows.shape[0]), 1e-12))


@dataclass(frozen=True)
class Comparison:
    """s(a, b) of two rows, with x their weighed entries, c how many they have, and n_ab how many both have.

    cosine s = x_a·x_b / (‖x_a‖ ‖x_b‖ + shrinkage);
    asymmetric_cosine s = x_a·x_b / (‖x_a‖^(2·alpha) ‖x_b‖^(2·(1−alpha)) + shrinkage);
    jaccard s = n_ab / (c_a + c_b − n_ab + shrinkage); dot s = x_a·x_b / (1 + shrinkage).
    weighting: none, ones; tfidf, an entry is log(rows / rows that have its column), so that columns which everybody has
    tell less; bm25, tfidf times 2.2 / (1 + 1.2 · (0.25 + 0.75 · c / mean c)), which damps long rows.
    """

    similarity: Similarity = "cosine"
    weighting: Weighting = "none"
    shrinkage: float = 0.0
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if self.similarity == "jaccard" and self.weighting != "none":
            raise ValueError(
                f"jaccard counts entries and takes no weights; weighting: none was wanted, {self.weighting} came"
            )

    def weighed(self, rows: sparse.csr_matrix, among: Counts) -> sparse.csr_matrix:
        """Float64 CSR like `rows`, whose values do not count. among: of the rows that all are compared with."""
        rows = sparse.csr_matrix((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        if self.weighting == "none":
            return rows
        lengths = rows.getnnz(axis=1)  # before a column that everybody has, of weight log 1 = 0, is dropped
        rows = rows @ sparse.diags(among.rarity)
        if self.weighting == "bm25":
            length = 1 - _LENGTH + _LENGTH * lengths / among.mean_length
            rows = sparse.diags((_SATURATION + 1) / (1 + _SATURATION * length)) @ rows
        return rows.tocsr()

    def with_all(self, others: sparse.csr_matrix) -> Callable[[sparse.csr_matrix], Doubles]:
        """What compares weighed rows with all `others`: from CSR [rows × columns] to [rows × others], 0 where two share
        nothing.

        others: weighed rows too, but CSR [columns × others], one column each; made ready once for many calls.
        """
        right, others_squares = RightFactor(others), _squares(others, axis=0)

        def between(rows: sparse.csr_matrix) -> Doubles:
            similarities = right.product(rows)
            below = self._below(_squares(rows, axis=1), others_squares, similarities)
            np.divide(similarities, below, out=similarities)
            return similarities

        return between

    def _below(self, own: Doubles, other: Doubles, products: Doubles) -> Doubles:
        """What each product is divided by, never 0. own [rows], other [others]: sums of squares; a row without entries
        has products of 0 alone, so that its own sum may be anything else."""
        own, other = np.where(own > 0, own, 1.0)[:, None], np.where(other > 0, other, 1.0)[None, :]
        if self.similarity == "dot":
            return np.array(1.0 + self.shrinkage)
        if self.similarity == "jaccard":
            below = own + other
            below -= products
        else:
            share = 0.5 if self.similarity == "cosine" else self.alpha
            below = own**share * other ** (1.0 - share)
        if self.shrinkage:
            below += self.shrinkage
        return below


def nearest_of_each(
    n_rows: int, n_columns: int, similarities: Callable[[int, int], Doubles], neighbours: int
) -> sparse.csr_matrix:
    """The `largest` of rows that are too many to hold at once. similarities: from the first row and the one behind the
    last to float64 [rows × n_columns]."""
    block = max(1, CELLS // max(1, n_columns))
    kept = [largest(similarities(start, min(start + block, n_rows)), neighbours) for start in range(0, n_rows, block)]
    return sparse.vstack(kept, format="csr", dtype=np.float32)


def largest(similarities: Doubles, neighbours: int) -> sparse.csr_matrix:
    """CSR float32: the largest positive entries of a row, at most `neighbours`; of equal ones those furthest left."""
    n_rows, n_columns = similarities.shape
    places, ends = perhaps_nearest(similarities, neighbours)
    values = similarities.ravel()[places]
    kept = [start + _first_largest(values[start:stop], neighbours) for start, stop in pairwise(ends)]
    chosen = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in kept])))
    return sparse.csr_matrix(
        (values[chosen].astype(np.float32), places[chosen] % max(1, n_columns), offsets), shape=(n_rows, n_columns)
    )


def _first_largest(values: Doubles, neighbours: int) -> NDArray[np.integer]:
    """Places of the largest, at most `neighbours`, in ascending order; of equal ones the first."""
    if len(values) <= neighbours:
        return np.arange(len(values))
    last = np.partition(values, -neighbours)[-neighbours]
    kept = values > last
    kept[np.flatnonzero(values == last)[: neighbours - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)


def _squares(matrix: sparse.csr_matrix, axis: int) -> Doubles:
    return np.asarray(matrix.multiply(matrix).sum(axis=axis), dtype=np.float64).ravel()
