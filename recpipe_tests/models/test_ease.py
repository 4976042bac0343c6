"""EASE against the obvious way, and its edges."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.costs import Shape
from recpipe.data.interactions import NEWCOMER, Histories, Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear.ease import Ease
from recpipe.recipe import Run
from recpipe.training import gram


def watched(seed: int = 0, n_users: int = 40, n_items: int = 12) -> TrainingSet:
    users, items = np.nonzero(np.random.default_rng(seed).random((n_users, n_items)) < 0.3)
    times = np.zeros(len(users), dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, n_users, n_items))


def ridge_by_film(train: TrainingSet, regularization: float, damping: float = 0.0) -> np.ndarray:
    """For each film a ridge regression of its column on all *other* columns: what the zero diagonal means."""
    X = train.interactions.matrix().toarray().astype(np.float64)
    counts = X.sum(axis=1)
    X *= ((np.maximum(counts, 1) / np.median(counts[counts > 0])) ** (-damping / 2))[:, None]
    weights = np.zeros((train.n_items, train.n_items))
    for film in range(train.n_items):
        others = np.delete(np.arange(train.n_items), film)
        squares = X[:, others].T @ X[:, others] + regularization * np.eye(len(others))
        weights[others, film] = np.linalg.solve(squares, X[:, others].T @ X[:, film])
    return weights


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-4)])
def test_ease_is_a_ridge_regression_of_each_film_on_the_others(precision: str, tolerance: float) -> None:
    recipe = Ease(regularization=3.0, precision=precision)
    weights = recipe.fit(watched(), Run()).weights
    np.testing.assert_allclose(weights, ridge_by_film(watched(), 3.0), atol=tolerance)


@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_damping_weighs_the_users_of_the_ridge_regression(damping: float) -> None:
    weights = Ease(regularization=3.0, damping=damping).fit(watched(), Run()).weights
    np.testing.assert_allclose(weights, ridge_by_film(watched(), 3.0, damping), atol=1e-6)
    assert np.abs(weights - ridge_by_film(watched(), 3.0)).max() > 1e-3


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_weights_are_the_same_in_small_tiles_and_blocks(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    recipe = Ease(regularization=3.0, damping=0.5, precision=precision)
    whole = recipe.fit(watched(), Run()).weights
    monkeypatch.setattr(gram, "_TILE", 5)
    monkeypatch.setattr(gram, "_CELLS", 24)
    assert np.array_equal(recipe.fit(watched(), Run()).weights, whole)


def test_weights_are_in_c_order_for_the_store_and_the_products() -> None:
    for precision in ("float32", "float64"):
        weights = Ease(precision=precision).fit(watched(), Run()).weights
        assert weights.flags.c_contiguous
        assert weights.dtype == np.float32


def test_scores_are_the_sum_of_the_watched_films_rows() -> None:
    train = watched()
    scorer = Ease().fit(train, Run())
    first = np.unique(train.interactions.items[: train.interactions.offsets[1]])
    np.testing.assert_allclose(
        scorer.scores(train.interactions.histories(np.array([0])))[0], scorer.weights[first].sum(axis=0), atol=1e-6
    )


def two_histories() -> Histories:
    """Film 3 is watched twice, two films share a time, and the last row is empty."""
    films, times = np.array([3, 0, 5, 3, 1, 7, 2], dtype=np.int32), np.array([10, 20, 20, 30, 40, 5, 5])
    return Histories(np.array([NEWCOMER, 1, 2], dtype=np.int32), np.array([0, 5, 7, 7]), films, times, None, 12)


@pytest.mark.parametrize("settings", [{}, {"damping": 0.5}, {"precision": "float32"}])
def test_a_film_weighs_half_for_each_half_life_of_films_that_came_after_it(settings: dict) -> None:
    scorer = Ease(regularization=3.0, half_life=2.0, **settings).fit(watched(), Run())
    weights = scorer.weights
    ages = [{1: 0, 3: 1, 5: 2, 0: 3}, {2: 0, 7: 1}, {}]
    for row, ages_of in zip(scorer.scores(two_histories()), ages, strict=True):
        expected = sum((0.5 ** (age / 2.0) * weights[film] for film, age in ages_of.items()), np.zeros(12))
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_half_life_is_of_scoring_alone_and_the_weights_are_learned_as_without() -> None:
    recent, plain = (Ease(half_life=half_life).fit(watched(), Run()) for half_life in (2.0, None))
    assert np.array_equal(recent.weights, plain.weights)


def test_a_half_life_without_end_is_none() -> None:
    recent, plain = (Ease(half_life=half_life).fit(watched(), Run()) for half_life in (1e9, None))
    histories = watched().interactions.histories()
    np.testing.assert_allclose(recent.scores(histories), plain.scores(histories), atol=1e-6)


def test_without_a_half_life_scores_are_those_of_the_plain_product_to_the_bit() -> None:
    scorer = Ease().fit(watched(), Run())
    histories = watched().interactions.histories()
    assert np.array_equal(scorer.scores(histories), histories.matrix() @ scorer.weights)


def test_what_lies_so_far_back_that_its_weight_vanishes_gives_finite_scores() -> None:
    scorer = Ease(half_life=0.001).fit(watched(), Run())
    scores = scorer.scores(two_histories())
    np.testing.assert_allclose(scores, np.stack([scorer.weights[1], scorer.weights[2], np.zeros(12)]), atol=1e-6)


def test_the_estimate_holds_the_inverse_beside_the_weights_or_in_float32_the_one_in_place_of_the_other() -> None:
    few_together = Shape(np.full(1_000, 2), np.full(10_000, 1))
    all_together = Shape(np.full(1_000, 500), np.full(10_000, 50))
    assert Ease().cost(few_together).memory == pytest.approx(12 * 10_000**2, rel=0.1)
    assert Ease().cost(all_together).memory == pytest.approx(12 * 10_000**2, rel=0.1)
    assert Ease(precision="float32").cost(all_together).memory == pytest.approx(4 * 10_000**2, rel=0.15)


def test_who_has_too_little_memory_is_told_of_float32_and_item_knn() -> None:
    assert "precision: float32" in Ease.memory_hint
    assert "item_knn" in Ease.memory_hint
