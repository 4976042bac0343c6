"""Products over edges with weights, and their gradients, against dense matrices: three users, four films."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recpipe.training.edge_weights import EdgeWeights
from recpipe.training.graph import Graph

WATCHED = np.array([[1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
GRAPH = Graph(sparse.csr_matrix(WATCHED))
EDGES = EdgeWeights(GRAPH)
HEADS, TAILS = GRAPH.adjacency.to_dense().nonzero(as_tuple=True)  # in the order of the entries


def some(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_turned_entries_go_the_other_way() -> None:
    order = EDGES.turned
    assert (HEADS[order].tolist(), TAILS[order].tolist()) == (TAILS.tolist(), HEADS.tolist())
    assert torch.equal(order[order], torch.arange(len(HEADS)))


def test_messages_and_their_gradients_are_the_dense_ones() -> None:
    weights, vectors = some(2, len(HEADS)), some(2, 7, 3, seed=1)
    matrix = torch.zeros(2, 7, 7).index_put((torch.arange(2)[:, None], HEADS[None, :], TAILS[None, :]), weights)
    expected = matrix @ vectors
    found = EDGES.messages(weights, vectors)
    torch.testing.assert_close(found, expected)
    upstream = some(2, 7, 3, seed=2).detach()
    of_found, of_expected = (torch.autograd.grad(one, (weights, vectors), upstream) for one in (found, expected))
    torch.testing.assert_close(of_found, of_expected)


def test_likeness_and_its_gradients_are_the_dense_ones() -> None:
    heads, tails = some(2, 7, 3), some(2, 7, 3, seed=1)
    expected = (heads @ tails.transpose(1, 2))[:, HEADS, TAILS]
    found = EDGES.likeness(heads, tails)
    torch.testing.assert_close(found, expected)
    upstream = some(2, len(HEADS), seed=2).detach()
    of_found, of_expected = (torch.autograd.grad(one, (heads, tails), upstream) for one in (found, expected))
    torch.testing.assert_close(of_found, of_expected)
