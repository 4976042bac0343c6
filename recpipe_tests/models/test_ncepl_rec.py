"""NCE-PLRec against its formulas in dense algebra, and against the fault that it is known for: it never moves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.baselines.popularity import Popularity
from recpipe.models.linear.ncepl_rec import NceplRec, truncated_svd
from recpipe.recipe import Run
from recpipe_tests import worlds


def training_set(watched: np.ndarray) -> TrainingSet:
    users, items = np.nonzero(watched)
    return TrainingSet(
        Interactions.sorted_from(users, items, np.zeros(len(users), dtype=np.int64), None, *watched.shape)
    )


def drawn(n_users: int = 60, n_items: int = 25) -> np.ndarray:
    """The last film nobody watched, the last user watched one film."""
    watched = np.random.default_rng(1).random((n_users, n_items)) < np.linspace(0.7, 0.1, n_items)
    watched[:, -1] = False
    watched[-1] = np.arange(n_items) == 0
    return watched


def literal(watched: np.ndarray, rank: int, beta: float, regularization: float) -> np.ndarray:
    """Dense scores of everybody: an entry of D at a time, the full SVD, a ridge regression a film."""
    X, counts = watched.astype(np.float64), watched.sum(axis=0)
    D = np.zeros_like(X)
    for user, film in np.argwhere(watched):
        D[user, film] = max(0.0, np.log(len(X) / counts[film] ** beta))
    _, lengths, axes = np.linalg.svd(D)
    vectors = axes[:rank].T * np.sqrt(lengths[:rank])
    projected = X @ vectors
    ridge = [
        np.linalg.solve(projected.T @ projected + regularization * np.eye(rank), projected.T @ X[:, film])
        for film in range(X.shape[1])
    ]
    return projected @ np.stack(ridge, axis=1)


@pytest.mark.parametrize("rank", [15, 25])
@pytest.mark.parametrize(("beta", "regularization"), [(0.8, 1.0), (1.1, 30.0)])
def test_scores_are_those_of_the_full_svd_and_a_ridge_regression_a_film(
    rank: int, beta: float, regularization: float
) -> None:
    train = training_set(drawn())
    scorer = NceplRec(embedding_size=rank, beta=beta, regularization=regularization).fit(train, Run())
    scores = scorer.scores(train.interactions.histories())
    np.testing.assert_allclose(scores, literal(drawn(), rank, beta, regularization), atol=1e-4)


def test_the_random_sketch_finds_the_largest_singular_values_and_their_vectors() -> None:
    random = np.random.default_rng(0)
    dense = random.standard_normal((200, 40)) @ np.diag(0.8 ** np.arange(40)) @ random.standard_normal((40, 120))
    dense[random.random(dense.shape) < 0.5] = 0.0
    lengths, axes = truncated_svd(sparse.csr_matrix(dense), 6, random)
    _, every_length, every_axis = np.linalg.svd(dense)
    np.testing.assert_allclose(lengths, every_length[:6], rtol=1e-3)
    assert np.abs((axes * every_axis[:6]).sum(axis=1)).min() > 0.99


def test_more_vectors_than_users_or_films_are_cut() -> None:
    scorer = NceplRec(embedding_size=500).fit(training_set(drawn(10, 25)), Run())
    assert scorer.weights.shape == (25, 10)
    assert scorer.right is not None
    assert scorer.right.shape == (10, 25)


@pytest.mark.parametrize("change", [{"beta": 1.3}, {"embedding_size": 5}, {"regularization": 500.0}])
def test_every_setting_moves_the_ranking(change: dict[str, float]) -> None:
    train = worlds.general().train
    settings = {"embedding_size": 30, "beta": 0.8, "regularization": 10.0}
    lists = [
        np.argsort(-NceplRec(**given).fit(train, Run()).scores(train.interactions.histories()), axis=1)[:, :10]
        for given in (settings, settings | change)
    ]
    assert (lists[0] != lists[1]).any(axis=1).mean() > 0.5


def test_lists_are_personal_and_far_better_than_popularity() -> None:
    world = worlds.general()
    scorer = NceplRec(embedding_size=10, beta=0.8, regularization=50.0).fit(world.train, Run())
    popular = Popularity().fit(world.train, Run())
    assert world.recall(scorer) > 2 * world.recall(popular)
    lists = np.argsort(-scorer.scores(world.held_out.histories), axis=1)[:, :10]
    assert len(np.unique(lists, axis=0)) > 100


def test_a_film_that_everybody_would_draw_as_a_contrast_has_no_part_in_the_vectors() -> None:
    train = training_set(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 1]], dtype=bool))
    contrasted = NceplRec(beta=1.0).contrasted(train.interactions.matrix()).toarray()
    np.testing.assert_allclose(contrasted[0], [0.0, np.log(2.0), 0.0], atol=1e-6)
