"""Interactions, their views, and their order."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data import interactions
from recpipe.data.interactions import Histories, Interactions, order_by


def random_events(n_users: int = 50, n_items: int = 30, n_events: int = 700) -> Interactions:
    """Some films watched again, users 0 and the last without any."""
    random = np.random.default_rng(0)
    return Interactions.sorted_from(
        random.integers(1, n_users - 1, n_events),
        random.integers(0, n_items, n_events),
        random.integers(0, 1000, n_events),
        random.integers(1, 6, n_events).astype(np.float32),
        n_users,
        n_items,
    )


def same(one: Histories, other: Histories) -> bool:
    names = ("users", "offsets", "items", "times", "ratings")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("users_a_block", [1, 7, 49, 50, 4096])
def test_a_film_counts_its_users_once_each_whatever_the_blocks(monkeypatch, users_a_block):
    monkeypatch.setattr(interactions, "USERS_A_BLOCK", users_a_block)
    events = random_events()
    pairs = set(zip(events.users.tolist(), events.items.tolist(), strict=True))
    assert len(pairs) < len(events)
    counts = events.item_counts()
    assert counts.tolist() == [sum(item == film for _, item in pairs) for film in range(30)]
    assert counts.dtype == np.int64


def test_no_events_count_nothing():
    nothing = np.zeros(0, dtype=np.int64)
    assert Interactions.sorted_from(nothing, nothing, nothing, None, 0, 3).item_counts().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "which", [slice(None), slice(3, 9), slice(0, 0), slice(9, 3), slice(40, 99), slice(-4, None), slice(1, 20, 3)]
)
def test_a_slice_of_rows_is_what_its_numbers_name(which):
    histories = random_events().histories()
    assert same(histories.rows(which), histories.rows(np.arange(50)[which]))
    inner = histories.rows(slice(5, 45))
    assert same(inner.rows(which), inner.rows(np.arange(40)[which]))


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
