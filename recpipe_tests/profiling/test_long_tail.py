import numpy as np
import pytest

from recpipe.profiling.long_tail import POINTS, Extent, Spread, quantiles, shares_of_kinds
from recpipe_tests.profiling.tiny import EVENTS, interactions


def test_extent_counts_what_is_there_and_what_is_repeated():
    extent = Extent.of(interactions([*EVENTS, (0, 0, 60)]))
    assert (extent.events, extent.users, extent.films) == (8, 3, 4)
    assert extent.density == pytest.approx(7 / 12)
    assert extent.repeated == pytest.approx(1 / 8)
    assert (extent.first, extent.last) == ("2001-01-01T00:00:00", "2001-01-21T00:00:00")


def test_spread_over_four_films():
    spread = Spread.of(np.array([3, 2, 0, 1, 1]))
    assert spread.n == 4  # one has none and does not count
    assert spread.gini == pytest.approx(7 / 28)
    assert spread.top["0.2"] == pytest.approx(3 / 7)  # one of four films
    assert spread.top["0.5"] == pytest.approx(5 / 7)
    assert spread.half == 2
    assert spread.below == {"2": 0.5, "5": 1.0, "10": 1.0, "20": 1.0}
    assert spread.events["median"] == 1.5 and spread.events["most"] == 3
    assert len(spread.lorenz) == POINTS
    assert [spread.lorenz[percent] for percent in (0, 25, 50, 75, 100)] == pytest.approx([0, 1 / 7, 2 / 7, 4 / 7, 1])


def test_films_alike_have_no_tail_and_exactly_half_of_them_have_half():
    spread = Spread.of(np.full(10, 7))
    assert spread.gini == pytest.approx(0)
    assert spread.half == 5
    assert spread.lorenz == pytest.approx(np.linspace(0, 1, POINTS).tolist())


def test_a_value_at_a_kinds_greatest_is_of_that_kind():
    assert shares_of_kinds(np.array([0, 1, 2, 9]), {"none": 0, "few": 2}, "many") == {
        "none": 0.25, "few": 0.5, "many": 0.25
    }  # fmt: skip
    assert quantiles(np.array([])) == {}
