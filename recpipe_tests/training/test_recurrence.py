"""The recurrent unit against torch's own: states, and the gradient of everything."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recpipe.training.recurrence import recurrent


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("rows", "length", "before", "size"), [(3, 5, 4, 6), (1, 1, 2, 2), (4, 50, 8, 8)])
def test_states_and_gradients_are_those_of_torch(layers: int, rows: int, length: int, before: int, size: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gru = nn.GRU(before, size, layers, batch_first=True)
        for weight in gru.parameters():
            nn.init.normal_(weight)
        inputs = torch.randn(rows, length, before, requires_grad=True)
        returned = torch.randn(rows, length, size)
    found, expected = recurrent(gru, inputs), gru(inputs)[0]
    torch.testing.assert_close(found, expected)
    wanted = (inputs, *gru.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(found, wanted, returned), torch.autograd.grad(expected, wanted, returned), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_under_autocast_it_is_in_float32_and_equal_inputs_give_equal_bits() -> None:
    gru, inputs = nn.GRU(3, 3, batch_first=True), torch.ones(2, 4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = recurrent(gru, inputs.bfloat16())
    assert states.dtype == torch.float32
    assert torch.equal(states, recurrent(gru, inputs))
