import numpy as np
import pytest

from recpipe.profiling.splitting import DatedTest, Splitting, overlap
from recpipe_tests.profiling.tiny import DAY, EVENTS, MINUTE, interactions


def test_splitting_of_the_tiny_world():
    splitting = Splitting.of(interactions(EVENTS))
    assert splitting.repeated == 0
    assert (splitting.span["most"], splitting.span["least"]) == (10, pytest.approx(20 * MINUTE / DAY))
    assert splitting.one_day == 0.5
    assert splitting.overlap == pytest.approx(1 / 3)  # the second user's day lies within the first one's ten
    assert splitting.leave_one_out == 1
    assert (splitting.tied, splitting.same_session) == (0.0, 0.0)
    assert splitting.later_training == pytest.approx(1 / 5)
    assert splitting.hides_nothing == {"holdout": 1.0, "leave_one_out": pytest.approx(2 / 3)}
    assert splitting.by_date == [DatedTest(7, 0, 0, 0.0)]  # 14 days leave nothing to train on


def test_a_later_watch_of_a_film_is_no_film_of_a_split():
    """The third user's last event repeats a film: the film before is what leave_one_out hides, and it is tied."""
    events = [(0, 0, 0), (0, 1, 5), (0, 2, 5), (0, 0, 9 * DAY)]
    splitting = Splitting.of(interactions(events))
    assert splitting.repeated == 0.25
    assert splitting.tied == 1.0 and splitting.same_session == 1.0
    assert splitting.span["most"] == pytest.approx(5 / DAY)


def test_ties_and_sessions_at_the_last_film_are_counted_over_users():
    apart = {0: 0, 1: 29 * MINUTE, 2: 31 * MINUTE, 3: DAY}
    events = [(user, film, time) for user, gap in apart.items() for film, time in ((0, 0), (1, 9), (2, 9 + gap))]
    splitting = Splitting.of(interactions(events))
    assert splitting.leave_one_out == 4
    assert (splitting.tied, splitting.same_session) == (0.25, 0.5)


def test_training_that_is_later_than_the_test_film_is_that_of_others():
    """The first user is done when the second begins: both trained films of the second are later than the first's test
    film, and nothing is later than the second's. Two of four, and none."""
    events = [(0, film, film) for film in range(4)] + [(1, film, DAY + film) for film in range(4)]
    assert Splitting.of(interactions(events)).later_training == pytest.approx((2 / 4 + 0) / 2)


def test_training_of_the_same_second_is_not_later():
    events = [(0, film, film) for film in range(4)] + [(1, film, 3) for film in range(4)]
    assert Splitting.of(interactions(events)).later_training == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_overlap_is_that_of_all_pairs_looked_at_one_by_one(seed):
    random = np.random.default_rng(seed)
    starts = random.integers(0, 20, 12)
    ends = starts + random.integers(0, 6, 12)
    pairs = [(one, other) for one in range(12) for other in range(one)]
    common = [starts[one] <= ends[other] and starts[other] <= ends[one] for one, other in pairs]
    assert overlap(starts, ends) == pytest.approx(np.mean(common))


def test_by_date_tells_who_is_left_to_test_and_how_many_of_them_are_new():
    old = [(user, film, user) for user in range(10) for film in range(3 if user < 5 else 5)]
    valid = [(0, 3, 40 * DAY), (0, 4, 40 * DAY)]
    test = [(1, 3, 50 * DAY), (1, 4, 50 * DAY), (10, 0, 50 * DAY), (10, 1, 50 * DAY)]
    splitting = Splitting.of(interactions([*old, *valid, *test]))
    assert splitting.by_date == [DatedTest(7, 2, 4, 0.5)]  # more days leave no older part to train on


def test_one_interaction_can_be_looked_at():
    splitting = Splitting.of(interactions([(0, 0, 0)]))
    assert (splitting.span, splitting.overlap, splitting.leave_one_out, splitting.by_date) == ({}, 0.0, 0, [])
    assert splitting.hides_nothing == {"holdout": 1.0, "leave_one_out": 1.0}
