"""Item kNN against the formulas of its docstring, worked out one pair at a time."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.item_knn import ItemKnn
from recpipe.recipe import Run
from recpipe.scoring import comparing

SETTINGS = [
    {"similarity": "cosine"},
    {"similarity": "cosine", "shrinkage": 5.0, "weighting": "tfidf"},
    {"similarity": "jaccard", "shrinkage": 2.0},
    {"similarity": "asymmetric_cosine", "alpha": 0.2},
    {"similarity": "asymmetric_cosine", "alpha": 0.8, "weighting": "bm25", "shrinkage": 1.0},
    {"similarity": "dot", "weighting": "bm25"},
]


def watched(n_users: int = 30, n_items: int = 15) -> TrainingSet:
    random = np.random.default_rng(1)
    users, items = np.nonzero(random.random((n_users, n_items)) < np.linspace(0.1, 0.6, n_items))
    times = np.zeros(len(users), dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, n_users, n_items))


def literal(train: TrainingSet, recipe: ItemKnn) -> np.ndarray:
    """Dense weights [watched × scored], a pair of films at a time, all neighbours."""
    X = train.interactions.matrix().toarray().astype(np.float64)
    users_of, films_of = X.sum(axis=0), X.sum(axis=1)
    if recipe.weighting != "none":
        X = X * np.log(X.shape[1] / np.maximum(films_of, 1))[:, None]
    if recipe.weighting == "bm25":
        X = X * 2.2 / (1 + 1.2 * (0.25 + 0.75 * users_of / users_of.mean()))
    weights = np.zeros((X.shape[1], X.shape[1]))
    for j in range(X.shape[1]):
        for i in range(X.shape[1]):
            lengths = np.linalg.norm(X[:, j]), np.linalg.norm(X[:, i])
            below = {
                "cosine": lengths[0] * lengths[1],
                "asymmetric_cosine": lengths[0] ** (2 * recipe.alpha) * lengths[1] ** (2 * (1 - recipe.alpha)),
                "jaccard": users_of[j] + users_of[i] - X[:, j] @ X[:, i],
                "dot": 1.0,
            }[recipe.similarity]
            if i != j:
                weights[j, i] = X[:, j] @ X[:, i] / (below + recipe.shrinkage)
    return weights


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("nearest_of", ["watched", "scored"])
def test_similarities_are_those_of_the_formulas(settings: dict, nearest_of: str) -> None:
    recipe = ItemKnn(neighbours=100, nearest_of=nearest_of, **settings)
    np.testing.assert_allclose(recipe.fit(watched(), Run()).weights.toarray(), literal(watched(), recipe), rtol=1e-5)


@pytest.mark.parametrize("nearest_of", ["watched", "scored"])
def test_the_largest_alone_are_kept(nearest_of: str) -> None:
    recipe = ItemKnn(neighbours=3, similarity="asymmetric_cosine", alpha=0.3, nearest_of=nearest_of)
    kept = recipe.fit(watched(), Run()).weights.toarray()
    every = literal(watched(), recipe)
    if nearest_of == "scored":
        kept, every = kept.T, every.T
    for row, full in zip(kept, every, strict=True):
        np.testing.assert_allclose(np.sort(row)[-3:], np.sort(full)[-3:], rtol=1e-5)
        assert (row > 0).sum() == 3


def test_of_equal_neighbours_the_first_are_kept() -> None:
    everybody_everything = np.ones((4, 5))
    users, items = np.nonzero(everybody_everything)
    train = TrainingSet(Interactions.sorted_from(users, items, np.zeros(20, dtype=np.int64), None, 4, 5))
    weights = ItemKnn(neighbours=2, nearest_of="watched").fit(train, Run()).weights
    assert [row.nonzero()[0].tolist() for row in weights.toarray()] == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_films_in_blocks_or_all_at_once_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ItemKnn(neighbours=4).fit(watched(), Run()).weights.toarray()
    monkeypatch.setattr(comparing, "CELLS", 4 * 15)
    assert np.array_equal(ItemKnn(neighbours=4).fit(watched(), Run()).weights.toarray(), whole)


def test_jaccard_with_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="jaccard counts entries"):
        ItemKnn(similarity="jaccard", weighting="bm25")
