"""NGCF: layers, gradient and loss against dense arithmetic on a graph of three users and four films; its dropout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.nn import functional

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.ngcf import Ngcf, NgcfNetwork
from recpipe.recipe import Run

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
USERS, ITEMS = WATCHED.nonzero()
TRIPLES = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3]])


def network(**settings: object) -> NgcfNetwork:
    """All weights far from zero, so that every part of the formula shows."""
    recipe = Ngcf(**{"embedding_size": 3, "layers": (3, 2), "dropout": 0.0} | settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        learner = NgcfNetwork(sparse.csr_matrix(WATCHED), recipe)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def train() -> TrainingSet:
    return TrainingSet(Interactions.sorted_from(USERS, ITEMS, np.arange(len(USERS)), None, 3, 4))


def literal_layers(learner: NgcfNetwork) -> list[torch.Tensor]:
    """E by layer, node by node, message by message; each before its rows are brought to length 1."""
    neighbours = {user: [3 + film for film in np.flatnonzero(WATCHED[user])] for user in range(3)}
    neighbours |= {3 + film: np.flatnonzero(WATCHED[:, film]).tolist() for film in range(4)}
    layers: list[torch.Tensor] = [learner.initial]
    for of_sums, of_products in zip(learner.of_sums, learner.of_products, strict=True):
        before, after = layers[-1], []
        for node in range(7):
            total = of_sums.weight @ before[node] + of_sums.bias  # what a node tells itself
            for other in neighbours[node]:
                weight = 1 / np.sqrt(len(neighbours[node]) * len(neighbours[other]))
                alike = of_products.weight @ (before[other] * before[node])
                total = total + weight * (of_sums.weight @ before[other] + alike)
            after.append(torch.where(total > 0, total, 0.2 * total))
        layers.append(torch.stack(after))
    return layers


def literal_joined(learner: NgcfNetwork) -> torch.Tensor:
    first, *others = literal_layers(learner)
    return torch.cat([first, *(layer / layer.norm(dim=1, keepdim=True) for layer in others)], dim=1)


def test_the_layers_are_those_of_the_messages_summed_one_by_one() -> None:
    learner = network()
    torch.testing.assert_close(learner.propagated(), literal_joined(learner))
    assert learner.propagated().shape == (7, 3 + 3 + 2)


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    learner, literal = network(regularization=0.3), network(regularization=0.3)
    joined, terms = literal_joined(literal), []
    for user, film, other in TRIPLES.tolist():
        difference = joined[user] @ joined[3 + film] - joined[user] @ joined[3 + other]
        length = sum(literal.initial[node].square().sum() for node in (user, 3 + film, 3 + other))
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length)
    expected = torch.stack(terms).mean()
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:])
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for one, other in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_penalty_on_the_joined_vectors_has_the_gradient_of_that_on_the_initial_ones() -> None:
    learner = network()
    learner.propagated().square().sum().backward()
    torch.testing.assert_close(learner.initial.grad, 2 * learner.initial.detach(), rtol=1e-4, atol=1e-5)


def test_scores_are_those_that_training_compares() -> None:
    learner = network(dropout=0.5, edge_dropout=0.5).eval()
    histories = train().interactions.histories()
    joined = literal_joined(learner).detach().numpy()
    np.testing.assert_allclose(learner.factors().scores(histories), joined[:3] @ joined[3:].T, rtol=1e-5, atol=1e-6)


def test_edges_that_are_left_out_are_left_out_in_both_directions_and_the_others_weigh_more_for_it() -> None:
    learner = network(edge_dropout=0.6)
    whole, seen = learner.graph.adjacency.to_dense(), torch.zeros(7, 7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(400):
            thinned = learner.adjacency().to_dense()
            torch.testing.assert_close(thinned, thinned.T)
            kept = thinned > 0
            torch.testing.assert_close(thinned[kept], whole[kept] / 0.4)
            seen += thinned / 400
    torch.testing.assert_close(seen, whole, rtol=0.25, atol=0.0)
    torch.testing.assert_close(learner.eval().adjacency().to_dense(), whole)


@pytest.mark.parametrize("name", ["dropout", "edge_dropout"])
def test_dropout_is_drawn_anew_in_training_alone(name: str) -> None:
    learner = network(layers=(16, 16), **{name: 0.5})
    assert not torch.equal(learner.propagated(), learner.propagated())
    assert torch.equal(learner.eval().propagated(), learner.propagated())
    torch.testing.assert_close(learner.propagated(), literal_joined(learner), rtol=1e-4, atol=1e-5)


def test_messages_of_every_layer_are_dropped_but_never_the_initial_vectors() -> None:
    learner = network(layers=(16, 16), dropout=0.5)
    joined = learner.propagated()
    assert torch.equal(joined[:, :3], learner.initial)
    zeros = (joined[:, 3:] == 0).float().reshape(7, 2, 16).mean(dim=(0, 2))
    assert torch.all((zeros - 0.5).abs() < 0.15)
    torch.testing.assert_close(functional.normalize(joined[:, 3:19], dim=1), joined[:, 3:19])


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    recipe = Ngcf(batch_size=3, layers=(5,), dropout=0.2, edge_dropout=0.2)
    first, again = (recipe.fit(train(), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
