from math import log2

import numpy as np
import pytest

from recpipe.evaluation import metrics
from recpipe.evaluation.metrics import METRICS, Targets, gini, over_lists, per_user, times_listed
from recpipe.evaluation.naming import NAMES, parse_metric
from recpipe_tests.evaluation.scorers import watched


def test_settings_know_the_metrics_by_name():
    assert tuple(METRICS) == NAMES


# Three users, lists of four: hits at places 1 and 3 of 2 targets; at place 2 of 6 targets; none of 1 target.
HITS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
N_TARGETS = np.array([2, 6, 1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recall", [1.0, 1 / 6, 0.0]),
        ("capped_recall", [1.0, 1 / 4, 0.0]),
        ("ndcg", [1.5 / (1 + 1 / log2(3)), (1 / log2(3)) / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5)), 0.0]),
        ("mrr", [1.0, 0.5, 0.0]),
        ("map", [(1 + 2 / 3) / 2, (1 / 2) / 4, 0.0]),
        ("hit_rate", [1.0, 1.0, 0.0]),
    ],
)
def test_each_metric_equals_the_value_worked_out_by_hand(name, expected):
    np.testing.assert_allclose(METRICS[name](HITS, N_TARGETS), expected, rtol=1e-12)


def test_a_perfect_list_scores_one_even_when_targets_exceed_the_places():
    perfect = np.ones((1, 5), dtype=bool)
    for name in ("capped_recall", "ndcg", "mrr", "map", "hit_rate"):
        assert METRICS[name](perfect, np.array([40])) == pytest.approx([1.0])
    assert metrics.recall(perfect, np.array([40])) == pytest.approx([5 / 40])


def _slowly(ranked: list[int], targets: set[int], k: int) -> dict[str, float]:
    """Each metric for one user, as its definition reads."""
    places = [place for place, item in enumerate(ranked[:k], start=1) if item in targets]
    ideal = sum(1 / log2(place + 1) for place in range(1, min(k, len(targets)) + 1))
    precisions = [sum(1 for other in places if other <= place) / place for place in places]
    return {
        "recall": len(places) / len(targets),
        "capped_recall": len(places) / min(k, len(targets)),
        "ndcg": sum(1 / log2(place + 1) for place in places) / ideal,
        "mrr": 1 / places[0] if places else 0.0,
        "map": sum(precisions) / min(k, len(targets)),
        "hit_rate": 1.0 if places else 0.0,
    }


def test_metrics_agree_with_a_slow_reference_on_random_lists():
    random = np.random.default_rng(3)
    ranked = [random.permutation(50)[:20].tolist() for _ in range(80)]
    wanted = [random.integers(0, 50, random.integers(1, 30)).tolist() for _ in range(80)]  # with repeats
    targets = Targets.of(watched(wanted, 50).histories())
    found = per_user(targets.hits(np.array(ranked, dtype=np.int32)), targets.counts, (1, 5, 20))
    for row in range(80):
        for k in (1, 5, 20):
            for name, value in _slowly(ranked[row], set(wanted[row]), k).items():
                assert found[f"{name}@{k}"][row] == pytest.approx(value, abs=1e-12), (row, k, name)
    assert len(found) == 18


def test_padding_never_hits_and_a_film_hidden_twice_is_one_target():
    targets = Targets.of(watched([[3, 3], [0]], 4).histories())
    assert targets.counts.tolist() == [1, 1]
    # -1 in the second row would be the key of film 3 in the first one
    assert targets.hits(np.array([[3, -1], [-1, 0]], dtype=np.int32)).tolist() == [[True, False], [False, True]]


def test_lists_shorter_than_the_cut_off_are_refused():
    with pytest.raises(ValueError, match="4 films long"):
        per_user(HITS, N_TARGETS, (5,))


def test_lists_for_another_number_of_users_are_refused():
    with pytest.raises(ValueError, match="1 lists for 2 users"):
        Targets.of(watched([[0], [1]], 2).histories()).hits(np.array([[0]], dtype=np.int32))


def test_list_level_figures_equal_values_worked_out_by_hand():
    items = np.array([[0, 1], [0, -1]], dtype=np.int32)  # film 0 twice, film 1 once; films 2 and 3 never
    told = over_lists(times_listed(items, 4), counts=np.array([8, 2, 2, 0]), n_users=16)
    assert told == pytest.approx(
        {
            "coverage": 2 / 4,
            "novelty": (2 * log2(16 / 8) + log2(16 / 2)) / 3,
            "popularity": (2 * 8 + 2) / 3,
            "popularity_percentile": (2 * 3.5 / 4 + 2 / 4) / 3,
            "gini": (-3 * 0 - 1 * 0 + 1 * 1 + 3 * 2) / (4 * 3),
        }
    )


def test_novelty_of_a_film_that_nobody_watched_is_that_of_one_watch():
    assert over_lists(np.array([1, 0]), np.array([0, 4]), 8)["novelty"] == pytest.approx(3.0)


def test_gini_runs_from_equality_to_one_owner():
    assert gini(np.array([2.0, 2.0, 2.0, 2.0])) == pytest.approx(0.0)
    assert gini(np.array([0.0, 0.0, 0.0, 7.0])) == pytest.approx(3 / 4)
    amounts = np.random.default_rng(0).random(30)
    slow = np.abs(amounts[:, None] - amounts[None, :]).sum() / (2 * 30 * amounts.sum())
    assert gini(amounts) == pytest.approx(slow)


def test_empty_lists_have_no_figures():
    with pytest.raises(ValueError, match="no film is recommended"):
        over_lists(times_listed(np.full((2, 3), -1, dtype=np.int32), 2), np.array([1, 2]), 2)


def test_metric_names_are_read_and_misspelt_ones_answered_with_the_nearest():
    assert parse_metric("capped_recall@10") == ("capped_recall", 10)
    with pytest.raises(ValueError, match="did you mean ndcg@10"):
        parse_metric("ncdg@10")
    for bad in ("ndcg", "ndcg@", "ndcg@0", "ndcg@ten"):
        with pytest.raises(ValueError, match="wants a cut-off: ndcg@10"):
            parse_metric(bad)
