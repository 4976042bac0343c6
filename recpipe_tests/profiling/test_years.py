import numpy as np
import pytest

from recpipe.profiling.years import Years
from recpipe_tests.profiling.tiny import DAY, EVENTS, interactions

YEARS = np.array([1975, 2001, 0, 2003], dtype=np.int32)


def test_years_of_the_tiny_world():
    years = Years.of(interactions(EVENTS), YEARS)
    assert years.known == pytest.approx(6 / 7)
    assert years.before_release == {"0": pytest.approx(1 / 6), "1": pytest.approx(1 / 6), "2": 0.0}
    assert years.forbidden == {"0": pytest.approx(1 / 6), "1": pytest.approx(1 / 6), "2": 0.0}
    assert (years.age["least"], years.age["most"]) == (-2, 26)
    assert (years.recent, years.classic) == (0.5, 0.5)
    assert years.ages["before release"] == pytest.approx(1 / 6)
    assert years.ages["0 to 2"] == pytest.approx(2 / 6)
    assert years.ages["21 to 40"] == pytest.approx(3 / 6)
    assert list(years.by_watch_year) == ["2001"] and years.by_watch_year["2001"]["most"] == 2003
    assert (years.users, years.middle, years.recent_users) == (0, {}, 0.0)  # nobody has five such films


def test_each_users_taste():
    """One keeps to one year, one watches what lies 10 years apart, one has too few films to tell."""
    released = np.array([1990, 1990, 1990, 1990, 1990, 1960, 1970, 1980, 1990, 2000, 2001], dtype=np.int32)
    films = [(0, film, film) for film in range(5)] + [(1, film, film) for film in range(5, 10)] + [(2, 10, 0)]
    years = Years.of(interactions(films), released)
    assert years.users == 2
    assert (years.middle["least"], years.middle["most"]) == (1980, 1990)
    assert (years.width["least"], years.width["most"]) == (0, 20)  # 1970 to 1990
    assert (years.recent_users, years.classic_users) == (0.0, 0.5)  # three of five are older than 20 years


def test_the_variance_between_users_is_all_where_each_keeps_to_a_year_and_none_where_all_watch_the_same():
    keeping = Years.of(interactions([(user, user, film) for user in range(3) for film in range(4)]), YEARS)
    assert keeping.between == pytest.approx(1)
    assert keeping.between_by_chance == pytest.approx((2 - 1) / (8 - 1))  # the third user's film has no year
    alike = Years.of(interactions([(user, film, 0) for user in range(2) for film in range(2)]), YEARS)
    assert alike.between == pytest.approx(0)
    single = Years.of(interactions([(0, 1, 0), (1, 1, 0)]), YEARS)
    assert (single.between, single.between_by_chance) == (0.0, 0.0)


def test_the_filter_looks_at_the_watch_before_and_not_at_the_watch_itself():
    """Two years on, a film of that year is nothing strange; to the filter at the watch before it would be."""
    years = Years.of(interactions([(0, 1, 0), (0, 3, 800 * DAY), (1, 3, 800 * DAY)]), YEARS)
    assert years.before_release["0"] == 0.0
    assert years.forbidden == {"0": pytest.approx(1 / 3), "1": pytest.approx(1 / 3), "2": 0.0}


def test_without_any_year_there_is_nothing_to_tell():
    assert Years.of(interactions(EVENTS), np.zeros(4, dtype=np.int32)) is None
