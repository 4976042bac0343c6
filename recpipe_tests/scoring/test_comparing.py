"""The nearest of each row, against sorting it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recpipe.scoring.comparing import Comparison, Counts, largest


def sorted_out(similarities: np.ndarray, neighbours: int) -> np.ndarray:
    """What is kept, a row at a time: by size, then by place."""
    kept = np.zeros(similarities.shape, dtype=np.float32)
    for row, values in zip(kept, similarities, strict=True):
        first = np.lexsort((np.arange(len(values)), -values))[:neighbours]
        row[first] = np.maximum(values[first], 0.0)
    return kept


@pytest.mark.parametrize("neighbours", [1, 3, 7, 200])
@pytest.mark.parametrize("n_columns", [5, 60, 103])
@pytest.mark.parametrize("distinct", [2, 5, 10**6])
def test_the_largest_are_those_of_the_sorted_row_and_the_first_of_equals(
    neighbours: int, n_columns: int, distinct: int
) -> None:
    similarities = np.random.default_rng(neighbours).integers(0, distinct, (20, n_columns)) / distinct
    similarities[0], similarities[1], similarities[2, 1:] = 0.0, 0.5, 0.0
    found = largest(similarities, neighbours)
    assert np.array_equal(found.toarray(), sorted_out(similarities, neighbours))
    assert found.dtype == np.float32
    assert found.nnz == np.count_nonzero(found.toarray())


def test_the_smallest_number_above_zero_is_a_neighbour() -> None:
    similarities = np.array([[0.0, np.nextafter(0.0, 1.0), 0.0]])
    assert largest(similarities, 2).indices.tolist() == [1]


def test_no_rows_have_no_neighbours() -> None:
    assert largest(np.zeros((0, 4)), 2).shape == (0, 4)


def test_bm25_counts_columns_that_everybody_has_in_a_rows_length() -> None:
    rows = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]])
    held_by, lengths = [3, 2, 2, 1], np.array([2, 2, 4])
    damped = 2.2 / (1 + 1.2 * (0.25 + 0.75 * lengths / (8 / 3)))
    matrix = sparse.csr_matrix(rows, dtype=np.float32)
    weighed = Comparison(weighting="bm25").weighed(matrix, Counts.of(matrix))
    np.testing.assert_allclose(weighed.toarray(), rows * np.log(3 / np.array(held_by)) * damped[:, None], rtol=1e-12)
