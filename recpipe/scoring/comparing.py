"""Rows of zeros and ones compared whole, and the nearest of each kept: films by their users, users by their films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Doubles: TypeAlias = NDArray[np.float64]
Similarity: TypeAlias = Literal["cosine", "jaccard", "asymmetric_cosine", "dot"]
Weighting: TypeAlias = Literal["none", "tfidf", "bm25"]

CELLS = 2**23
"""Similarities held at once: 64 MiB of doubles."""
_SATURATION, _LENGTH = 1.2, 0.75
"""k1 and b of BM25, at their customary values."""


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

    def weighed(self, rows: sparse.csr_matrix, among: sparse.csr_matrix) -> sparse.csr_matrix:
        """Float64 CSR like `rows`, whose values do not count. among: where columns and lengths are counted."""
        rows = sparse.csr_matrix((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        if self.weighting == "none":
            return rows
        n_rows, held_by = among.shape[0], np.maximum(among.getnnz(axis=0), 1)
        rows = rows @ sparse.diags(np.log(n_rows / held_by))
        if self.weighting == "bm25":
            mean = max(among.nnz / max(1, n_rows), 1e-12)
            length = 1 - _LENGTH + _LENGTH * rows.getnnz(axis=1) / mean
            rows = sparse.diags((_SATURATION + 1) / (1 + _SATURATION * length)) @ rows
        return rows.tocsr()

    def between(self, rows: sparse.csr_matrix, others: sparse.csr_matrix) -> Doubles:
        """[rows × others], of weighed rows; 0 where two share nothing. others: CSR, one column each."""
        similarities = (rows @ others).toarray()
        own, other = _squares(rows, axis=1)[:, None], _squares(others, axis=0)[None, :]
        if self.similarity == "jaccard":
            below = own + other - similarities
        elif self.similarity == "dot":
            below = np.ones_like(similarities)
        else:
            share = 0.5 if self.similarity == "cosine" else self.alpha
            below = own**share * other ** (1.0 - share)
        below += self.shrinkage
        np.divide(similarities, below, out=similarities, where=similarities > 0)
        return similarities


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
    most = min(neighbours, n_columns)
    last = np.partition(similarities, -most, axis=1)[:, -most, None]
    above = similarities > last
    tied = (similarities == last) & (similarities > 0)
    room = most - above.sum(axis=1, keepdims=True)
    kept = above | (tied & (np.cumsum(tied, axis=1) <= room))
    rows, columns = np.nonzero(kept)
    values = similarities[rows, columns].astype(np.float32)
    return sparse.csr_matrix((values, (rows, columns)), shape=(n_rows, n_columns))


def _squares(matrix: sparse.csr_matrix, axis: int) -> Doubles:
    return np.asarray(matrix.multiply(matrix).sum(axis=axis), dtype=np.float64).ravel()
