"""Sorting events: one packed number gives the order of the lexical sort."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data.interactions import order_by


@pytest.mark.parametrize("most", [5, 2**31 - 1, 2**62])
def test_events_are_sorted_as_by_a_lexical_sort_equal_ones_in_their_order(most: int) -> None:
    random = np.random.default_rng(0)
    users = random.integers(0, 5, 1000).astype(np.int32)
    times = random.integers(-most, most, 1000)  # the widest does not fit into one number with the users
    times[::3] = times[0]
    assert (order_by(users, times) == np.lexsort((times, users))).all()
    assert (order_by(times, users) == np.lexsort((users, times))).all()


def test_no_events_are_sorted_too() -> None:
    assert order_by(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)).tolist() == []
