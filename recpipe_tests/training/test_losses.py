"""Each loss against its formula, a literal value, and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recpipe.training import losses


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_bpr_is_the_mean_of_minus_ln_sigmoid_of_the_difference() -> None:
    watched, others = torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 3.0], [0.5, -1.0]])
    differences = [1.0, -1.0, -1.5, 0.0]
    expected = -sum(math.log(sigmoid(difference)) for difference in differences) / 4
    assert float(losses.bpr(watched, others)) == pytest.approx(expected, rel=1e-6)


def test_bpr_neither_overflows_nor_vanishes_at_the_ends() -> None:
    assert float(losses.bpr(torch.tensor([-300.0]), torch.tensor([[300.0]]))) == pytest.approx(600.0)
    assert 0.0 < float(losses.bpr(torch.tensor([30.0]), torch.tensor([[0.0]]))) < 1e-12


def test_binary_cross_entropy_is_its_formula() -> None:
    logits, targets = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.0]])
    expected = -(math.log(sigmoid(2.0)) + math.log(1 - sigmoid(-1.0))) / 2
    assert float(losses.binary_cross_entropy(logits, targets)) == pytest.approx(expected, rel=1e-6)
    assert float(losses.watched_first(logits)) == pytest.approx(expected, rel=1e-6)


def test_the_squared_loss_wants_one_for_the_watched_film_and_zero_for_the_others() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.0], [1.0, 2.0, -1.0]])
    assert float(losses.watched_squared(scores)) == pytest.approx((0.25 + 0.25 + 0.0 + 0.0 + 4.0 + 1.0) / 6)


def test_softmax_over_is_the_mean_of_a_literal_softmax_and_nothing_costs_nothing() -> None:
    states, vectors = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 0.0], [0.0, 3.0], [2.0, -1.0]])
    scores = states @ vectors.T
    expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[[0, 1], [2, 1]])
    found = losses.softmax_over(torch.tensor(states), torch.tensor(vectors), torch.tensor([2, 1]))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    nobody = torch.zeros(0, 2, requires_grad=True)
    loss = losses.softmax_over(nobody, torch.tensor(vectors), torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0.0


@pytest.mark.parametrize("block", [1, 8, 1000])
def test_what_is_left_out_is_no_choice_and_is_not_taught(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.BLOCK, "cpu", block)
    numbers = torch.Generator().manual_seed(0)
    states, vectors = (torch.randn(rows, 3, generator=numbers).requires_grad_() for rows in (3, 5))
    targets, left_out = torch.tensor([4, 0, 2]), torch.tensor([[1, 1], [2, 3], [0, 0]])
    scores = (states @ vectors.T).scatter(1, left_out, -torch.inf)
    expected = -scores.log_softmax(dim=1)[torch.arange(3), targets].mean()
    wanted = torch.autograd.grad(expected, (states, vectors))
    loss = losses.softmax_over(states, vectors, targets, left_out)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, (states, vectors)), wanted)


@pytest.mark.parametrize("block", [1, 8, 1000])
def test_biases_are_added_to_the_scores_and_taught(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.BLOCK, "cpu", block)
    numbers = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=numbers).requires_grad_() for shape in ((4, 3), (5, 3), (5,))]
    targets, (states, vectors, biases) = torch.tensor([4, 0, 2, 2]), given
    expected = -(states @ vectors.T + biases).log_softmax(dim=1)[torch.arange(4), targets].mean()
    found = losses.softmax_over(states, vectors, targets, biases=biases)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, given), torch.autograd.grad(expected, given))


def test_a_target_far_below_the_best_has_a_finite_loss_and_the_full_gradient() -> None:
    """Its share of the softmax is too small for a float."""
    states = torch.tensor([[1.0]]).requires_grad_()
    loss = losses.softmax_over(states, torch.tensor([[500.0], [0.0], [-500.0]]), torch.tensor([2]))
    assert float(loss.detach()) == pytest.approx(1000.0)
    assert float(torch.autograd.grad(loss, states)[0]) == pytest.approx(1000.0)


def test_multinomial_is_a_sum_over_a_rows_films_and_a_mean_over_rows() -> None:
    logits = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    histories = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(log_softmax * histories).sum() / 2
    assert float(losses.multinomial(torch.tensor(logits), torch.tensor(histories))) == pytest.approx(expected, rel=1e-6)


def test_info_nce_compares_cosines_and_counts_rows_as_often_as_they_come() -> None:
    views, candidates = np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    cosines = np.array([[1.0, 0.0, -1.0], [0.5**0.5, 0.5**0.5, -(0.5**0.5)]]) / 0.2
    each = np.log(np.exp(cosines).sum(axis=1)) - cosines[[0, 1], [0, 1]]
    own, counts = torch.tensor([0, 1]), torch.tensor([3, 1])
    found = losses.info_nce(torch.tensor(views), torch.tensor(candidates), own, counts, 0.2)
    assert float(found) == pytest.approx((3 * each[0] + each[1]) / 4, rel=1e-6)


@pytest.mark.parametrize("block", [1, 12, 1000])
def test_info_nce_has_the_gradient_of_its_literal_form_in_blocks_of_any_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(losses.BLOCK, "cpu", block)
    numbers = torch.Generator().manual_seed(0)
    views, candidates = (torch.randn(rows, 3, generator=numbers, dtype=torch.float64) for rows in (5, 6))
    own, counts = torch.tensor([2, 0, 5, 2, 1]), torch.tensor([1, 2, 1, 4, 1])
    literal, found = ([side.detach().to(kind).requires_grad_() for side in (views, candidates)]
                      for kind in (torch.float64, torch.float32))  # fmt: skip
    cosines = torch.stack([torch.stack([(v @ c) / (v.norm() * c.norm()) for c in literal[1]]) for v in literal[0]])
    each = (cosines / 0.2).exp().sum(dim=1).log() - cosines[torch.arange(5), own] / 0.2
    expected = 3.0 * (each * counts).sum() / 9
    expected.backward()
    loss = 3.0 * losses.info_nce(*found, own, counts, 0.2)
    loss.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(found, literal, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7])
def test_equal_scores_cost_ln_of_the_number_of_choices(size: int) -> None:
    assert float(losses.bpr(torch.zeros(size), torch.zeros(size, 3))) == pytest.approx(math.log(2))
    assert float(losses.watched_first(torch.zeros(size, 3))) == pytest.approx(math.log(2))
    same = torch.ones(size, 2)
    targets = torch.zeros(size, dtype=torch.int64)
    assert float(losses.info_nce(same, same, targets, targets + 1, 0.5)) == pytest.approx(math.log(size))
    assert float(losses.softmax_over(same, torch.ones(5, 2), targets)) == pytest.approx(math.log(5))


def test_half_precision_scores_are_lost_in_single_precision() -> None:
    half = torch.zeros(2, 3, dtype=torch.bfloat16)
    for loss in (losses.bpr(half[:, 0], half[:, 1:]), losses.watched_first(half), losses.watched_squared(half)):
        assert loss.dtype == torch.float32
