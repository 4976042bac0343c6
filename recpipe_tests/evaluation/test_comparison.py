import numpy as np
import pytest

from recpipe.evaluation.comparison import holm, intervals, paired_differences, sign_flip_p


def test_the_interval_is_near_the_normal_one_for_many_users():
    values = np.random.default_rng(0).exponential(size=(4000, 1))
    (interval,) = intervals(values)
    error = values.std() / np.sqrt(4000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_about_95_of_100_intervals_hold_the_true_mean():
    random = np.random.default_rng(5)
    found = intervals(random.random((300, 400)), resamples=400)
    held = sum(interval.low <= 0.5 <= interval.high for interval in found)
    assert 0.91 <= held / 400 <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).random((200, 2))
    assert intervals(values) == intervals(values)
    assert intervals(values) != intervals(values, seed=1)


def test_constant_values_have_an_interval_of_no_width():
    (interval,) = intervals(np.full((7, 1), 0.25))
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)


def test_no_user_means_no_interval():
    with pytest.raises(ValueError, match="at least one user"):
        intervals(np.empty((0, 3)))


def test_pairing_sees_a_small_difference_that_two_intervals_do_not():
    random = np.random.default_rng(2)
    base = random.random(500)
    better = base + 0.02 + 0.05 * random.normal(size=500)
    (difference,) = paired_differences(better[:, None], base)
    assert difference.low > 0 and difference.p < 0.001
    worse, best = intervals(np.stack([base, better], axis=1))
    assert best.low < worse.high


def test_sign_flips_match_the_count_of_all_sign_patterns():
    differences = np.array([0.3, -0.1, 0.2, 0.4, 0.05])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    exact = (np.abs(differences @ signs) >= abs(differences.sum()) - 1e-12).mean()
    (p,) = sign_flip_p(differences[:, None], resamples=40_000)
    assert p == pytest.approx(exact, abs=0.01)


def test_equal_models_differ_with_p_one():
    assert sign_flip_p(np.zeros((20, 1))).tolist() == [1.0]


def test_p_values_are_even_where_there_is_no_difference():
    noise = np.random.default_rng(4).normal(size=(60, 500))
    p = sign_flip_p(noise, resamples=999)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert np.median(p) == pytest.approx(0.5, abs=0.08)


def test_holm_equals_the_values_worked_out_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []
