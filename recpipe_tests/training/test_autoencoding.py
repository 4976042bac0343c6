"""What the autoencoders share, against torch's own distributions and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from recpipe.training.autoencoding import Annealing, dense, drawn, kl_to_standard_normal

MEAN, LOG_VARIANCE = torch.tensor([[0.0, 1.5], [-2.0, 0.1]]), torch.tensor([[0.0, -3.0], [1.0, 0.2]])


def test_the_kl_divergence_is_that_of_torch() -> None:
    expected = kl_divergence(Normal(MEAN, (0.5 * LOG_VARIANCE).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_standard_normal(MEAN, LOG_VARIANCE), expected)


def test_samples_have_the_mean_and_the_variance_asked_for_and_pass_gradients() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        samples = torch.stack([drawn(MEAN, LOG_VARIANCE) for _ in range(20_000)])
        mean = MEAN.clone().requires_grad_()
        (slope,) = torch.autograd.grad(drawn(mean, LOG_VARIANCE).sum(), mean)
    torch.testing.assert_close(samples.mean(dim=0), MEAN, atol=0.05, rtol=0)
    torch.testing.assert_close(samples.var(dim=0), LOG_VARIANCE.exp(), atol=0, rtol=0.05)
    assert torch.equal(slope, torch.ones_like(mean))


@pytest.mark.parametrize(
    ("n_steps", "expected"), [(4, [0.0, 0.05, 0.1, 0.15, 0.2, 0.2]), (1, [0.0, 0.2, 0.2]), (0, [0.2, 0.2])]
)
def test_the_weight_grows_to_the_largest_and_stays(n_steps: int, expected: list[float]) -> None:
    annealing = Annealing(0.2, n_steps)
    assert [float(annealing.step()) for _ in expected] == pytest.approx(expected)


def test_a_look_at_the_weight_is_no_step() -> None:
    annealing = Annealing(1.0, 2)
    annealing.step()
    assert annealing.weight() == annealing.weight() == annealing.step() == 0.5


def test_layers_have_the_activation_between_them_alone() -> None:
    assert [type(module) for module in dense((5, 4, 3, 5), nn.Sigmoid)] == [
        nn.Linear, nn.Sigmoid, nn.Linear, nn.Sigmoid, nn.Linear,
    ]  # fmt: skip
    assert [type(module) for module in dense((5, 3))] == [nn.Linear]
