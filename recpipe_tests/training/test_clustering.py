"""k-means: groups that are there are found, no centre stays empty, and what comes out is where Lloyd's rounds end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recpipe.training import clustering
from recpipe.training.clustering import k_means


def numbers(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grouped() -> tuple[Tensor, Tensor]:
    """Four groups of ten, far from each other; the vectors and their groups."""
    middles = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
    groups = torch.arange(40) % 4
    return middles[groups] + torch.randn(40, 2, generator=numbers(1)), groups


def literal(vectors: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """One round, one vector at a time."""
    own = torch.tensor(
        [min(range(len(centres)), key=lambda c: float((v - centres[c]).square().sum())) for v in vectors]
    )
    return torch.stack([vectors[own == c].mean(dim=0) for c in range(len(centres))]), own


def test_what_comes_out_is_a_fixed_point_of_the_rounds() -> None:
    vectors = torch.randn(60, 3, generator=numbers(2))
    centres, own = k_means(vectors, 5, 100, numbers(3))
    expected, nearest = literal(vectors, centres)
    assert torch.equal(own, nearest)
    torch.testing.assert_close(centres, expected)


def test_one_round_is_the_literal_one() -> None:
    vectors = torch.randn(30, 3, generator=numbers(2))
    start = vectors[torch.randperm(30, generator=numbers(3))[:4]]
    centres, own = k_means(vectors, 4, 1, numbers(3))
    torch.testing.assert_close(centres, literal(vectors, start)[0])
    assert torch.equal(own, literal(vectors, centres)[1])


def test_vectors_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = grouped()
    whole = k_means(vectors, 4, 9, numbers(3))
    monkeypatch.setattr(clustering, "ROWS", 7)
    for one, other in zip(whole, k_means(vectors, 4, 9, numbers(3)), strict=True):
        torch.testing.assert_close(one, other)


def test_an_empty_centre_moves_to_the_vector_that_lies_furthest() -> None:
    vectors = torch.cat((torch.zeros(9, 2), torch.tensor([[7.0, 7.0]])))
    centres, own = k_means(vectors, 2, 5, numbers(0))  # both centres start at the origin
    assert (torch.randperm(10, generator=numbers(0))[:2] < 9).all()
    assert sorted(centres.tolist()) == [[0.0, 0.0], [7.0, 7.0]]
    assert own[9] != own[0]


@pytest.mark.parametrize("count", [5, 9])
def test_there_are_never_more_centres_than_vectors(count: int) -> None:
    vectors = torch.randn(5, 2, generator=numbers(4))
    centres, own = k_means(vectors, count, 3, numbers(0))
    torch.testing.assert_close(centres[own], vectors)


def test_equal_vectors_make_no_trouble_and_a_seed_fixes_all() -> None:
    centres, own = k_means(torch.ones(6, 2), 3, 4, numbers(0))
    assert (centres == 1).all() and len(set(own.tolist())) == 1
    vectors, groups = grouped()
    first, again = (k_means(vectors, 8, 20, numbers(5)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(len(set(groups[first[1] == centre].tolist())) <= 1 for centre in range(8))
