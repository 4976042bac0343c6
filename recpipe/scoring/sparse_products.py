"""Products of two sparse matrices that come out almost dense: how much films share, or users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

PAIRS = 2**18
"""Pairs of entries gathered at once: their column numbers, 1 MiB, stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class RightFactor:
    """The matrix on the right of products whose result is dense, made ready once for many on the left.

    matrix: CSR [inner × columns], no cell twice. For each entry of a row on the left the matrix's row is gathered, and
    what was gathered is added up by column. A pair of entries so takes one copy and one addition; SciPy's sparse
    product meets each pair twice, counting first, and links the columns of a row that it has met to a list.
    """

    matrix: sparse.csr_matrix

    def product(self, rows: sparse.csr_matrix) -> np.ndarray:
        """rows @ matrix, dense [rows × columns] in the type of both. rows: CSR [rows × inner]."""
        dtype = np.result_type(rows.dtype, self.matrix.dtype)
        found = np.empty((rows.shape[0], self.matrix.shape[1]), dtype=dtype)
        pairs = np.concatenate(([0], np.cumsum(self._lengths[rows.indices])))  # before each entry
        before = pairs[rows.indptr]
        start = 0
        while start < len(found):
            stop = max(start + 1, int(np.searchsorted(before, before[start] + PAIRS, side="right")) - 1)
            if before[stop] - before[start] <= PAIRS:
                self._gathered(rows, rows.indptr[start : stop + 1], pairs, dtype).toarray(out=found[start:stop])
            else:
                found[start] = self._long_row(rows, rows.indptr[start], rows.indptr[stop], pairs, dtype)
            start = stop
        return found

    def _long_row(
        self, rows: sparse.csr_matrix, first: int, last: int, pairs: np.ndarray, dtype: np.dtype
    ) -> np.ndarray:
        """The product of one row, whose entries are `first` to `last`, in parts."""
        found = np.zeros((1, self.matrix.shape[1]), dtype=dtype)
        part = np.empty_like(found)
        while first < last:
            stop = max(first + 1, int(np.searchsorted(pairs, pairs[first] + PAIRS, side="right")) - 1)
            stop = min(stop, last)
            self._gathered(rows, np.array([first, stop]), pairs, dtype).toarray(out=part)
            found += part
            first = stop
        return found[0]

    def _gathered(
        self, rows: sparse.csr_matrix, entries: np.ndarray, pairs: np.ndarray, dtype: np.dtype
    ) -> sparse.csr_matrix:
        """CSR [parts × columns], a part being the entries from one of `entries` to the next; columns come repeatedly,
        and stand for their sum."""
        first, last = entries[0], entries[-1]
        inner = rows.indices[first:last]
        gathered, values = self._held[inner], rows.data[first:last].astype(dtype, copy=False)
        if self._row_values is None:
            values = np.repeat(values, np.diff(pairs[first : last + 1])) * gathered.data
        else:
            values = values * self._row_values[inner]
            if (values == 1).all():
                values = self._enough_ones.astype(dtype, copy=False)[: gathered.nnz]
            else:
                values = np.repeat(values, np.diff(pairs[first : last + 1]))
        offsets = (pairs[entries] - pairs[first]).astype(gathered.indices.dtype)
        shape = len(entries) - 1, self.matrix.shape[1]
        return sparse.csr_matrix((values, gathered.indices, offsets), shape=shape)

    @cached_property
    def _row_values(self) -> np.ndarray | None:
        """The value that all entries of a row have, [inner], where that is so of every row."""
        values, filled = np.ones(self.matrix.shape[0], dtype=self.matrix.dtype), self._lengths > 0
        values[filled] = self.matrix.data[self.matrix.indptr[:-1][filled]]
        return values if np.array_equal(np.repeat(values, self._lengths), self.matrix.data) else None

    @cached_property
    def _enough_ones(self) -> np.ndarray:
        return np.ones(PAIRS + int(self._lengths.max(initial=0)), dtype=self.matrix.dtype)

    @cached_property
    def _held(self) -> sparse.csr_matrix:
        """The matrix, of whose values as little as possible is copied."""
        if self._row_values is None:
            return self.matrix
        values = np.ones(self.matrix.nnz, dtype=np.int8)
        return sparse.csr_matrix((values, self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape)

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.diff(self.matrix.indptr).astype(np.int64)
