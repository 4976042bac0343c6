"""Sums over the films that are there, against the dense product; what is left out of a history while learning."""

from __future__ import annotations

import pytest
import torch

from recpipe.training.history_product import FromHistories, history_product

NUMBERS = torch.Generator().manual_seed(0)
HISTORIES = torch.rand(7, 40, generator=NUMBERS) * (torch.rand(7, 40, generator=NUMBERS) < 0.2)
HISTORIES[2] = 0.0
HISTORIES[:, 5] = 0.0  # a film that nobody watched
TABLE = torch.randn(40, 3, generator=NUMBERS)
RETURNED = torch.randn(7, 3, generator=NUMBERS)


@pytest.mark.parametrize("histories", [HISTORIES, torch.zeros(7, 40), torch.ones(7, 40), HISTORIES.T.contiguous().T])
def test_the_product_and_its_gradient_are_those_of_the_dense_one(histories: torch.Tensor) -> None:
    table = TABLE.clone().requires_grad_()
    product = history_product(histories, table)
    torch.testing.assert_close(product, histories @ TABLE)
    (gradient,) = torch.autograd.grad(product, table, RETURNED)
    torch.testing.assert_close(gradient, histories.T @ RETURNED)
    assert gradient.shape == table.shape


def test_the_product_is_the_same_under_autocast_to_the_bit() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(history_product(HISTORIES, TABLE), history_product(HISTORIES, TABLE))
        under = history_product(HISTORIES, TABLE)
    assert torch.equal(under, history_product(HISTORIES, TABLE))


def test_equal_seeds_give_equal_bits_there_and_back() -> None:
    found = []
    for _ in range(2):
        table = TABLE.clone().requires_grad_()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            product = history_product(HISTORIES, table, 0.5)
        found.append((product, *torch.autograd.grad(product, table, RETURNED)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_each_film_is_left_out_by_itself_and_the_kept_are_scaled() -> None:
    """With one column a film the product is the history that was read."""
    histories = torch.zeros(2000, 10)
    histories[:, :4] = 1.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        read = history_product(histories, torch.eye(10), 0.75)
    assert set(read.unique().tolist()) == {0.0, 4.0}
    assert read[:, 4:].eq(0).all()
    torch.testing.assert_close(read[:, :4].mean(dim=0), torch.ones(4), atol=0.15, rtol=0)
    assert abs(float(torch.corrcoef(read[:, :2].T)[0, 1])) < 0.1


def test_the_layer_leaves_out_while_learning_alone_or_as_the_call_says() -> None:
    layer = FromHistories(40, 3, dropout=0.5)
    whole = HISTORIES @ layer.weight + layer.bias
    torch.testing.assert_close(layer.eval()(HISTORIES), whole)
    torch.testing.assert_close(layer.train()(HISTORIES, 0.0), whole)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert not torch.allclose(layer(HISTORIES), whole)
