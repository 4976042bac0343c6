import numpy as np
import pytest

from recpipe.data.features import UNKNOWN_YEAR
from recpipe.data.interactions import Interactions
from recpipe.evaluation.ranking import Ranking, rank, release_year_filter
from recpipe.recipe import NonFiniteScores
from recpipe.scoring.top import NO_FILM
from recpipe_tests.evaluation.scorers import Known, random_world, watched


def test_best_films_come_first_and_seen_films_never():
    scorer = Known(np.array([[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.1]], dtype=np.float32))
    ranking = rank(scorer, watched([[1], [0, 3]], 4).histories(), 2)
    assert ranking.items.tolist() == [[3, 2], [1, 2]]
    assert ranking.scores.tolist() == [[np.float32(0.7), 0.5], [np.float32(0.3), np.float32(0.2)]]
    assert ranking.items.dtype == np.int32 and ranking.scores.dtype == np.float32


def test_seen_films_are_never_recommended_on_random_data():
    scorer, held_out = random_world(300, 60)
    ranking = rank(scorer, held_out.histories, 55)
    seen = held_out.histories.matrix().toarray().astype(bool)
    for row, items in enumerate(ranking.items):
        recommended = items[items != NO_FILM]
        assert not seen[row, recommended].any()
        assert len(set(recommended.tolist())) == len(recommended) == min(55, 60 - seen[row].sum())


def test_equal_scores_are_ordered_by_film_number():
    scorer = Known(np.array([[1, 2, 1, 2, 1, 1], [0, 0, 0, 0, 0, 0]], dtype=np.float32))
    ranking = rank(scorer, watched([[0], [1]], 6).histories(), 4)
    assert ranking.items.tolist() == [[1, 3, 2, 4], [0, 2, 3, 4]]


def test_lists_are_padded_where_too_few_films_are_left():
    scorer = Known(np.array([[3, 2, 1]], dtype=np.float32))
    ranking = rank(scorer, watched([[0]], 3).histories(), 5)
    assert ranking.items.tolist() == [[1, 2, NO_FILM, NO_FILM, NO_FILM]]
    assert ranking.scores.tolist() == [[2, 1, -np.inf, -np.inf, -np.inf]]


def test_a_user_who_has_seen_everything_gets_an_empty_list():
    ranking = rank(Known(np.ones((1, 2), dtype=np.float32)), watched([[0, 1]], 2).histories(), 2)
    assert ranking.items.tolist() == [[NO_FILM, NO_FILM]]


def test_lists_do_not_depend_on_the_byte_budget():
    scorer, held_out = random_world(401, 357)
    needed = 4 * 128 * 357 + 9 * 357
    whole = rank(scorer, held_out.histories, 20)
    for byte_budget in (needed, needed + 40_000, 2 * needed):
        split = rank(scorer, held_out.histories, 20, byte_budget=byte_budget)
        np.testing.assert_array_equal(split.items, whole.items)
        np.testing.assert_array_equal(split.scores, whole.scores)


def test_a_budget_that_cannot_hold_one_call_is_refused():
    scorer, held_out = random_world(200, 50)
    with pytest.raises(ValueError, match="byte_budget is 1000"):
        rank(scorer, held_out.histories, 5, byte_budget=1000)


