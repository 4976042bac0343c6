"""No event is lost, no negative was watched, and any batch size works."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recpipe.data.interactions import Interactions
from recpipe.training.batches import film_batches, sequence_batches, user_batches, watched_and_not, with_seeds
from recpipe.training.negatives import Marks, Unseen, popularity_weights

N_USERS, N_ITEMS = 7, 11
SIZES = [1, 2, 3, 39, 1000]


def events(histories: list[list[int]], n_items: int = N_ITEMS) -> Interactions:
    """One list of films a user, in time order."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    items = np.array([film for history in histories for film in history], dtype=np.int64)
    return Interactions.sorted_from(users, items, np.arange(len(items)), None, len(histories), n_items)


def some_events() -> Interactions:
    numbers = np.random.default_rng(2)
    return events([list(numbers.permutation(N_ITEMS)[: 3 + user]) for user in range(N_USERS)])


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("negatives", [1, 4])
def test_every_event_is_one_row_an_epoch_and_no_negative_was_watched(batch_size: int, negatives: int) -> None:
    train = some_events()
    watched = train.matrix().toarray() > 0
    stream = watched_and_not(train, batch_size, negatives)(np.random.default_rng(0))
    rows = list(stream)
    assert len(rows) == len(stream)
    assert all(len(users) <= batch_size and films.shape == (len(users), 1 + negatives) for users, films in rows)
    users = np.concatenate([users.numpy() for users, _ in rows])
    films = np.concatenate([films.numpy() for _, films in rows])
    assert sorted(zip(users, films[:, 0], strict=True)) == sorted(zip(train.users, train.items, strict=True))
    assert not watched[users[:, None], films[:, 1:]].any()


def test_every_epoch_has_another_order_and_other_negatives_and_a_seed_fixes_them() -> None:
    streams = watched_and_not(some_events(), 1000, 1)
    numbers, again = np.random.default_rng(0), np.random.default_rng(0)
    (first,) = streams(numbers)
    (second,) = streams(numbers)
    (repeated,) = streams(again)
    assert (first[1] != second[1]).any()
    assert (first[1] == repeated[1]).all() and (first[0] == repeated[0]).all()


def test_an_epoch_has_one_seed_which_follows_from_the_generator() -> None:
    streams = with_seeds(watched_and_not(some_events(), 5, 1))
    numbers, again = np.random.default_rng(0), np.random.default_rng(0)
    first, second, repeated = ([batch[-1] for batch in streams(source)] for source in (numbers, numbers, again))
    assert len(first) > 1 and first[0].ndim == 0
    assert len(set(map(int, first))) == len(set(map(int, second))) == 1
    assert int(first[0]) != int(second[0])
    assert first == repeated


def test_a_film_watched_twice_is_two_rows() -> None:
    (batch,) = watched_and_not(events([[3, 3]]), 10, 1)(np.random.default_rng(0))
    assert batch[1][:, 0].tolist() == [3, 3]


def test_users_who_have_watched_everything_are_left_out() -> None:
    train = events([list(range(N_ITEMS)), [4]])
    (batch,) = watched_and_not(train, 100, 2)(np.random.default_rng(0))
    assert batch[0].tolist() == [1]


def test_the_one_film_that_is_left_is_the_one_drawn() -> None:
    for left in range(N_ITEMS):
        train = events([[], [film for film in range(N_ITEMS) if film != left], [0]])
        assert (Unseen.of(train).draw(np.array([1]), 50, np.random.default_rng(0)) == left).all()
        weighted = Unseen.of(train, np.arange(1, N_ITEMS + 1, dtype=np.int64))
        assert (weighted.draw(np.array([1]), 50, np.random.default_rng(0)) == left).all()


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("weights", [None, np.array([1, 5, 2, 9, 4, 3], dtype=np.int64)])
def test_negatives_follow_their_weights_among_the_unseen(weights: np.ndarray | None, hashed: bool) -> None:
    histories = [[1, 4], [0, 2], [], [0, 1, 2, 3, 4]]  # the last user's draws mostly end in the search
    unseen = Unseen.of(events(histories, n_items=6), weights)
    assert unseen.marks.certain
    unseen = replace(unseen, marks=Marks.of(unseen.seen, 2**40)) if hashed else unseen
    drawn = unseen.draw(np.arange(4), 60_000, np.random.default_rng(0))
    for user, history in enumerate(histories):
        expected = np.ones(6) if weights is None else weights.astype(float)
        expected[history] = 0.0
        shares = np.bincount(drawn[user], minlength=6) / drawn.shape[1]
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.01)


