"""SGL: its views, loss and gradient against dense arithmetic on a graph of three users and four films."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.sgl import Sgl, SglNetwork
from recpipe.recipe import Run

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
TRIPLES = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3], [0, 1, 3]])  # user 0 and film 1 come more than once
SEED = torch.tensor(7)


def network(**settings: Any) -> SglNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return SglNetwork(sparse.csr_matrix(WATCHED), Sgl(**{"layers": 2, "embedding_size": 3} | settings))


def many_edges(**settings: Any) -> SglNetwork:
    watched = np.random.default_rng(0).random((60, 50)) < 0.4
    return SglNetwork(sparse.csr_matrix(watched.astype(np.float32)), Sgl(embedding_size=2, **settings))


def normalised(kept: np.ndarray) -> Tensor:
    """kept: binary [users × films] → dense [nodes × nodes]."""
    adjacency = torch.zeros(7, 7)
    for user, film in zip(*kept.nonzero(), strict=True):
        weight = 1 / np.sqrt(kept[user].sum() * kept[:, film].sum())
        adjacency[user, 3 + film] = adjacency[3 + film, user] = float(weight)
    return adjacency


def kept_in(matrix: Tensor, n_users: int) -> np.ndarray:
    return (matrix.to_dense()[:n_users, n_users:] > 0).numpy()


def test_without_dropout_both_views_are_the_whole_graph() -> None:
    for view in network(dropout=0.0).views(1):
        assert len(view) == 2
        for matrix in view:
            torch.testing.assert_close(matrix.to_dense(), normalised(WATCHED))


@pytest.mark.parametrize("views", ["edges", "nodes", "walk"])
def test_a_view_is_normalised_by_the_degrees_that_are_left(views: str) -> None:
    learner = network(views=views, dropout=0.5)
    for seed in range(20):
        for matrix in (matrix for view in learner.views(seed) for matrix in view):
            kept = kept_in(matrix, 3)
            assert (kept <= (WATCHED > 0)).all()
            torch.testing.assert_close(matrix.to_dense(), normalised(kept))


def test_edges_are_dropped_with_their_probability_and_the_views_differ() -> None:
    learner = many_edges(dropout=0.3, layers=2)
    first, second = (kept_in(view[0], 60) for view in learner.views(5))
    for kept in (first, second):
        assert kept.sum() / learner.graph.n_edges == pytest.approx(0.7, abs=0.05)
    assert (first != second).any()


def test_a_dropped_node_has_no_edge_and_between_the_others_all_are_left() -> None:
    learner = many_edges(views="nodes", dropout=0.3, layers=1)
    whole, kept = kept_in(learner.graph.adjacency, 60), kept_in(learner.views(5)[0][0], 60)
    users, films = kept.any(axis=1), kept.any(axis=0)
    assert (users.mean(), films.mean()) == (pytest.approx(0.7, abs=0.2), pytest.approx(0.7, abs=0.2))
    np.testing.assert_array_equal(kept, whole & users[:, None] & films[None, :])


def test_in_a_walk_alone_each_layer_has_edges_of_its_own() -> None:
    walk, edges = (many_edges(views=views, dropout=0.3, layers=3).views(5)[0] for views in ("walk", "edges"))
    assert len(walk) == len(edges) == 3
    assert (kept_in(walk[0], 60) != kept_in(walk[1], 60)).any()
    assert edges[0] is edges[2]


def test_views_follow_from_the_seed_and_are_drawn_once_for_it() -> None:
    learner, again = many_edges(dropout=0.3), many_edges(dropout=0.3)
    views = learner.views(5)
    assert learner.views(5) is views
    again.views(6)
    for view, other in zip(views, again.views(5), strict=True):
        torch.testing.assert_close(view[0].to_dense(), other[0].to_dense(), rtol=0, atol=0)


@pytest.mark.parametrize("views", ["edges", "walk"])
def test_the_loss_and_its_gradient_are_those_of_the_dense_formula(views: str) -> None:
    settings = {"views": views, "dropout": 0.4, "regularization": 0.3, "alpha": 0.7, "temperature": 0.5}
    learner, dense = network(**settings), network(**settings)

    def propagated(matrices: list[Tensor]) -> Tensor:
        first = matrices[0] @ dense.initial
        return (dense.initial + first + matrices[1] @ first) / 3

    final = propagated([normalised(WATCHED)] * 2)
    views_of = [propagated([matrix.to_dense() for matrix in view]) for view in learner.views(int(SEED))]
    one, other = (vectors / vectors.norm(dim=1, keepdim=True) for vectors in views_of)

    def contrast(node: int, side: range) -> Tensor:
        against = torch.stack([torch.exp(one[node] @ other[candidate] / 0.5) for candidate in side])
        return -torch.log(against[node - side.start] / against.sum())

    terms = []
    for user, film, unseen in TRIPLES.tolist():
        difference = final[user] @ final[3 + film] - final[user] @ final[3 + unseen]
        length = sum(dense.initial[node].square().sum() for node in (user, 3 + film, 3 + unseen))
        contrasts = contrast(user, range(3)) + contrast(3 + film, range(3, 7))
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length + 0.7 * contrasts)
    expected = torch.stack(terms).mean()
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(learner.initial.grad, dense.initial.grad)


def test_without_weight_there_are_no_views(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = network(alpha=1e-9).loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)

    def unwanted(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(SglNetwork, "views", unwanted)
    torch.testing.assert_close(network(alpha=0.0).loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED), nearly)


def test_the_scorer_has_the_whole_graph() -> None:
    learner = network(dropout=0.5)
    users, items = WATCHED.nonzero()
    histories = Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4).histories()
    adjacency = normalised(WATCHED)
    final = (learner.initial + adjacency @ learner.initial + adjacency @ adjacency @ learner.initial).detach() / 3
    np.testing.assert_allclose(learner.factors().scores(histories), final[:3] @ final[3:].T, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("layers", [0, 2])
def test_two_fits_with_one_seed_are_equal_to_the_bit(layers: int) -> None:
    users, items = WATCHED.nonzero()
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4))
    recipe = Sgl(batch_size=3, dropout=0.4, layers=layers)
    first, again = (recipe.fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
