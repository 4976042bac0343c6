"""NCL: its loss and gradient against dense arithmetic on a graph of three users and four films, and its prototypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs import ncl
from recpipe.models.graphs.ncl import Ncl, NclNetwork
from recpipe.recipe import Run
from recpipe.training.graph import Graph, mean_of, ranking_with_penalty

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
TRIPLES = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3], [0, 1, 3]])  # user 0 and film 1 come more than once
SEED = torch.tensor(7)
SETTINGS = {"prototypes": 2, "pretraining": 0, "regularization": 0.3, "temperature": 0.5, "alpha": 1.5,
            "structure_weight": 0.7, "prototype_weight": 0.4}  # fmt: skip


def network(**settings: Any) -> NclNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return NclNetwork(sparse.csr_matrix(WATCHED), Ncl(**{"layers": 1, "embedding_size": 3} | settings))


def adjacency() -> Tensor:
    matrix = torch.zeros(7, 7)
    for user, film in zip(*WATCHED.nonzero(), strict=True):
        weight = 1 / np.sqrt(WATCHED[user].sum() * WATCHED[:, film].sum())
        matrix[user, 3 + film] = matrix[3 + film, user] = float(weight)
    return matrix


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return one @ other / (one.norm().clamp(min=1e-12) * other.norm())


def literal(one: Tensor, candidates: list[Tensor], own: int, temperature: float) -> Tensor:
    against = torch.stack([torch.exp(cosine(one, candidate) / temperature) for candidate in candidates])
    return -torch.log(against[own] / against.sum())


@pytest.mark.parametrize(("layers", "hyper_layers"), [(1, 1), (3, 1), (2, 2)])
def test_the_loss_and_its_gradient_are_those_of_the_dense_formula(layers: int, hyper_layers: int) -> None:
    settings = SETTINGS | {"layers": layers, "hyper_layers": hyper_layers}
    learner, dense = network(**settings), network(**settings)
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)
    initial = dense.initial
    outputs = [torch.linalg.matrix_power(adjacency(), power) @ initial for power in range(5)]
    final, even = torch.stack(outputs[: layers + 1]).mean(dim=0), outputs[2 * hyper_layers]
    centres, own = learner.centres, learner.own
    terms = []
    for user, film, unseen in TRIPLES.tolist():
        difference = final[user] @ final[3 + film] - final[user] @ final[3 + unseen]
        length = sum(initial[node].square().sum() for node in (user, 3 + film, 3 + unseen))
        structure = literal(even[user], list(initial[:3]), user, 0.5)
        structure = structure + 1.5 * literal(even[3 + film], list(initial[3:]), film, 0.5)
        kinds = literal(initial[user], list(centres[:2]), int(own[user]), 0.5)
        kinds = kinds + literal(initial[3 + film], list(centres[2:]), int(own[3 + film]), 0.5)
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length + 0.7 * structure + 0.4 * kinds)
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(learner.initial.grad, dense.initial.grad)


def test_every_node_has_the_nearest_prototype_of_its_side() -> None:
    learner = network(**SETTINGS)
    learner.find_prototypes()
    for node in range(7):
        centres = learner.centres[:2] if node < 3 else learner.centres[2:]
        assert learner.own[node] == (learner.initial[node] - centres).square().sum(dim=1).argmin()


def test_prototypes_are_found_once_an_epoch_and_held_during_it() -> None:
    learner = network(**SETTINGS)
    learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)
    held = learner.centres.clone()
    with torch.no_grad():
        learner.initial += 1.0
    learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)
    assert torch.equal(learner.centres, held)
    assert learner.begun == 1
    learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED + 1)
    assert not torch.equal(learner.centres, held)
    assert learner.begun == 2


def test_while_pretraining_there_are_no_prototypes() -> None:
    learner, without = network(**SETTINGS | {"pretraining": 2}), network(**SETTINGS | {"prototype_weight": 0.0})
    for epoch in range(3):
        losses = [one.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED + epoch).item() for one in (learner, without)]
        assert (losses[0] == pytest.approx(losses[1])) == (epoch < 2)
        assert bool(learner.centres.any()) == (epoch == 2)


def test_what_has_no_weight_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    layers = Graph.layers

    def seen(self: Graph, nodes: Tensor, count: int, *rest: Any) -> list[Tensor]:
        asked.append(count)
        return layers(self, nodes, count, *rest)

    def unwanted(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(Graph, "layers", seen)
    monkeypatch.setattr(ncl, "k_means", unwanted)
    monkeypatch.setattr(Graph, "contrast", unwanted)
    learner = network(**SETTINGS | {"hyper_layers": 3, "structure_weight": 0.0, "prototype_weight": 0.0})
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED)
    nodes = learner.graph.triples(TRIPLES[:, 0], TRIPLES[:, 1:])
    final = mean_of(layers(learner.graph, learner.initial, 1))
    torch.testing.assert_close(found, ranking_with_penalty(final, learner.initial, nodes, 0.3))
    assert (asked, int(learner.begun)) == ([1], 1)


def test_films_are_not_contrasted_where_their_part_has_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    contrast = Graph.contrast

    def seen(self: Graph, *given: Any) -> Tensor:
        sides.append(given[3])
        return contrast(self, *given)

    monkeypatch.setattr(Graph, "contrast", seen)
    losses = [
        network(**SETTINGS | {"alpha": alpha}).loss(TRIPLES[:, 0], TRIPLES[:, 1:], SEED).item() for alpha in (0.0, 1e-9)
    ]
    assert losses[0] == pytest.approx(losses[1])
    assert sides == [0, 0, 1]


def test_the_scorer_has_the_first_layers_alone() -> None:
    learner = network(hyper_layers=2)
    users, items = WATCHED.nonzero()
    histories = Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4).histories()
    final = (learner.initial + adjacency() @ learner.initial).detach() / 2
    np.testing.assert_allclose(learner.factors().scores(histories), final[:3] @ final[3:].T, rtol=1e-5, atol=1e-7)


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    users, items = WATCHED.nonzero()
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4))
    recipe = Ncl(batch_size=3, prototypes=2, pretraining=1)
    first, again = (recipe.fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
