"""ADMM SLIM against coordinate descent and EASE where the problems agree, and against its own loss elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear import admm_slim
from recpipe.models.linear.admm_slim import AdmmSlim
from recpipe.models.linear.ease import Ease
from recpipe.models.linear.slim_elastic import SlimElastic
from recpipe.recipe import Run
from recpipe.training.journal import Journal

N_USERS = 60
EXACT: dict[str, Any] = {"tolerance": 1e-8, "precision": "float64"}


def watched(n_items: int = 14) -> TrainingSet:
    """Two camps with films of their own; the first user watched one film, the last film has nobody."""
    random = np.random.default_rng(2)
    own = np.add.outer(np.arange(N_USERS), np.arange(n_items)) % 2 == 0
    watches = random.random((N_USERS, n_items)) < np.linspace(0.9, 0.5, n_items) * np.where(own, 1.0, 0.3)
    watches[0], watches[:, -1] = False, False
    watches[0, 3] = True
    users, items = np.nonzero(watches)
    times = np.zeros(len(users), dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, N_USERS, n_items))


def dense(recipe: AdmmSlim | SlimElastic | Ease) -> np.ndarray:
    weights = recipe.fit(watched(), Run()).weights
    return weights.toarray() if sparse.issparse(weights) else np.asarray(weights)


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize(("strength", "l1_share"), [(1.0, 0.5), (6.0, 0.05), (0.6, 0.9)])
def test_it_finds_what_coordinate_descent_finds(strength: float, l1_share: float, non_negative: bool) -> None:
    settings: dict[str, Any] = {"l1_share": l1_share, "non_negative": non_negative, **EXACT}
    by_coordinates = dense(SlimElastic(regularization=strength / N_USERS, **settings))
    np.testing.assert_allclose(dense(AdmmSlim(regularization=strength, **settings)), by_coordinates, atol=1e-4)


def test_without_absolute_values_and_with_any_sign_it_is_ease() -> None:
    recipe = AdmmSlim(regularization=3.0, l1_share=0.0, non_negative=False, **EXACT)
    np.testing.assert_allclose(dense(recipe), dense(Ease(regularization=3.0)), atol=1e-6)


@pytest.mark.parametrize("coupling", [1.0, 5.0])
def test_the_coupling_does_not_change_the_solution(coupling: float) -> None:
    found = dense(AdmmSlim(regularization=3.0, l1_share=0.1, coupling=coupling, **EXACT))
    np.testing.assert_allclose(found, dense(AdmmSlim(regularization=3.0, l1_share=0.1, **EXACT)), atol=1e-4)


def objective(recipe: AdmmSlim, weights: np.ndarray) -> float:
    """The docstring's loss, term by term."""
    X = watched().interactions.matrix().toarray().astype(np.float64)
    means = X.mean(axis=0)
    X = X - means if recipe.centred else X
    squares = (means**recipe.alpha * (weights**2).sum(axis=1)).sum()
    penalty = recipe.l1_share * np.abs(weights).sum() + (1 - recipe.l1_share) / 2 * squares
    return float(0.5 * ((X - X @ weights) ** 2).sum() + recipe.regularization * penalty)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_no_allowed_change_of_a_weight_makes_the_loss_smaller(centred: bool, non_negative: bool, alpha: float) -> None:
    recipe = AdmmSlim(
        regularization=5.0, l1_share=0.2, centred=centred, non_negative=non_negative, alpha=alpha, **EXACT
    )
    weights = dense(recipe).astype(np.float64)
    least = objective(recipe, weights)
    numbers = np.random.default_rng(0)
    for row, column in numbers.integers(0, 14, (60, 2)).tolist():
        for step in (1e-3, -1e-3):
            changed = weights.copy()
            changed[row, column] += step
            if row != column and (changed[row, column] >= 0 or not non_negative):
                assert objective(recipe, changed) > least


def test_centred_scores_are_those_of_the_centred_interactions_with_the_means_put_back() -> None:
    train = watched()
    X = train.interactions.matrix().toarray().astype(np.float64)
    means, recipe = X.mean(axis=0), AdmmSlim(regularization=3.0, centred=True)
    expected = (X - means) @ dense(recipe) + means
    scores = recipe.fit(train, Run()).scores(train.interactions.histories())
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_diagonal_is_zero_or_free_as_wished() -> None:
    assert not np.diagonal(dense(AdmmSlim(regularization=3.0))).any()
    free = AdmmSlim(regularization=3.0, l1_share=0.0, non_negative=False, zero_diagonal=False, **EXACT)
    gram = watched().interactions.matrix().toarray().astype(np.float64)
    gram = gram.T @ gram
    np.testing.assert_allclose(dense(free), np.linalg.solve(gram + 3.0 * np.eye(14), gram), atol=1e-6)


def test_a_film_that_nobody_watched_gets_no_weights() -> None:
    weights = dense(AdmmSlim(regularization=3.0, alpha=1.0))
    assert not weights[-1].any()
    assert not weights[:, -1].any()


def test_what_is_not_done_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admm_slim, "_MOST_ROUNDS", 2)
    journal = Journal()
    AdmmSlim(**EXACT).fit(watched(), Run(report=journal.report))
    assert "still changing after 2 rounds" in journal.closing["note"]
