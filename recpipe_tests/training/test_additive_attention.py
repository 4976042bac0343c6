"""Additive attention against its literal form, in blocks of any size."""

from __future__ import annotations

import pytest
import torch

from recpipe.training import additive_attention
from recpipe.training.additive_attention import Activation, additive_scores


@pytest.mark.parametrize("block", [1, 100, 10_000])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("asking", [1, 4])
def test_scores_and_gradients_are_those_of_the_sums_of_all_pairs(
    asking: int, activation: Activation, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(additive_attention.BLOCK, "cpu", block)
    numbers = torch.Generator().manual_seed(0)
    shapes = ((3, asking, 5), (3, 4, 5), (5,))
    literal = [torch.randn(shape, generator=numbers, dtype=torch.float64).requires_grad_() for shape in shapes]
    found = [tensor.detach().float().requires_grad_() for tensor in literal]
    weights = torch.randn(3, asking, 4, generator=numbers, dtype=torch.float64)
    queries, keys, direction = literal
    expected = getattr(torch, activation)(queries[:, :, None] + keys[:, None]) @ direction
    scores = additive_scores(*found, activation)
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-6)
    (expected * weights).sum().backward()
    (scores * weights).sum().backward()
    for one, other in zip(found, literal, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-6)