def test_the_scorers_own_array_is_left_as_it_was():
    table = np.ones((2, 3), dtype=np.float32)
    rank(Known(table), watched([[0], [1, 2]], 3).histories(), 2)
    assert (table == 1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_an_error(bad):
    table = np.ones((1, 5), dtype=np.float32)
    table[0, 3] = bad
    with pytest.raises(ValueError, match="diverged"):
        rank(Known(table), watched([[0]], 5).histories(), 2)


def test_a_list_that_minus_infinity_leaves_short_is_an_error():
    table = np.zeros((200, 5), dtype=np.float32)
    table[150, 1:] = -np.inf
    histories = watched([[0]] * 200, 5).histories()
    with pytest.raises(NonFiniteScores, match="diverged"):
        rank(Known(table), histories, 2)
    with pytest.raises(NonFiniteScores, match="diverged"):
        rank(Known(np.full((1, 5), -np.inf, dtype=np.float32)), watched([[0]], 5).histories(), 2)


def test_lists_that_masks_leave_short_are_no_error():
    scorer, histories = Known(np.ones((2, 4), dtype=np.float32)), watched([[0, 1, 2, 3], [0]], 4).histories()
    nothing = np.zeros(4, dtype=np.bool_)
    for masks in ({}, {"allowed": nothing}, {"masker": lambda asked: np.zeros((len(asked), 4), dtype=np.bool_)}):
        assert rank(scorer, histories, 2, **masks).items[0].tolist() == [NO_FILM, NO_FILM]


def test_scores_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match=r"asked for scores \[1 × 4\]"):
        rank(Known(np.ones((1, 3), dtype=np.float32)), watched([[0]], 4).histories(), 2)


def test_only_allowed_films_are_recommended():
    scorer = Known(np.array([[5, 4, 3, 2]], dtype=np.float32))
    histories = watched([[2]], 4).histories()
    allowed = np.array([False, True, True, True])
    assert rank(scorer, histories, 3, allowed=allowed).items.tolist() == [[1, 3, NO_FILM]]
    with pytest.raises(ValueError, match="allowed must be bool"):
        rank(scorer, histories, 3, allowed=np.array([True]))


def test_films_released_after_the_last_watch_are_left_out():
    years = np.array([1999, 2001, 2002, UNKNOWN_YEAR, 1990], dtype=np.int32)
    first = int(np.datetime64("1995-05-05", "s").astype(np.int64))
    last = int(np.datetime64("2000-12-31T23:59:59", "s").astype(np.int64))
    histories = Interactions.sorted_from(
        np.array([0, 0]), np.array([4, 4]), np.array([first, last]), None, n_users=2, n_items=5
    ).histories()
    table = np.array([[1, 5, 4, 3, 2], [1, 5, 4, 3, 2]], dtype=np.float32)
    strict = rank(Known(table), histories, 4, masker=release_year_filter(years, 0))
    assert strict.items.tolist() == [[3, 0, NO_FILM, NO_FILM], [1, 2, 3, 4]]  # the second has no history
    lenient = rank(Known(table), histories, 4, masker=release_year_filter(years, 1))
    assert lenient.items.tolist()[0] == [1, 3, 0, NO_FILM]


def test_the_filter_does_not_depend_on_the_blocks():
    scorer, held_out = random_world(300, 80)
    years = np.where(np.arange(80) % 2, 1969, 1980).astype(np.int32)
    masker = release_year_filter(years, 0)
    whole = rank(scorer, held_out.histories, 50, masker=masker)
    assert set(whole.items[whole.items != NO_FILM] % 2) == {1}
    small = rank(scorer, held_out.histories, 50, masker=masker, byte_budget=4 * 128 * 80 + 9 * 80 * 3)
    np.testing.assert_array_equal(small.items, whole.items)


def test_gaps_are_filled_from_a_reserve_without_repeating_films():
    short = Ranking(
        np.array([[4, -1, -1], [1, 2, 3]], dtype=np.int32),
        np.array([[9, -np.inf, -np.inf], [3, 2, 1]], dtype=np.float32),
    )
    reserve = Ranking(np.array([[7, 4, 5], [7, 8, 9]], dtype=np.int32), np.ones((2, 3), dtype=np.float32))
    filled = short.filled_from(reserve)
    assert filled.items.tolist() == [[4, 7, 5], [1, 2, 3]]
    assert filled.scores.tolist() == [[9, 1, 1], [3, 2, 1]]
    assert short.items.tolist()[0] == [4, -1, -1]


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k is 0"):
        rank(Known(np.ones((1, 3), dtype=np.float32)), watched([[0]], 3).histories(), 0)
