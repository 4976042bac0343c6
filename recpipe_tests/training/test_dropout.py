"""Dropout: its share, its scale, and that draws which share a random number are independent."""

from __future__ import annotations

import pytest
import torch

from recpipe.training.dropout import Dropout, dropout


def dropped(size: int, share: float, seed: int = 0) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dropout(torch.ones(size), share)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.9, 0.999])
def test_the_share_is_set_to_zero_and_the_rest_is_scaled(share: float) -> None:
    values = dropped(1_000_000, share)
    torch.testing.assert_close(values.unique(), torch.tensor([0.0, 1 / (1 - share)]))
    deviation = (share * (1 - share) / 1_000_000) ** 0.5
    assert float((values == 0).double().mean()) == pytest.approx(share, abs=5 * deviation)


def test_neighbours_are_independent_at_any_distance() -> None:
    kept = (dropped(400_000, 0.5) > 0).double() - 0.5
    for distance in (1, 2, 3, 4, 5, 8, 64):
        assert abs(float((kept[distance:] * kept[:-distance]).mean())) < 5 * 0.25 / 400_000**0.5
    for lane in range(4):
        assert float((kept[lane::4] + 0.5).mean()) == pytest.approx(0.5, abs=0.01)


def test_equal_seeds_drop_the_same_and_others_others() -> None:
    assert torch.equal(dropped(1001, 0.5), dropped(1001, 0.5))
    assert not torch.equal(dropped(1001, 0.5), dropped(1001, 0.5, seed=1))


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 7), (2, 3, 5)])
def test_any_shape_keeps_its_shape_dtype_and_gradient(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        values = torch.ones(shape, dtype=dtype, requires_grad=True)
        found = dropout(values, 0.5)
        assert (found.shape, found.dtype) == (values.shape, dtype)
        (gradient,) = torch.autograd.grad(found.sum(), values)
        assert torch.equal(gradient, found.detach())


def test_without_learning_or_at_a_share_of_zero_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    values = torch.ones(4)
    assert dropout(values, 0.0) is values
    assert dropout(values, 0.5, learning=False) is values
    assert Dropout(0.5).eval()(values) is values
    assert torch.equal(torch.get_rng_state(), before)


def test_a_share_that_is_nearly_one_drops_nearly_all() -> None:
    assert float((dropped(1_000_000, 1 - 1e-9) == 0).double().mean()) > 0.9999
