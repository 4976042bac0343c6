"""Higher-order EASE against a constrained ridge regression a film, and where it must be EASE."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear.ease import Ease
from recpipe.models.linear.higher_order_ease import HigherOrderEase, most_frequent_pairs
from recpipe.recipe import Run
from recpipe.training import gram


def training_set(watched: np.ndarray) -> TrainingSet:
    users, items = np.nonzero(watched)
    return TrainingSet(
        Interactions.sorted_from(users, items, np.zeros(len(users), dtype=np.int64), None, *watched.shape)
    )


def drawn(n_users: int = 50, n_items: int = 10) -> np.ndarray:
    """The last film nobody watched, the last user watched one film, the one before none."""
    watched = np.random.default_rng(3).random((n_users, n_items)) < np.linspace(0.7, 0.1, n_items)
    watched[:, -1] = False
    watched[-2:] = False
    watched[-1, 0] = True
    return watched


def counted(watched: np.ndarray, n_pairs: int) -> list[tuple[int, int]]:
    """The pairs with most users, a pair at a time."""
    n_items = watched.shape[1]
    every = [(j, k) for j in range(n_items) for k in range(j + 1, n_items)]
    common = {pair: int((watched[:, pair[0]] & watched[:, pair[1]]).sum()) for pair in every}
    return sorted((pair for pair in every if common[pair]), key=lambda pair: (-common[pair], pair))[:n_pairs]


def ridge_by_film(watched: np.ndarray, recipe: HigherOrderEase) -> np.ndarray:
    """[B; C]: for each film a ridge regression on all other films and all pairs that it is not in."""
    X, pairs = watched.astype(np.float64), counted(watched, recipe.pairs)
    Z = np.stack([X[:, j] * X[:, k] for j, k in pairs], axis=1)
    F, n_items = np.hstack((X, Z)), X.shape[1]
    penalties = np.array([recipe.regularization] * n_items + [recipe.pair_regularization] * len(pairs))
    counts = X.sum(axis=1)
    of_user = (np.maximum(counts, 1) / np.median(counts[counts > 0])) ** -recipe.damping
    weights = np.zeros((F.shape[1], n_items))
    for film in range(n_items):
        free = [j for j in range(n_items) if j != film]
        free += [n_items + p for p, pair in enumerate(pairs) if film not in pair]
        A = F[:, free]
        squares = A.T @ (of_user[:, None] * A) + np.diag(penalties[free])
        weights[free, film] = np.linalg.solve(squares, A.T @ (of_user * X[:, film]))
    return weights


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [({}, 1e-6), ({"damping": 0.5}, 1e-6), ({"precision": "float32"}, 1e-4), ({"pairs": 45}, 1e-6)],
)
def test_it_is_a_ridge_regression_of_each_film_on_what_does_not_contain_it(settings: dict, tolerance: float) -> None:
    recipe = HigherOrderEase(**{"pairs": 12, "regularization": 3.0, "pair_regularization": 8.0} | settings)
    scorer = recipe.fit(training_set(drawn()), Run())
    assert scorer.pair_weights is not None
    weights = np.concatenate((scorer.weights, scorer.pair_weights))
    np.testing.assert_allclose(weights, ridge_by_film(drawn(), recipe), atol=tolerance)


def test_no_film_and_no_pair_predicts_what_it_contains() -> None:
    scorer = HigherOrderEase(pairs=12, regularization=3.0, pair_regularization=1.0).fit(training_set(drawn()), Run())
    assert scorer.pairs is not None
    assert scorer.pair_weights is not None
    assert not np.diagonal(scorer.weights).any()
    for pair, weights in zip(scorer.pairs, scorer.pair_weights, strict=True):
        assert not weights[pair].any()
        assert np.abs(weights).max() > 1e-3


@pytest.mark.parametrize("settings", [{}, {"damping": 0.5}, {"precision": "float32"}])
def test_without_pairs_it_is_ease(settings: dict) -> None:
    train = training_set(drawn())
    higher = HigherOrderEase(pairs=0, regularization=3.0, **settings).fit(train, Run())
    plain = Ease(regularization=3.0, **settings).fit(train, Run())
    histories = train.interactions.histories()
    np.testing.assert_allclose(higher.scores(histories), plain.scores(histories), atol=1e-6)


def test_pairs_that_cost_too_much_leave_ease() -> None:
    train = training_set(drawn())
    higher = HigherOrderEase(pairs=12, regularization=3.0, pair_regularization=1e12).fit(train, Run())
    np.testing.assert_allclose(higher.weights, Ease(regularization=3.0).fit(train, Run()).weights, atol=1e-6)


def test_the_pairs_with_most_users_in_common_are_taken_and_none_that_nobody_watched() -> None:
    matrix = training_set(drawn()).interactions.matrix()
    assert most_frequent_pairs(matrix, 7).tolist() == [list(pair) for pair in counted(drawn(), 7)]
    assert len(most_frequent_pairs(matrix, 1000)) == len(counted(drawn(), 1000)) <= 36


def test_scores_add_the_rows_of_the_films_and_of_the_pairs_that_were_watched_whole() -> None:
    watched = drawn()
    scorer = HigherOrderEase(pairs=12, regularization=3.0, pair_regularization=8.0).fit(training_set(watched), Run())
    assert scorer.pairs is not None
    assert scorer.pair_weights is not None
    scores = scorer.scores(training_set(watched).interactions.histories())
    for row, films in zip(scores, watched, strict=True):
        expected = scorer.weights[films].sum(axis=0) + scorer.pair_weights[films[scorer.pairs].all(axis=1)].sum(axis=0)
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_what_only_both_films_together_tell_is_learned() -> None:
    """Film 2 is watched by those who watched exactly one of the films 0 and 1: no sum of votes can say so."""
    watched = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]] * 50, dtype=bool)
    histories = training_set(np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)).interactions.histories()
    settings = {"regularization": 1.0, "pair_regularization": 1.0}
    one, other, both = HigherOrderEase(pairs=1, **settings).fit(training_set(watched), Run()).scores(histories)[:, 2]
    assert min(one, other) > 0.9
    assert abs(both) < 0.1
    assert Ease(regularization=1.0).fit(training_set(watched), Run()).scores(histories)[2, 2] > 0.5


def test_rows_in_blocks_or_all_at_once_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = HigherOrderEase(pairs=12, regularization=3.0)
    whole = recipe.fit(training_set(drawn()), Run()).weights
    monkeypatch.setattr(gram, "_CELLS", 5 * 22)
    assert np.array_equal(recipe.fit(training_set(drawn()), Run()).weights, whole)
