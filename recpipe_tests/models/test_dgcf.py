"""DGCF: its routing, loss and gradient edge by edge on a graph of three users and four films."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import sparse
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.dgcf import Dgcf, DgcfNetwork, distance_correlations
from recpipe.recipe import Run

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
TRIPLES = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3]])
NEIGHBOURS: dict[int, list[int]] = {node: [] for node in range(7)}
for user, film in zip(*WATCHED.nonzero(), strict=True):
    NEIGHBOURS[int(user)].append(3 + int(film))
    NEIGHBOURS[3 + int(film)].append(int(user))


def network(**settings: Any) -> DgcfNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return DgcfNetwork(sparse.csr_matrix(WATCHED), Dgcf(**{"intents": 2, "embedding_size": 6} | settings))


def literal(initial: Tensor, intents: int, layers: int, iterations: int) -> Tensor:
    """E, the paper's equations one edge and one intent at a time."""
    s = {(k, h, t): torch.zeros(()) for k in range(intents) for h in NEIGHBOURS for t in NEIGHBOURS[h]}
    outputs = [initial]
    for _ in range(layers):
        slices = outputs[-1].chunk(intents, dim=1)
        for _ in range(iterations):
            w = {(k, h, t): s[k, h, t].exp() / sum(s[other, h, t].exp() for other in range(intents)) for k, h, t in s}
            degree = {(k, h): sum(w[k, h, t] for t in NEIGHBOURS[h]) for k in range(intents) for h in NEIGHBOURS}
            x = {}
            for k in range(intents):
                for h in NEIGHBOURS:
                    parts = [w[k, h, t] / (degree[k, h] * degree[k, t]) ** 0.5 * slices[k][t] for t in NEIGHBOURS[h]]
                    x[k, h] = torch.stack(parts).sum(dim=0) if parts else torch.zeros_like(slices[k][h])
            directions = {(k, t): slices[k][t] / slices[k][t].norm() for k in range(intents) for t in range(7)}
            s = {(k, h, t): s[k, h, t] + x[k, h] / x[k, h].norm() @ torch.tanh(directions[k, t]) for k, h, t in s}
        outputs.append(torch.stack([torch.cat([x[k, h] for k in range(intents)]) for h in range(7)]))
    return torch.stack(outputs).mean(dim=0)


@pytest.mark.parametrize(
    ("intents", "layers", "iterations"), [(1, 2, 2), (2, 0, 2), (2, 1, 1), (2, 1, 2), (3, 1, 3), (2, 2, 2), (2, 2, 1)]
)
def test_routing_is_that_of_the_formulas(intents: int, layers: int, iterations: int) -> None:
    learner = network(intents=intents, layers=layers, iterations=iterations)
    expected = literal(learner.initial, intents, layers, iterations)
    torch.testing.assert_close(learner.propagated(), expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_loss_and_its_gradient_are_those_of_the_formulas(layers: int) -> None:
    learner, slow = (network(layers=layers, regularization=0.3, alpha=0.7) for _ in range(2))
    learner.sampled = 4  # all users and films, so that the draw does not matter
    final, terms = literal(slow.initial, 2, layers, 2), []
    for user, film, unseen in TRIPLES.tolist():
        difference = final[user] @ final[3 + film] - final[user] @ final[3 + unseen]
        length = sum(slow.initial[node].square().sum() for node in (user, 3 + film, 3 + unseen))
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length)
    expected = torch.stack(terms).mean() + 0.7 * correlation(*final.chunk(2, dim=1))
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    torch.testing.assert_close(learner.initial.grad, slow.initial.grad, rtol=1e-3, atol=1e-5)


def covariance(x: Tensor, y: Tensor) -> Tensor:
    """The square of the distance covariance, pair by pair (Székely et al. 2007)."""

    def centred(vectors: Tensor) -> list[list[Tensor]]:
        n = len(vectors)
        a = [[(one - other).square().sum().add(1e-16).sqrt() for other in vectors] for one in vectors]
        rows, columns = [sum(row) / n for row in a], [sum(row[j] for row in a) / n for j in range(n)]
        return [[a[i][j] - rows[i] - columns[j] + sum(rows) / n for j in range(n)] for i in range(n)]

    products = [
        p * q for one, other in zip(centred(x), centred(y), strict=True) for p, q in zip(one, other, strict=True)
    ]
    return torch.stack(products).mean()


def correlation(x: Tensor, y: Tensor) -> Tensor:
    return (covariance(x, y) / (covariance(x, x) * covariance(y, y)).sqrt()).sqrt()


def test_distance_correlations_are_summed_over_all_pairs_of_intents() -> None:
    slices = torch.randn(3, 8, 2, generator=torch.Generator().manual_seed(0)) * 3
    expected = sum(correlation(slices[i], slices[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    torch.testing.assert_close(distance_correlations(slices), expected, rtol=1e-4, atol=1e-5)


def test_the_distance_correlation_is_1_with_itself_and_small_where_nothing_is_shared() -> None:
    vectors = torch.randn(1, 300, 2, generator=torch.Generator().manual_seed(0))
    others = torch.randn(1, 300, 2, generator=torch.Generator().manual_seed(1))
    assert float(distance_correlations(torch.cat((vectors, -2 * vectors)))) == pytest.approx(1, abs=1e-4)
    assert float(distance_correlations(torch.cat((vectors, others)))) < 0.2
    assert float(distance_correlations(vectors)) == 0


def test_where_all_nodes_are_alike_the_gradient_is_finite() -> None:
    learner = network(regularization=0.0)
    with torch.no_grad():
        learner.initial.zero_()
    learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:]).backward()
    assert torch.isfinite(learner.initial.grad).all()


def test_slices_that_do_not_divide_the_embedding_are_refused() -> None:
    with pytest.raises(ValidationError, match="64 cannot be cut into 5 equal slices"):
        Dgcf(embedding_size=64, intents=5)


def test_the_scorer_keeps_what_routing_gives() -> None:
    learner = network()
    users, items = WATCHED.nonzero()
    histories = Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4).histories()
    final = learner.propagated().detach().numpy()
    np.testing.assert_allclose(learner.factors().scores(histories), final[:3] @ final[3:].T, rtol=1e-5, atol=1e-7)


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    users, items = WATCHED.nonzero()
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), None, 3, 4))
    first, again = (Dgcf(batch_size=3).fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
