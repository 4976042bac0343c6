"""LightGCN: its propagation, gradient and loss against dense arithmetic on a graph of three users and four films."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.lightgcn import Lightgcn, LightgcnNetwork
from recpipe.recipe import Run

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge


def network(layers: int = 3, **settings: float) -> LightgcnNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return LightgcnNetwork(sparse.csr_matrix(WATCHED), Lightgcn(layers=layers, embedding_size=3, **settings))


def dense_adjacency() -> torch.Tensor:
    adjacency = torch.zeros(7, 7)
    for user, film in zip(*WATCHED.nonzero(), strict=True):
        weight = 1 / np.sqrt(WATCHED[user].sum() * WATCHED[:, film].sum())
        adjacency[user, 3 + film] = adjacency[3 + film, user] = float(weight)
    return adjacency


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_propagation_is_the_mean_of_the_layers(layers: int) -> None:
    learner = network(layers)
    powers = [torch.linalg.matrix_power(dense_adjacency(), power) for power in range(layers + 1)]
    expected = torch.stack([power @ learner.initial for power in powers]).mean(dim=0)
    torch.testing.assert_close(learner.propagated(), expected)


def test_the_loss_and_its_gradient_are_those_of_the_dense_formula() -> None:
    learner, dense = network(2, regularization=0.3), network(2, regularization=0.3)
    triples = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3]])
    layers = [dense.initial, dense_adjacency() @ dense.initial, dense_adjacency() @ dense_adjacency() @ dense.initial]
    final, terms = (layers[0] + layers[1] + layers[2]) / 3, []
    for user, film, other in triples.tolist():
        difference = final[user] @ final[3 + film] - final[user] @ final[3 + other]
        length = sum(dense.initial[node].square().sum() for node in (user, 3 + film, 3 + other))
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length)
    expected = torch.stack(terms).mean()
    found = learner.loss(triples[:, 0], triples[:, 1:])
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(learner.initial.grad, dense.initial.grad)


def test_the_scorer_keeps_what_propagation_gives() -> None:
    learner = network()
    users, items = WATCHED.nonzero()
    histories = Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4).histories()
    final = learner.propagated().detach().numpy()
    np.testing.assert_allclose(learner.factors().scores(histories), final[:3] @ final[3:].T, rtol=1e-5, atol=1e-7)


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    users, items = WATCHED.nonzero()
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4))
    first, again = (Lightgcn(batch_size=3).fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
