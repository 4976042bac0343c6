import numpy as np
import pytest

from recpipe.evaluation.comparison import holm, intervals, sign_flip_p
from recpipe.studies.pairs import ALPHA, every_pair, not_told_apart, sign_flip_p_of_pairs


def users_and_models(n_users, gains, seed=0, noise=0.045, of=0.17):
    """Values as NDCG@10 on MovieLens 1M's holdout, two models 0.09 apart; each gains its relative share, exactly."""
    random = np.random.default_rng(seed)
    base = np.where(random.random(n_users) < 0.75, random.beta(1, 3, n_users), 0.0)
    base *= of / base.mean()
    own = noise * random.standard_t(4, (n_users, len(gains)))
    own -= own.mean(axis=0)  # what is planted is there exactly
    return base[:, None] + own + of * np.asarray(gains)


def test_all_pairs_at_once_equal_each_pair_by_itself():
    values = users_and_models(230, [0, 0.1, 0.3, 0.3])
    found = every_pair(values, flips=3000)
    differences = values[:, found.first] - values[:, found.second]
    assert (found.first.tolist(), found.second.tolist()) == ([0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3])
    assert found.p == pytest.approx(holm(sign_flip_p(differences, resamples=3000)))
    one_by_one = [(each.mean, each.low, each.high) for each in intervals(differences)]
    assert np.stack([found.mean, found.low, found.high], axis=1) == pytest.approx(np.array(one_by_one), abs=1e-9)


def test_models_that_are_alike_are_told_apart_in_at_most_five_of_a_hundred_tables():
    tables, false = 2000, 0
    random = np.random.default_rng(3)
    for seed in range(tables):
        user, own = random.exponential(size=(150, 1)), random.exponential(size=(150, 4))
        p = holm(sign_flip_p_of_pairs(user + own * (random.random((150, 4)) < 0.5), 400, seed))
        false += p.min() < ALPHA
    assert 0.01 <= false / tables <= 0.05


def test_three_per_cent_more_are_found_at_the_users_of_movielens_1m():
    found = every_pair(users_and_models(6040, [0, 0.03, 0, 0]), resamples=200, flips=2000)
    apart = {(int(a), int(b)) for a, b, p in zip(found.first, found.second, found.p, strict=True) if p < ALPHA}
    assert apart == {(0, 1), (1, 2), (1, 3)}
    assert found.mean[0] == pytest.approx(-0.0051)
    assert found.high[0] < 0


def test_a_model_beside_itself_has_no_difference_and_p_one():
    values = users_and_models(50, [0, 0.2])
    found = every_pair(np.stack([values[:, 0], values[:, 0], np.zeros(50)], axis=1), flips=200)
    assert (found.mean[0], found.low[0], found.high[0], found.p[0]) == (0, 0, 0, 1)
    assert not found.told_apart()[0, 1]


def test_one_user_tells_nothing_apart():
    found = every_pair(np.array([[0.1, 0.9]]), flips=200)
    assert found.p.tolist() == [1.0]
    assert found.low == found.high == pytest.approx(-0.8)


def test_one_model_is_no_comparison():
    with pytest.raises(ValueError, match="at least two models; 1 came"):
        every_pair(np.ones((3, 1)))


def test_enough_resamples_are_drawn_for_many_pairs():
    values = np.zeros((40, 30))
    values[:, 0] = 1.0
    assert every_pair(values, resamples=10).p.min() < ALPHA  # 435 pairs × 1 / 10,001 would be nearly 0.05


@pytest.mark.parametrize(
    ("apart", "runs"),
    [
        ([(0, 2)], [(0, 1), (1, 2)]),
        ([], [(0, 2)]),
        ([(0, 1), (1, 2), (0, 2)], []),
        ([(0, 1), (0, 2)], [(1, 2)]),
    ],
)
def test_bars_join_the_longest_runs_that_hold_no_two_told_apart(apart, runs):
    matrix = np.zeros((3, 3), dtype=bool)
    for one, other in apart:
        matrix[one, other] = matrix[other, one] = True
    assert not_told_apart(matrix) == runs
