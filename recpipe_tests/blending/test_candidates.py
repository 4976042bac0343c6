import numpy as np
import pytest

from recpipe.blending.candidates import Candidates, contribution
from recpipe.evaluation.ranking import Ranking

NOTHING = -np.inf


def ranking(items: list[list[int]], scores: list[list[float]]) -> Ranking:
    return Ranking(np.array(items, dtype=np.int32), np.array(scores, dtype=np.float32))


FIRST = ranking([[4, 2, 7], [1, -1, -1]], [[9, 6, 3], [5, NOTHING, NOTHING]])
SECOND = ranking([[2, 5, -1], [3, 1, 0]], [[1, 0, NOTHING], [8, 8, 8]])


def test_candidates_are_the_union_of_the_lists():
    candidates = Candidates.of({"a": FIRST, "b": SECOND}, "rrf")
    assert candidates.items.tolist() == [[2, 4, 5, 7], [0, 1, 3, -1]]


def test_reciprocal_ranks_equal_the_values_worked_out_by_hand():
    candidates = Candidates.of({"a": FIRST, "b": SECOND}, "rrf")
    np.testing.assert_allclose(candidates.contributions[0, 0], [1 / 62, 1 / 61, 0, 1 / 63], rtol=1e-6)
    np.testing.assert_allclose(candidates.contributions[1, 0], [1 / 61, 0, 1 / 62, 0], rtol=1e-6)
    blended = candidates.blended({"a": 0.5, "b": 0.5}, 3)
    assert blended.items.tolist() == [[2, 4, 5], [1, 3, 0]]
    assert blended.scores[0, 0] == pytest.approx((1 / 62 + 1 / 61) / 2)


def test_borda_counts_equal_the_values_worked_out_by_hand():
    said, unlisted = contribution(FIRST, "borda")
    np.testing.assert_allclose(said[0], [1, 2 / 3, 1 / 3], rtol=1e-6)
    assert unlisted.tolist() == [0, 0]


def test_scores_scaled_to_the_unit_interval_equal_the_values_worked_out_by_hand():
    said, unlisted = contribution(FIRST, "minmax")
    assert said[0].tolist() == [1, 0.5, 0] and said[1, 0] == 1  # a list of one film: all its scores are equal
    assert contribution(SECOND, "minmax")[0][1].tolist() == [1, 1, 1]
    assert unlisted.tolist() == [0, 0]


def test_standardised_scores_equal_the_values_worked_out_by_hand():
    said, unlisted = contribution(FIRST, "zscore")
    np.testing.assert_allclose(said[0], [3 / 6**0.5, 0, -3 / 6**0.5], atol=1e-6)
    assert unlisted[0] == pytest.approx(-3 / 6**0.5)  # not listed counts as the last film of the list
    assert said[1, 0] == 0 and unlisted[1] == 0
    both = Candidates.of({"a": FIRST, "b": SECOND}, "zscore")  # films 2, 4, 5, 7 of the first user
    np.testing.assert_allclose(both.contributions[0, 0], [0, 1.5**0.5, -(1.5**0.5), -(1.5**0.5)], atol=1e-6)
    assert both.contributions[1, 0].tolist() == [1, -1, -1, -1]
    assert contribution(SECOND, "zscore")[0][0].tolist()[:2] == [1, -1]


def test_equal_blended_scores_are_ordered_by_film_number():
    same = ranking([[9, 3]], [[1, 1]])
    assert Candidates.of({"a": same}, "minmax").blended({"a": 1.0}, 2).items.tolist() == [[3, 9]]


def test_users_without_candidates_get_an_empty_list():
    empty = ranking([[-1, -1]], [[NOTHING, NOTHING]])
    for method in ("rrf", "borda", "minmax", "zscore"):
        assert Candidates.of({"a": empty, "b": empty}, method).blended({"a": 1.0}, 2).items.tolist() == [[-1, -1]]


def test_blending_agrees_with_a_slow_reference():
    random = np.random.default_rng(0)
    lists = {}
    for name in "abc":
        items = np.stack([random.permutation(30)[:8] for _ in range(50)])
        lists[name] = ranking(items.tolist(), np.sort(random.normal(size=(50, 8)))[:, ::-1].tolist())
    weights = {"a": 0.5, "b": 0.2, "c": 0.3}
    fast = Candidates.of(lists, "rrf").blended(weights, 5)
    for row in range(50):
        total = dict.fromkeys(range(30), 0.0)
        for name, weight in weights.items():
            for place, item in enumerate(lists[name].items[row].tolist(), start=1):
                total[item] += weight / (60 + place)
        np.testing.assert_allclose(fast.scores[row], sorted(total.values(), reverse=True)[:5], rtol=1e-5)
        np.testing.assert_allclose([total[item] for item in fast.items[row].tolist()], fast.scores[row], rtol=1e-5)


def test_lists_for_different_users_and_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="a: 2, b: 1"):
        Candidates.of({"a": FIRST, "b": ranking([[1]], [[1]])}, "rrf")
    with pytest.raises(ValueError, match="known are rrf"):
        Candidates.of({"a": FIRST}, "mean")
