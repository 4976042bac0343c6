"""Dense products of sparse matrices against SciPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recpipe.scoring import sparse_products
from recpipe.scoring.sparse_products import RightFactor


def drawn(n_rows: int, n_columns: int, seed: int) -> sparse.csr_matrix:
    """Whole numbers, whose sums are exact in any order; the first row is full, the second empty."""
    random = np.random.default_rng(seed)
    dense = random.integers(1, 9, (n_rows, n_columns)) * (random.random((n_rows, n_columns)) < 0.3)
    dense[0], dense[1] = 1, 0
    return sparse.csr_matrix(dense.astype(np.float64))


def ones(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def rows_alike(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """All entries of a row have one value, of each row another."""
    return (sparse.diags(1.0 + np.arange(matrix.shape[0])) @ ones(matrix)).tocsr()


@pytest.mark.parametrize("pairs", [1, 7, 40, 2**18])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("left", [ones, lambda matrix: matrix])
@pytest.mark.parametrize("right", [ones, rows_alike, lambda matrix: matrix])
def test_the_product_is_that_of_the_dense_matrices_however_few_pairs_are_gathered_at_once(
    monkeypatch: pytest.MonkeyPatch, pairs: int, precision: str, left, right
) -> None:
    monkeypatch.setattr(sparse_products, "PAIRS", pairs)
    rows, matrix = left(drawn(9, 12, 1)).astype(precision), right(drawn(12, 7, 2)).astype(precision)
    product = RightFactor(matrix).product(rows)
    assert product.dtype == np.dtype(precision)
    assert np.array_equal(product, rows.toarray() @ matrix.toarray())


def test_one_factor_serves_many_rows_and_none() -> None:
    rows, right = drawn(9, 12, 1), RightFactor(drawn(12, 7, 2))
    whole = right.product(rows)
    assert np.array_equal(np.concatenate([right.product(rows[:4]), right.product(rows[4:])]), whole)
    assert right.product(rows[:0]).shape == (0, 7)


def test_the_wider_of_two_types_holds_the_product() -> None:
    rows, matrix = ones(drawn(9, 12, 1)), ones(drawn(12, 7, 2)).astype(np.float32)
    assert RightFactor(matrix).product(rows).dtype == np.float64
