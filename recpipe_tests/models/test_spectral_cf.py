"""SpectralCF: its filter against the eigenvectors of dense Laplacians, its loss and gradient against the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.spectral_cf import SpectralCf, SpectralCfNetwork
from recpipe.recipe import Run

WATCHED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
USERS, ITEMS = WATCHED.nonzero()
TRIPLES = torch.tensor([[0, 1, 2], [1, 2, 0], [0, 0, 3]])


def network(layers: int = 2, **settings: float) -> SpectralCfNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return SpectralCfNetwork(sparse.csr_matrix(WATCHED), SpectralCf(layers=layers, embedding_size=3, **settings))


def train() -> TrainingSet:
    return TrainingSet(Interactions.sorted_from(USERS, ITEMS, np.arange(len(USERS)), None, 3, 4))


def adjacency() -> np.ndarray:
    return np.block([[np.zeros((3, 3)), WATCHED], [WATCHED.T, np.zeros((4, 4))]])


def laplacian() -> np.ndarray:
    """I − D⁻¹A, of rows that sum to 0 where there are edges."""
    degrees = adjacency().sum(axis=1)
    return np.eye(7) - np.diag(np.divide(1, degrees, out=np.zeros(7), where=degrees > 0)) @ adjacency()


def spectral_filter() -> torch.Tensor:
    """U U⁻¹ + U Λ U⁻¹ from all eigenvectors, [7 × 7]."""
    values, vectors = np.linalg.eig(laplacian())
    inverse = np.linalg.inv(vectors)
    return torch.from_numpy((vectors @ inverse + vectors @ np.diag(values) @ inverse).real).float()


def literal_joined(learner: SpectralCfNetwork) -> torch.Tensor:
    layers: list[torch.Tensor] = [learner.initial]
    for weights in learner.filters:
        layers.append(1 / (1 + torch.exp(-spectral_filter() @ layers[-1] @ weights)))
    return torch.cat(layers, dim=1)


def test_the_filter_is_that_of_all_eigenvectors_of_the_random_walk_laplacian() -> None:
    torch.testing.assert_close(network().filtered(torch.eye(7)), spectral_filter(), rtol=1e-4, atol=1e-5)


def test_it_is_the_papers_product_with_the_transpose_once_the_eigenvectors_are_orthonormal() -> None:
    """Those of the symmetric Laplacian are; what nodes say is scaled by root degrees on the way there and back."""
    degrees = adjacency().sum(axis=1)
    roots = np.sqrt(np.where(degrees > 0, degrees, 1.0))
    symmetric = np.diag(roots) @ laplacian() @ np.diag(1 / roots)
    values, vectors = np.linalg.eigh(symmetric)
    papers = vectors @ vectors.T + vectors @ np.diag(values) @ vectors.T
    found = network().filtered(torch.eye(7)).numpy()
    np.testing.assert_allclose(np.diag(roots) @ found @ np.diag(1 / roots), papers, atol=1e-5)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_layers_are_joined(layers: int) -> None:
    learner = network(layers)
    assert learner.propagated().shape == (7, 3 * (1 + layers))
    torch.testing.assert_close(learner.propagated(), literal_joined(learner), rtol=1e-4, atol=1e-5)


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    learner, literal = network(regularization=0.3), network(regularization=0.3)
    joined, terms = literal_joined(literal), []
    for user, film, other in TRIPLES.tolist():
        difference = joined[user] @ joined[3 + film] - joined[user] @ joined[3 + other]
        length = sum(joined[node].square().sum() for node in (user, 3 + film, 3 + other))
        terms.append(-torch.log(torch.sigmoid(difference)) + 0.3 / 2 * length)
    expected = torch.stack(terms).mean()
    found = learner.loss(TRIPLES[:, 0], TRIPLES[:, 1:])
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for one, other in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_the_scorer_keeps_what_propagation_gives() -> None:
    learner = network()
    joined = literal_joined(learner).detach().numpy()
    scores = learner.factors().scores(train().interactions.histories())
    np.testing.assert_allclose(scores, joined[:3] @ joined[3:].T, rtol=1e-4, atol=1e-5)


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    first, again = (SpectralCf(batch_size=3).fit(train(), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
