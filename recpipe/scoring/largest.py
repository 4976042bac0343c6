"""A bound on the k-th largest value of each row of a matrix, without parting the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def maxima_of_groups(values: NDArray[np.floating], n_groups: int) -> NDArray[np.floating]:
    """The largest value of each group of columns, by rows: C order [rows × columns] → [rows × groups].

    There are at least n_groups groups, or as many as columns where these are fewer; a group that holds NaN gives NaN.
    Of a row, the k-th largest of them is at most the k-th largest value, since k groups have one that is not lower,
    and mostly hardly less. Neighbours stand in different groups, since neighbouring films and users are often alike.
    The maxima take one pass over the values and are few, while to part all of a row takes many times as long.
    """
    n_rows, n_columns = values.shape
    size = max(1, n_columns // n_groups)
    n_groups = n_columns // size
    whole = n_groups * size
    maxima: NDArray[np.floating] = values[:, :whole].reshape(n_rows, size, n_groups).max(axis=1)
    rest = n_columns - whole
    np.maximum(maxima[:, :rest], values[:, whole:], out=maxima[:, :rest])
    return maxima


def kth_largest(values: NDArray[np.floating], k: int) -> NDArray[np.floating]:
    """[rows]: of each row the k-th largest value, 1 ≤ k ≤ columns. Reorders `values`."""
    place = values.shape[1] - k
    values.partition(place, axis=1)
    return values[:, place]
