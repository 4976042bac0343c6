"""Ratings to interactions: what goes, in which order, and how it is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from recpipe.data.preparation import Preparation
from recpipe.data.preparing import Prepared, prepare
from recpipe.storage import content_digest


def ratings(rows: list[tuple[Any, Any, float | None, int | None]]) -> pa.Table:
    user, item, rating, time = (list(column) for column in zip(*rows, strict=True))
    return pa.table(
        {"user": user, "item": item, "rating": pa.array(rating, pa.float32()), "time": pa.array(time, pa.int64())}
    )


def raw_events(prepared: Prepared) -> list[tuple[Any, Any, int]]:
    events = prepared.interactions
    users, items = prepared.ids.raw_users(events.users), prepared.ids.raw_items(events.items)
    return list(zip(users.to_pylist(), items.to_pylist(), events.times.tolist(), strict=True))


def test_events_come_sorted_and_equal_times_keep_the_order_of_the_file() -> None:
    table = ratings([(5, 1, None, 9), (3, 7, None, 4), (5, 9, None, 2), (5, 2, None, 9), (3, 1, None, 4)])
    prepared = prepare(table, Preparation())
    assert raw_events(prepared) == [(3, 7, 4), (3, 1, 4), (5, 9, 2), (5, 1, 9), (5, 2, 9)]
    assert prepared.interactions.ratings is None
    assert prepared.interactions.items.dtype == np.int32 and prepared.interactions.times.dtype == np.int64
    assert (prepared.interactions.n_users, prepared.interactions.n_items) == (2, 4)
    assert prepared.counts == {
        "delivered": 5, "below_min_rating": 0, "repeats": 0, "too_few_of_user": 0, "too_few_of_item": 0, "kept": 5,
    }  # fmt: skip


def test_low_ratings_go_and_the_rest_keep_theirs() -> None:
    table = ratings([("a", "x", 3.5, 1), ("a", "y", 4.0, 2), ("b", "x", 5.0, 3)])
    prepared = prepare(table, Preparation(min_rating=4))
    assert raw_events(prepared) == [("a", "y", 2), ("b", "x", 3)]
    assert prepared.interactions.ratings is not None and prepared.interactions.ratings.tolist() == [4.0, 5.0]
    assert prepared.counts["below_min_rating"] == 1


@pytest.mark.parametrize(
    ("repeats", "left"),
    [
        ("keep", [(1, 8, 2), (1, 8, 5), (1, 9, 5), (1, 8, 5)]),
        ("latest", [(1, 9, 5), (1, 8, 5)]),
        ("first", [(1, 8, 2), (1, 9, 5)]),
    ],
)
def test_repeated_films(repeats: Any, left: list[tuple[int, int, int]]) -> None:
    table = ratings([(1, 8, None, 5), (1, 9, None, 5), (1, 8, None, 2), (1, 8, None, 5)])
    prepared = prepare(table, Preparation(repeats=repeats))
    assert raw_events(prepared) == left
    assert prepared.counts["repeats"] == 4 - len(left)


def test_the_core_is_found_by_repetition() -> None:
    pairs = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3)]  # film 3 falls with user 4, then user 3
    prepared = prepare(ratings([(u, i, None, 0) for u, i in pairs]), Preparation(min_user_events=2, min_item_events=2))
    assert {(user, item) for user, item, _ in raw_events(prepared)} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert prepared.counts["too_few_of_user"] == 2 and prepared.counts["too_few_of_item"] == 1
    assert prepared.ids.users.to_pylist() == [1, 2]


def slow_core(pairs: set[tuple[int, int]], users: int, items: int) -> set[tuple[int, int]]:
    while True:
        left = {
            (u, i)
            for u, i in pairs
            if sum(p[0] == u for p in pairs) >= users and sum(p[1] == i for p in pairs) >= items
        }
        if left == pairs:
            return left
        pairs = left


@pytest.mark.parametrize("seed", range(5))
def test_the_core_equals_a_slow_and_obvious_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = {(int(u), int(i)) for u, i in zip(random.integers(0, 20, 90), random.integers(0, 25, 90), strict=True)}
    table = ratings([(u, i, None, 0) for u, i in sorted(pairs)])
    prepared = prepare(table, Preparation(min_user_events=3, min_item_events=3))
    assert {(user, item) for user, item, _ in raw_events(prepared)} == slow_core(pairs, 3, 3)
    counts = prepared.counts
    assert counts["kept"] == counts["delivered"] - counts["too_few_of_user"] - counts["too_few_of_item"]


def test_what_cannot_be_prepared_is_refused_at_the_door() -> None:
    with pytest.raises(ValueError, match="min_rating needs ratings"):
        prepare(ratings([(1, 1, None, 1)]), Preparation(min_rating=4))
    with pytest.raises(ValueError, match=r"\{'time': 1\} came"):
        prepare(ratings([(1, 1, None, 1), (1, 2, None, None)]), Preparation())
    with pytest.raises(ValueError, match=r"\{'rating': 1\} came"):
        prepare(ratings([(1, 1, 4.0, 1), (1, 2, None, 1)]), Preparation())
    with pytest.raises(ValueError, match="no event is left"):
        prepare(ratings([(1, 1, 3.0, 1)]), Preparation(min_rating=4, repeats="latest"))
    with pytest.raises(ValidationError, match="min_user_event"):
        Preparation.model_validate({"min_user_event": 5})


@pytest.mark.parametrize("rating", [None, 4.5])
def test_what_is_written_comes_back_and_equal_content_gives_equal_bytes(tmp_path: Path, rating: float | None) -> None:
    table = ratings([("b", 1, rating, 3), ("a", 2, rating, 1), ("a", 1, rating, 2)])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        prepare(table, Preparation()).write(tmp_path / name)
    assert content_digest(tmp_path / "one") == content_digest(tmp_path / "two")
    before, after = prepare(table, Preparation()), Prepared.read(tmp_path / "one")
    assert raw_events(after) == raw_events(before) and after.counts == before.counts
    assert after.ids.digest == before.ids.digest
    assert (after.interactions.ratings is None) == (rating is None)
    assert after.interactions.items.flags.writeable
