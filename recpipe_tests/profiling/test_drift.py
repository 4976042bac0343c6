import numpy as np
import pytest

from recpipe.profiling.drift import MOST_PERIODS, Drift
from recpipe_tests.profiling.tiny import DAY, EVENTS, interactions


def test_drift_of_the_tiny_world():
    drift = Drift.of(interactions(EVENTS))
    assert drift.unit == "day" and len(drift.periods) == 21
    assert (drift.periods[0], drift.periods[-1]) == ("2001-01-01", "2001-01-21")
    days = {day: count for day, count in enumerate(drift.events) if count}
    assert days == {0: 3, 1: 2, 10: 1, 20: 1}
    assert [drift.active_users[day] for day in (0, 1, 2, 10, 20)] == [1, 1, 0, 1, 1]
    assert [day for day, new in enumerate(drift.new_users) if new] == [0, 1, 20] and sum(drift.new_users) == 3
    assert {day: new for day, new in enumerate(drift.new_films) if new} == {0: 3, 10: 1}
    assert drift.part_ends == ["2001-01-01", "2001-01-02", "2001-01-11", "2001-01-21"]  # 2, 2, 2 and 1 interactions
    table = drift.rank_correlation
    assert table[0][1] == pytest.approx(0) and table[1][2] == pytest.approx(-1)
    assert table[0][3] == table[3][0] == pytest.approx(1 / 3**0.5)
    assert drift.last_part_new_users == 1.0 and drift.last_part_new_films == 0.0


@pytest.mark.parametrize(
    ("days", "unit", "periods"),
    [(46, "day", 47), (60, "week", 9), (400, "month", 14), (3_000, "quarter", 33), (9_000, "year", 25)],
)
def test_the_finest_unit_of_few_enough_periods_is_taken(days, unit, periods):
    drift = Drift.of(interactions([(0, 0, 0), (0, 1, days * DAY)]))
    assert (drift.unit, len(drift.periods)) == (unit, periods)
    assert len(drift.periods) <= MOST_PERIODS
    assert drift.events[0] == drift.events[-1] == 1 and sum(drift.events) == 2


def test_weeks_begin_on_monday():
    drift = Drift.of(interactions([(0, 0, 0), (0, 1, 60 * DAY)]))
    assert drift.periods[:2] == ["2001-01-01", "2001-01-08"]  # the first day of 2001 was a Monday
    from_sunday = Drift.of(interactions([(0, 0, 6 * DAY), (0, 1, 60 * DAY)]))
    assert from_sunday.periods == drift.periods and from_sunday.events == drift.events


def test_films_that_change_places_drift_and_drawn_parts_would_not():
    random = np.random.default_rng(0)
    early, late = (random.choice(20, 2_000, p=weights) for weights in _opposite(20))
    drift = Drift.of(interactions([(0, int(film), place) for place, film in enumerate([*early, *late])]))
    assert drift.rank_correlation[0][3] < -0.8
    assert drift.rank_correlation[0][1] > 0.8
    assert drift.drawn > drift.neighbours + 0.3


def test_parts_that_rank_nothing_have_no_correlation():
    drift = Drift.of(interactions([(0, 0, 0)]))
    assert drift.rank_correlation[0] == [1.0, None, None, None]
    assert drift.neighbours is None and drift.drawn is None and drift.last_part_new_users == 0.0


def _opposite(films):
    weights = 1 / (1 + np.arange(films))
    return weights / weights.sum(), weights[::-1] / weights.sum()
