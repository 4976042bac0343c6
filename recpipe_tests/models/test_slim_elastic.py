"""SLIM against scikit-learn, one film at a time, and its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import ElasticNet

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear import slim_elastic
from recpipe.models.linear.slim_elastic import SlimElastic
from recpipe.recipe import Run
from recpipe.training.journal import Journal

EXACT: dict[str, Any] = {"tolerance": 1e-9, "precision": "float64"}


def watched(n_users: int = 60, n_items: int = 14) -> TrainingSet:
    """Two camps with films of their own; the first user watched one film, the last film has nobody."""
    random = np.random.default_rng(2)
    own = np.add.outer(np.arange(n_users), np.arange(n_items)) % 2 == 0
    watches = random.random((n_users, n_items)) < np.linspace(0.9, 0.5, n_items) * np.where(own, 1.0, 0.3)
    watches[0], watches[:, -1] = False, False
    watches[0, 3] = True
    users, items = np.nonzero(watches)
    times = np.zeros(len(users), dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, n_users, n_items))


def by_scikit_learn(train: TrainingSet, alpha: float, l1_ratio: float, positive: bool) -> np.ndarray:
    """For each film an elastic net of its column on all other columns."""
    X = train.interactions.matrix().toarray().astype(np.float64)
    weights = np.zeros((train.n_items, train.n_items))
    for film in range(train.n_items):
        others = np.delete(np.arange(train.n_items), film)
        net = ElasticNet(
            alpha=alpha, l1_ratio=l1_ratio, positive=positive, fit_intercept=False, tol=1e-12, max_iter=100_000
        )
        weights[others, film] = net.fit(X[:, others], X[:, film]).coef_
    return weights


def dense(recipe: SlimElastic, train: TrainingSet) -> np.ndarray:
    weights = recipe.fit(train, Run()).weights
    return weights.toarray() if sparse.issparse(weights) else np.asarray(weights)


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize(("strength", "l1_share"), [(0.02, 0.5), (0.1, 0.05), (0.01, 1.0)])
def test_the_weights_are_those_of_scikit_learn(strength: float, l1_share: float, non_negative: bool) -> None:
    recipe = SlimElastic(regularization=strength, l1_share=l1_share, non_negative=non_negative, **EXACT)
    expected = by_scikit_learn(watched(), strength, l1_share, non_negative)
    np.testing.assert_allclose(dense(recipe, watched()), expected, atol=1e-5)
    assert 0 < (expected != 0).mean() < 0.95
    assert non_negative or expected.min() < -0.005


def test_without_absolute_values_and_with_any_sign_it_is_a_ridge_regression_on_the_others() -> None:
    X = watched().interactions.matrix().toarray().astype(np.float64)
    weights = dense(SlimElastic(regularization=0.1, l1_share=0.0, non_negative=False, **EXACT), watched())
    others = np.arange(1, 14)
    ridge = np.linalg.solve(X[:, others].T @ X[:, others] + 60 * 0.1 * np.eye(13), X[:, others].T @ X[:, 0])
    np.testing.assert_allclose(weights[others, 0], ridge, atol=1e-6)


def test_no_film_has_a_weight_for_itself_nor_one_that_nobody_watched() -> None:
    weights = dense(SlimElastic(regularization=0.0), watched())
    assert not np.diagonal(weights).any()
    assert not weights[-1].any()
    assert not weights[:, -1].any()
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("non_negative", [True, False])
def test_films_and_rows_in_small_blocks_give_the_same_weights(
    non_negative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = SlimElastic(regularization=0.02, non_negative=non_negative, **EXACT)
    whole = dense(recipe, watched())
    monkeypatch.setattr(slim_elastic, "_TARGETS", 4)
    monkeypatch.setattr(slim_elastic, "_ROWS", 3)
    np.testing.assert_allclose(dense(recipe, watched()), whole, atol=1e-7)


def test_only_the_nearest_have_weights_and_theirs_are_the_regression_on_them_alone() -> None:
    X = watched().interactions.matrix().toarray().astype(np.float64)
    weights = dense(SlimElastic(regularization=0.1, l1_share=0.05, neighbours=3, **EXACT), watched())
    assert ((weights > 0).sum(axis=0) <= 3).all()
    cosines = (X.T @ X[:, 0]) / (np.linalg.norm(X, axis=0).clip(1) * np.linalg.norm(X[:, 0]))
    nearest = np.argsort(-cosines[1:])[:3] + 1
    net = ElasticNet(alpha=0.1, l1_ratio=0.05, positive=True, fit_intercept=False, tol=1e-12, max_iter=100_000)
    np.testing.assert_allclose(weights[nearest, 0], net.fit(X[:, nearest], X[:, 0]).coef_, atol=1e-5)


def test_a_tolerance_of_a_thousandth_gives_weights_within_a_hundredth() -> None:
    exact = dense(SlimElastic(regularization=0.02, **EXACT), watched())
    assert np.abs(dense(SlimElastic(regularization=0.02, tolerance=1e-3), watched()) - exact).max() < 0.01


def test_what_is_not_done_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slim_elastic, "_MOST_SWEEPS", 2)
    journal = Journal()
    SlimElastic(**EXACT).fit(watched(), Run(report=journal.report))
    assert "still changing after 2 sweeps" in journal.closing["note"]
    SlimElastic(tolerance=10.0).fit(watched(), Run(report=(quiet := Journal()).report))
    assert quiet.closing == {}


def test_few_weights_are_stored_sparse_and_many_dense() -> None:
    assert sparse.issparse(SlimElastic(regularization=0.1, l1_share=0.9).fit(watched(), Run()).weights)
    many = SlimElastic(regularization=0.01, l1_share=0.0, non_negative=False).fit(watched(), Run()).weights
    assert isinstance(many, np.ndarray)
    assert many.dtype == np.float32


def test_scores_are_the_sum_of_the_watched_films_rows() -> None:
    train = watched()
    scorer = SlimElastic().fit(train, Run())
    first = train.interactions.histories(np.array([0, 1]))
    films = [first.items[first.offsets[row] : first.offsets[row + 1]] for row in (0, 1)]
    weights = dense(SlimElastic(), train)
    np.testing.assert_allclose(scorer.scores(first), [weights[row].sum(axis=0) for row in films], atol=1e-6)