@pytest.mark.parametrize("below", [30_000, 2**50])
def test_marks_have_what_is_in_the_set_and_seldom_what_is_not(below: int) -> None:
    numbers = np.unique(np.random.default_rng(0).integers(0, below, 1_000))
    marks = Marks.of(numbers, below)
    assert marks.certain == (below == 30_000)
    assert marks.has(numbers).all()
    others = np.setdiff1d(np.random.default_rng(1).integers(0, below, 10_000), numbers)
    assert marks.has(others).mean() <= (0 if marks.certain else 0.04)


def test_popularity_weights_are_whole_positive_and_grow_with_the_power() -> None:
    weights = popularity_weights(events([[0, 1], [0, 1], [0], [0]], n_items=3), alpha=0.5)
    assert weights.min() >= 1
    np.testing.assert_allclose(weights / weights[0], [1.0, 0.5**0.5, 0.25**0.5], rtol=1e-5)


@pytest.mark.parametrize("batch_size", SIZES)
def test_every_user_with_a_film_is_one_row_an_epoch(batch_size: int) -> None:
    train = events([[1, 2], [], [3], [0, 4, 4]])
    rows = list(user_batches(train, batch_size)(np.random.default_rng(0)))
    users = np.concatenate([users.numpy() for _, users in rows])
    histories = np.concatenate([history.numpy() for history, _ in rows])
    assert sorted(users) == [0, 2, 3]
    np.testing.assert_array_equal(histories, train.matrix().toarray()[users])
    assert histories.dtype == np.float32


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("users_at_once", [1, 2, 100])
def test_every_film_meets_every_user_with_a_film_once_an_epoch(batch_size: int, users_at_once: int) -> None:
    train = events([[1, 2], [], [3], [0, 4, 4]])
    stream = film_batches(train, batch_size, users_at_once)(np.random.default_rng(0))
    met = []
    for films, histories in stream:
        assert len(films) <= batch_size
        assert histories.shape[1] <= users_at_once
        met += [(film, *row) for film in films.tolist() for row in histories[0].tolist()]
    rows = train.matrix().toarray()[[0, 2, 3]].tolist()
    assert sorted(met) == sorted((film, *row) for film in range(N_ITEMS) for row in rows)


def test_a_target_is_the_film_after_its_input() -> None:
    train = events([[5, 6, 7], [9], [], [1, 2]])
    (batch,) = sequence_batches(train.histories(), 4, 10)(np.random.default_rng(0))
    pairs = sorted(zip(batch[0].tolist(), batch[1].tolist(), strict=True))
    padding = N_ITEMS
    assert pairs == [
        ([padding, padding, 5, 6], [padding, padding, 6, 7]),
        ([padding, padding, padding, 1], [padding, padding, padding, 2]),
    ]


def test_a_long_history_is_cut_into_windows_from_its_end() -> None:
    streams = sequence_batches(events([[0, 1, 2, 3, 4, 5]]).histories(), 2, 10)
    (batch,) = streams(np.random.default_rng(0))
    pairs = sorted(zip(batch[0].tolist(), batch[1].tolist(), strict=True))
    assert pairs == [([1, 2], [2, 3]), ([3, 4], [4, 5]), ([N_ITEMS, 0], [N_ITEMS, 1])]
    (batch,) = sequence_batches(events([[0, 1, 2, 3, 4, 5]]).histories(), 2, 10, latest_only=True)(
        np.random.default_rng(0)
    )
    assert (batch[0].tolist(), batch[1].tolist()) == ([[3, 4]], [[4, 5]])


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("max_length", [1, 2, 3, 50])
def test_every_film_but_the_first_of_a_history_is_a_target_once(batch_size: int, max_length: int) -> None:
    train = some_events()
    rows = list(sequence_batches(train.histories(), max_length, batch_size)(np.random.default_rng(0)))
    targets = np.concatenate([targets.numpy() for _, targets in rows])
    targets = targets[targets != N_ITEMS]
    expected = np.concatenate([train.items[start + 1 : end] for start, end in zip(train.offsets, train.offsets[1:])])  # noqa: B905
    assert sorted(targets) == sorted(expected)
