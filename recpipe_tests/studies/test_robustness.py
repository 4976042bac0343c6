import numpy as np
import pytest
from scipy import stats

from recpipe.studies.rank_agreement import kendall_tau
from recpipe.studies.robustness import Robustness, corrected_differences


def study(truth, noise, n_folds=5, seed=0, shared=0.05):
    """Models with these true scores on folds that are harder or easier for all of them alike."""
    random = np.random.default_rng(seed)
    fold = shared * random.normal(size=(n_folds, 1))
    scores = np.asarray(truth) + fold + noise * random.normal(size=(n_folds, len(truth)))
    table = {f"m{place}": {f"fold_{row + 1}": float(scores[row, place]) for row in range(n_folds)}
             for place in range(len(truth))}  # fmt: skip
    return Robustness.of(table, "ndcg@10", 0.25)


def test_a_true_order_with_little_noise_is_found_on_every_fold():
    found = study([0.2, 0.3, 0.25, 0.1], 0.002)
    assert found.models == ("m1", "m2", "m0", "m3")
    assert found.ranks.tolist() == [[1, 2, 3, 4]] * 5
    assert (found.mean_tau, found.concordance) == (1, pytest.approx(1))
    assert all(each.p < 0.05 and each.high < 0 for each in found.to_the_best)
    assert found.friedman_p < 0.01
    assert "is first on 5 of them; every other model is told from it" in found.verdict()


def test_models_that_differ_by_noise_alone_are_not_told_apart_and_folds_do_not_agree():
    found = study([0.2] * 6, 0.01, n_folds=10)
    assert abs(found.mean_tau) < 0.3 and found.concordance < 0.3
    assert found.friedman_p > 0.05
    assert all(each.p > 0.05 for each in found.to_the_best)
    assert not found.told_apart().any()


def test_what_is_hard_on_all_models_of_a_fold_does_not_hide_their_differences():
    found = study([0.30, 0.29, 0.28], 0.0005, shared=0.2)
    assert all(each.p < 0.05 for each in found.to_the_best)
    assert found.means[0].high - found.means[0].low > 0.2


def test_the_correction_widens_the_interval_as_worked_out_by_hand():
    values = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    (naive,), (corrected,) = corrected_differences(values, 0.0), corrected_differences(values, 0.25)
    t = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert (naive.low, naive.high) == pytest.approx((t.low, t.high))
    assert naive.p == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue)
    assert (corrected.high - 3) / (naive.high - 3) == pytest.approx(np.sqrt((1 / 5 + 1 / 4) * 5))


def test_the_critical_difference_is_that_of_the_published_table():
    """Demšar, 2006, Table 5: q at 0.05 is 2.569 for four classifiers; on 14 data sets CD is 1.25."""
    assert study([1, 2, 3, 4], 0.1, n_folds=14).critical_difference == pytest.approx(1.25, abs=0.005)


def test_concordance_is_what_the_friedman_statistic_makes_of_it():
    found = study([0.2, 0.21, 0.22, 0.2], 0.02, n_folds=8)
    statistic = stats.friedmanchisquare(*found.ranks.T).statistic
    assert found.concordance == pytest.approx(statistic / (8 * 3))
    tied = {name: {str(fold): round(5 * float(score)) for fold, score in enumerate(column)}
            for name, column in zip("abcd", np.random.default_rng(0).random((4, 8)), strict=True)}  # fmt: skip
    found = Robustness.of(tied, "ndcg@10", 0.25)
    assert found.concordance == pytest.approx(stats.friedmanchisquare(*found.ranks.T).statistic / (8 * 3))


def test_constant_and_equal_models_share_ranks_and_differ_with_p_one():
    same = {"fold_1": 0.3, "fold_2": 0.2}
    found = Robustness.of({"b": same, "a": same, "c": dict.fromkeys(same, 0.1)}, "ndcg@10", 0.25)
    assert found.models == ("a", "b", "c")
    assert found.ranks.tolist() == [[1.5, 1.5, 3], [1.5, 1.5, 3]]
    assert found.to_the_best[0].p == 1
    assert (found.means[2].mean, found.means[2].low, found.means[2].high) == pytest.approx((0.1, 0.1, 0.1))
    everyone = Robustness.of({"a": same, "b": same, "c": same}, "ndcg@10", 0.25)
    assert (everyone.friedman_p, everyone.concordance, everyone.mean_tau) == (1, 0, 0)


def test_two_models_have_no_friedman_test():
    assert np.isnan(study([0.1, 0.2], 0.01).friedman_p)


def test_one_model_one_fold_and_holes_are_refused():
    with pytest.raises(ValueError, match="at least two models on two folds; 1 on 2"):
        Robustness.of({"a": {"x": 1, "y": 1}}, "ndcg@10", 0.25)
    with pytest.raises(ValueError, match="2 on 1 came"):
        Robustness.of({"a": {"x": 1}, "b": {"x": 1}}, "ndcg@10", 0.25)
    with pytest.raises(ValueError, match="no score of b on y"):
        Robustness.of({"a": {"x": 1, "y": 1}, "b": {"x": 1}}, "ndcg@10", 0.25)


def test_tau_equals_scipys_with_and_without_ties():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 4, (20, 7)).astype(float), random.random((20, 7))
    slow = [stats.kendalltau(a, b).statistic for a, b in zip(one, other, strict=True)]
    assert kendall_tau(one, other) == pytest.approx(np.array(slow))


def test_tau_of_nothing_but_ties_is_zero_and_models_without_score_are_left_out():
    assert kendall_tau(np.ones(4), np.arange(4.0)) == 0
    assert kendall_tau(np.array([1.0, np.nan, 2.0]), np.array([1.0, 9.0, 2.0])) == 1
    assert kendall_tau(np.array([1.0, 9.0, 2.0]), np.array([1.0, np.nan, 2.0])) == 1
    assert kendall_tau(np.array([np.nan, 1.0]), np.array([1.0, 2.0])) == 0
