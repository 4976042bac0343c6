"""What decides costs is read from the data once, and agrees with what the trainings see."""

import numpy as np
import pytest

from recpipe.costs import RANKED, Shape, in_words
from recpipe.data.interactions import Interactions
from recpipe.recipe import ROWS_A_CALL
from recpipe.training.batches import sequence_batches
from recpipe.training.costs import met
from recpipe_tests.worlds import general


@pytest.fixture(scope="module")
def uneven():
    """300 users of 1 to 60 films each out of 200, popular ones more often; one user and one film without events."""
    random = np.random.default_rng(0)
    weights = 1.0 / (1 + np.arange(199))
    rows = [random.choice(199, random.integers(1, 61), replace=False, p=weights / weights.sum()) for _ in range(299)]
    users = np.repeat(np.arange(299), [len(row) for row in rows])
    return Interactions.sorted_from(users, np.concatenate(rows), np.arange(len(users)), None, 300, 200)


def test_a_shape_counts_users_films_and_events(uneven):
    shape = Shape.of(uneven)
    assert (shape.n_users, shape.n_items, shape.n_events) == (300, 200, len(uneven))
    assert shape.lengths[-1] == 0
    assert shape.counts[-1] == 0
    assert shape.counts[0] == (uneven.items == 0).sum()
    assert not shape.rated


@pytest.mark.parametrize("max_length", [1, 7, 50])
def test_windows_are_the_rows_of_the_sequence_batches(uneven, max_length):
    stream = sequence_batches(uneven.histories(), max_length, 10)(np.random.default_rng(0))
    targets = sum(int((batch[1] != uneven.n_items).sum()) for batch in stream)
    shape = Shape.of(uneven)
    assert shape.windows(max_length) == len(stream.order)
    assert shape.targets_a_window(max_length) == pytest.approx(targets / len(stream.order))


def test_pairs_of_films_watched_together_are_about_the_cells_of_the_gram_matrix(uneven):
    watched = uneven.matrix()
    assert Shape.of(uneven).co_watched == pytest.approx((watched.T @ watched).nnz, rel=0.1)


def test_where_people_keep_to_their_own_films_fewer_pairs_meet_than_expected_and_never_more_than_there_are():
    train = general().train.interactions
    watched = train.matrix()
    assert (watched.T @ watched).nnz < Shape.of(train).co_watched < train.n_items**2


def test_without_events_nothing_is_watched_together():
    nothing = Shape(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64))
    assert (nothing.n_events, nothing.co_watched, nothing.windows(5), nothing.targets_a_window(5)) == (0, 0, 0, 0.0)


def test_sizes_are_told_in_the_unit_that_suits():
    assert [in_words(n) for n in (36, 5 * 2**20, 1.25 * 2**30)] == ["36 bytes", "5 MiB", "1.2 GiB"]


@pytest.mark.parametrize("rows", [1, 50, 100_000])
def test_a_batch_holds_about_as_many_different_users_as_are_expected(uneven, rows):
    random = np.random.default_rng(0)
    drawn = [len(np.unique(random.choice(uneven.users, rows))) for _ in range(30)]
    assert met(Shape.of(uneven).lengths, rows) == pytest.approx(np.mean(drawn), rel=0.05, abs=0.5)


def test_a_batch_of_nothing_holds_nobody():
    assert met(np.zeros(3, dtype=np.int64), 10) == 0


def test_estimates_are_of_as_many_users_as_a_scorer_is_asked_about():
    assert RANKED == ROWS_A_CALL
