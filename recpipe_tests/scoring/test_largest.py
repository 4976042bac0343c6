"""The bound is below the k-th largest, never above it, and close."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.scoring.largest import kth_largest, maxima_of_groups


@pytest.mark.parametrize("n_columns", [1, 7, 64, 1000, 1003])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_kth_largest_maximum_is_at_most_the_kth_largest_value_and_hardly_less(k: int, n_columns: int) -> None:
    values = np.random.default_rng(k).normal(size=(200, n_columns)).astype(np.float32)
    k = min(k, n_columns)
    maxima = maxima_of_groups(values, 8 * k)
    assert min(8 * k, n_columns) <= maxima.shape[1] <= n_columns
    bound, exact = kth_largest(maxima, k), np.sort(values, axis=1)[:, -k]
    assert (bound <= exact).all()
    passing = (values >= bound[:, None]).sum(axis=1)
    assert k <= passing.mean() <= 1.2 * k


def test_each_value_is_in_a_group_neighbours_in_different_ones_and_nothing_is_reordered() -> None:
    values = np.arange(11.0)[None, :]
    assert maxima_of_groups(values, 3).tolist() == [[9.0, 10.0, 8.0]]
    assert maxima_of_groups(values, 20).tolist() == values.tolist()
    assert values.tolist() == np.arange(11.0)[None, :].tolist()


@pytest.mark.parametrize("place", [0, 5, 10])
def test_what_is_no_number_shows_in_its_group(place: int) -> None:
    values = np.zeros((1, 11))
    values[0, place] = np.nan
    assert np.isnan(maxima_of_groups(values, 4)).sum() == 1
