"""RP3beta against the walk of its docstring, a path at a time, and the places where it is known to go wrong."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.rp3beta import Rp3beta
from recpipe.recipe import Run
from recpipe.scoring import comparing


def training_set(watched: np.ndarray) -> TrainingSet:
    users, items = np.nonzero(watched)
    return TrainingSet(
        Interactions.sorted_from(users, items, np.zeros(len(users), dtype=np.int64), None, *watched.shape)
    )


def drawn(n_users: int = 30, n_items: int = 15) -> np.ndarray:
    """The last film nobody watched, the last user watched one film."""
    watched = np.random.default_rng(1).random((n_users, n_items)) < np.linspace(0.6, 0.1, n_items)
    watched[:, -1] = False
    watched[-1] = np.arange(n_items) == 0
    return watched


def walked(watched: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Dense weights [watched × scored], over every path film, user, film."""
    counts, lengths = watched.sum(axis=0), watched.sum(axis=1)
    weights = np.zeros((watched.shape[1], watched.shape[1]))
    for j, v, i in np.argwhere(watched.T[:, :, None] & watched[None, :, :]):
        if i != j:
            weights[j, i] += (1 / counts[j]) ** alpha * (1 / lengths[v]) ** alpha / counts[i] ** beta
    return weights


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.5), (0.6, 0.9), (1.7, 0.3)])
@pytest.mark.parametrize("nearest_of", ["watched", "scored"])
def test_weights_are_sums_over_paths_each_step_to_the_power_of_alpha(
    alpha: float, beta: float, nearest_of: str
) -> None:
    recipe = Rp3beta(neighbours=100, alpha=alpha, beta=beta, nearest_of=nearest_of)
    weights = recipe.fit(training_set(drawn()), Run()).weights.toarray()
    np.testing.assert_allclose(weights, walked(drawn(), alpha, beta), rtol=1e-5)


def test_the_power_of_a_sum_of_paths_is_something_else() -> None:
    weights = Rp3beta(neighbours=100, alpha=0.6, beta=0.0).fit(training_set(drawn()), Run()).weights.toarray()
    assert np.abs(weights - walked(drawn(), 1.0, 0.0) ** 0.6).max() > 0.05


@pytest.mark.parametrize("nearest_of", ["watched", "scored"])
def test_the_nearest_are_chosen_after_popular_films_were_held_back(nearest_of: str) -> None:
    kept = Rp3beta(neighbours=3, alpha=0.7, beta=0.8, nearest_of=nearest_of).fit(training_set(drawn()), Run()).weights
    every, kept = walked(drawn(), 0.7, 0.8), kept.toarray()
    if nearest_of == "scored":
        every, kept = every.T, kept.T
    for row, full in zip(kept, every, strict=True):
        np.testing.assert_allclose(np.sort(row)[-3:], np.sort(full)[-3:], rtol=1e-5)
        assert (row > 0).sum() == min(3, (full > 0).sum())


def test_beta_brings_up_the_film_with_fewer_users() -> None:
    """Film 0 was watched by one user, who watched film 1 and film 2 too; film 1 has two users more."""
    watched = np.array([[1, 1, 1], [0, 1, 0], [0, 1, 0]], dtype=bool)
    train = training_set(watched)
    plain, held_back = (Rp3beta(beta=beta).fit(train, Run()) for beta in (0.0, 1.0))
    history = train.interactions.histories(np.array([0]))
    assert plain.weights.toarray()[0].tolist() == pytest.approx([0.0, 1 / 3, 1 / 3])
    assert held_back.weights.toarray()[0].tolist() == pytest.approx([0.0, 1 / 9, 1 / 3])
    np.testing.assert_allclose(held_back.scores(history)[0], held_back.weights.toarray().sum(axis=0), atol=1e-6)


@pytest.mark.parametrize("nearest_of", ["watched", "scored"])
def test_films_in_blocks_or_all_at_once_give_the_same_weights(monkeypatch: pytest.MonkeyPatch, nearest_of: str) -> None:
    recipe = Rp3beta(neighbours=4, nearest_of=nearest_of)
    whole = recipe.fit(training_set(drawn()), Run()).weights.toarray()
    monkeypatch.setattr(comparing, "CELLS", 4 * 15)
    assert np.array_equal(recipe.fit(training_set(drawn()), Run()).weights.toarray(), whole)
