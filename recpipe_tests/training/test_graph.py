"""The graph of users and films against dense matrices: three users, four films, one of each without an edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from recpipe.training.graph import Graph, symmetric_product
from recpipe.training.sparse_tensors import sparse_product

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)
USERS, FILMS = WATCHED.nonzero()


def dense(weights: np.ndarray) -> torch.Tensor:
    """weights [edges] → symmetric [7 × 7]."""
    matrix = torch.zeros(7, 7)
    for user, film, weight in zip(USERS, FILMS, weights, strict=True):
        matrix[user, 3 + film] = matrix[3 + film, user] = float(weight)
    return matrix


def test_the_adjacency_is_normalised_by_both_degrees() -> None:
    found = Graph(sparse.csr_matrix(WATCHED)).adjacency
    assert found.layout == torch.sparse_csr
    expected = 1 / np.sqrt(WATCHED.sum(axis=1)[USERS] * WATCHED.sum(axis=0)[FILMS])
    torch.testing.assert_close(found.to_dense(), dense(expected))


def test_other_weights_for_the_edges_stand_in_both_directions() -> None:
    graph = Graph(sparse.csr_matrix(WATCHED))
    weights = torch.tensor([1.0, 2.0, 0.0, 4.0])
    torch.testing.assert_close(graph.weighed(weights[graph.edges]).to_dense(), dense(weights.numpy()))


def test_weights_are_normalised_by_their_sums_at_both_ends() -> None:
    graph = Graph(sparse.csr_matrix(WATCHED))
    weights = np.array([1.0, 2.0, 0.0, 4.0])
    matrix = dense(weights)
    sums = matrix.sum(dim=1)
    scale = torch.where(sums > 0, 1 / sums.clamp(min=1e-9).sqrt(), 0.0)
    found = graph.normalised(torch.from_numpy(weights).float()).to_dense()
    torch.testing.assert_close(found, scale[:, None] * matrix * scale[None, :])
    torch.testing.assert_close(graph.normalised(torch.ones(4)).to_dense(), graph.adjacency.to_dense())


def test_pairs_are_in_the_order_of_the_matrix() -> None:
    users, films = Graph(sparse.csr_matrix(WATCHED)).pairs()
    assert (users.tolist(), (films - 3).tolist()) == (USERS.tolist(), FILMS.tolist())


def test_layers_are_the_powers_of_the_adjacency() -> None:
    graph, nodes = Graph(sparse.csr_matrix(WATCHED)), torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    adjacency = graph.adjacency.to_dense()
    for power, layer in enumerate(graph.layers(nodes, 3)):
        torch.testing.assert_close(layer, torch.linalg.matrix_power(adjacency, power) @ nodes)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_product_is_that_of_torch_also_where_rows_or_the_whole_matrix_have_no_entry(size: int) -> None:
    nodes = torch.randn(7, size, generator=torch.Generator().manual_seed(0))
    for watched in (WATCHED, np.zeros_like(WATCHED)):
        adjacency = Graph(sparse.csr_matrix(watched)).adjacency
        torch.testing.assert_close(sparse_product(adjacency, nodes), adjacency.to_dense() @ nodes)


def test_the_gradient_of_the_product_is_the_dense_one() -> None:
    adjacency = Graph(sparse.csr_matrix(WATCHED)).adjacency
    first, again = (torch.arange(14.0).reshape(7, 2).requires_grad_() for _ in range(2))
    symmetric_product(adjacency, first).square().sum().backward()
    (adjacency.to_dense() @ again).square().sum().backward()
    torch.testing.assert_close(first.grad, again.grad)


def test_the_product_in_float32_is_the_same_under_autocast_and_so_is_its_gradient() -> None:
    graph = Graph(sparse.csr_matrix(WATCHED))
    nodes, same = (torch.randn(7, 2, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    expected = symmetric_product(graph.adjacency, nodes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = symmetric_product(graph.adjacency, same)
    assert torch.equal(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    assert torch.equal(same.grad, nodes.grad)


def test_layers_are_the_same_where_autocast_would_take_bfloat16() -> None:
    graph, nodes = Graph(sparse.csr_matrix(WATCHED)), torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = graph.layers(nodes, 2)
    for layer, expected in zip(found, graph.layers(nodes, 2), strict=True):
        torch.testing.assert_close(layer, expected, rtol=0, atol=0)
