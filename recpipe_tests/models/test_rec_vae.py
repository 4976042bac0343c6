"""RecVAE: the composite prior and the KL estimate against literal formulas, the two phases, and the old encoder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Normal

from recpipe.models.autoencoders.rec_vae import DECODER, ENCODER, Encoder, RecVae, RecVaeNetwork, log_normal, log_prior
from recpipe.recipe import Run
from recpipe.training.batches import in_phases, user_batches
from recpipe.training.loop import learn
from recpipe.training.settings import Schedule
from recpipe_tests import worlds

HISTORY = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]])
USERS = torch.arange(3)
IN_ENCODER, IN_DECODER = torch.tensor(ENCODER), torch.tensor(DECODER)


def network(**settings: Any) -> RecVaeNetwork:
    """An old encoder that differs from the new one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        settings = {"layers": (4, 4), "embedding_size": 2, "dropout": 0.0, "alpha": 0.3} | settings
        learner = RecVae(**settings).network(3, 5)
        for parameter in learner.old.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


def density(value: float, mean: float, variance: float) -> float:
    return math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def mixture(value: float, old_mean: float, old_variance: float) -> float:
    """The prior's density of one coordinate."""
    standard, old = density(value, 0.0, 1.0), density(value, old_mean, old_variance)
    return 0.15 * standard + 0.75 * old + 0.1 * density(value, 0.0, math.exp(10.0))


def test_the_prior_is_the_mixture_of_three_normals_by_coordinate() -> None:
    values, means = torch.tensor([[0.3, -2.0], [1.0, 8.0]]), torch.tensor([[0.0, -1.0], [1.5, 0.5]])
    log_variances = torch.tensor([[0.0, -2.0], [0.7, -1.0]])
    expected = [
        [math.log(mixture(*entry)) for entry in zip(*row, strict=True)]
        for row in zip(values.tolist(), means.tolist(), log_variances.exp().tolist(), strict=True)
    ]
    torch.testing.assert_close(log_prior(values, means, log_variances), torch.tensor(expected))


def test_the_prior_is_a_density() -> None:
    points = torch.linspace(-1200.0, 1200.0, 2_400_001, dtype=torch.float64)
    mean, log_variance = torch.tensor(0.7, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64)
    assert float(log_prior(points, mean, log_variance).exp().sum() * 1e-3) == pytest.approx(1.0, abs=1e-6)


def test_far_from_everything_the_prior_is_its_wide_part_and_finite() -> None:
    far = log_prior(torch.tensor([300.0]), torch.zeros(1), torch.zeros(1))
    assert float(far) == pytest.approx(math.log(0.1 * density(300.0, 0.0, math.exp(10.0))), rel=1e-5)


def test_a_normal_density_is_that_of_torch() -> None:
    values, mean, log_variance = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3)
    expected = Normal(mean, (0.5 * log_variance).exp()).log_prob(values)
    torch.testing.assert_close(log_normal(values, mean, log_variance), expected)


def literal_code(encoder: Encoder, row: torch.Tensor) -> torch.Tensor:
    """μ and log σ² of one user, layer by layer with every layer before added."""
    before: list[torch.Tensor] = []
    inputs = row / row.square().sum().sqrt()
    for each, norm in zip(encoder.maps, encoder.norms, strict=True):
        value = (each.weight @ before[-1] if before else inputs @ each.weight) + each.bias
        for hidden in before:
            value = value + hidden
        value = value / (1 + torch.exp(-value))
        deviation = (value.var(unbiased=False) + 0.1).sqrt()
        before.append((value - value.mean()) / deviation * norm.weight + norm.bias)
    return encoder.code.weight @ before[-1] + encoder.code.bias


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_every_layer_of_the_encoder_sees_all_layers_before_it(depth: int) -> None:
    encoder = network(layers=(4,) * depth).encoder
    mean, log_variance = encoder(torch.nn.functional.normalize(HISTORY, dim=1))
    expected = torch.stack([literal_code(encoder, row) for row in HISTORY])
    torch.testing.assert_close(torch.cat((mean, log_variance), dim=1), expected)


def literal_loss(learner: RecVaeNetwork, noise: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(())
    for row, drawn in zip(HISTORY, noise, strict=True):
        mean, log_variance = literal_code(learner.encoder, row).chunk(2)
        sample = mean + (0.5 * log_variance).exp() * drawn
        log_shares = torch.log_softmax(learner.decoder.weight @ sample + learner.decoder.bias, dim=0)
        old_mean, old_log_variance = literal_code(learner.old, row).chunk(2)
        kl = torch.zeros(())
        for j in range(2):
            posterior = Normal(mean[j], (0.5 * log_variance[j]).exp()).log_prob(sample[j])
            old = Normal(old_mean[j], (0.5 * old_log_variance[j]).exp()).log_prob(sample[j])
            standard, wide = Normal(0.0, 1.0).log_prob(sample[j]), Normal(0.0, math.exp(5.0)).log_prob(sample[j])
            kl = kl + posterior - torch.log(0.15 * standard.exp() + 0.75 * old.exp() + 0.1 * wide.exp())
        total = total - sum(log_shares[film] for film in row.nonzero()[:, 0]) + 0.3 * row.sum() * kl
    return total / 3


def test_the_loss_and_the_encoders_gradient_are_those_of_the_formula() -> None:
    learner = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        noise = torch.randn(3, 2)
        torch.manual_seed(5)
        loss = learner.loss(HISTORY, USERS, IN_ENCODER)
    torch.testing.assert_close(loss, literal_loss(learner, noise))
    parameters = list(learner.encoder.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(literal_loss(learner, noise), parameters)
    )


def test_a_longer_history_pays_more_for_the_same_kl() -> None:
    """The loss at alpha 1 less that at alpha 0 is |x| · KL: with one code for all it grows with the films."""
    extra = []
    for history in (HISTORY[2:], torch.ones(1, 5)):
        losses = []
        for alpha in (0.0, 1.0):
            learner = network(alpha=alpha)
            for each in (learner.encoder.maps[0], learner.old.maps[0]):
                torch.nn.init.zeros_(each.weight)  # nothing of the history is seen
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(5)
                losses.append(learner.loss(history, USERS[:1], IN_ENCODER).item())
        extra.append(losses[1] - losses[0])
    assert extra[1] == pytest.approx(5 * extra[0], rel=1e-4)


@pytest.mark.parametrize(("phase", "learns"), [(IN_ENCODER, "encoder"), (IN_DECODER, "decoder")])
def test_one_half_learns_in_each_phase_and_the_old_encoder_never(phase: torch.Tensor, learns: str) -> None:
    learner = network()
    names = [name for name, _ in learner.named_parameters()]
    loss = learner.loss(HISTORY, USERS, phase)
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    trainable = [name for name in names if not name.startswith("old")]
    with_gradient = {name for name, slope in zip(trainable, gradients, strict=True) if slope is not None}
    assert with_gradient == {name for name in names if name.startswith(learns)}


def test_the_input_is_dropped_while_the_encoder_learns_and_not_while_the_decoder_does() -> None:
    learner = network(dropout=0.9)
    losses = {}
    for phase in (IN_ENCODER, IN_DECODER):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            learner.loss(HISTORY, USERS, phase)
            losses[int(phase)] = learner.kl.clone()
    whole = network(dropout=0.0)
    whole.loss(HISTORY, USERS, IN_DECODER)
    torch.testing.assert_close(losses[DECODER], whole.kl)
    assert losses[ENCODER] != whole.kl


def test_the_old_encoder_is_the_encoder_as_it_was_when_the_decoders_turn_came() -> None:
    def same(learner: RecVaeNetwork) -> bool:
        pairs = zip(learner.encoder.parameters(), learner.old.parameters(), strict=True)
        return all(torch.equal(new, old) for new, old in pairs)

    learner = network()
    learner.loss(HISTORY, USERS, IN_ENCODER)
    assert not same(learner)
    learner.loss(HISTORY, USERS, IN_DECODER)
    assert same(learner)
    with torch.no_grad():
        learner.encoder.code.bias.add_(1.0)
    learner.loss(HISTORY, USERS, IN_ENCODER)
    learner.loss(HISTORY, USERS, IN_ENCODER)
    assert not same(learner)


def test_an_epoch_is_three_passes_for_the_encoder_then_one_for_the_decoder() -> None:
    interactions = worlds.general(n_users=20).train.interactions
    epoch = in_phases(user_batches(interactions, 8), 3, 1)(np.random.default_rng(0))
    phases = [int(batch[-1]) for batch in epoch]
    assert phases == [ENCODER] * 9 + [DECODER] * 3
    assert len(epoch) == 12
    users = torch.cat([users for _, users, _ in epoch]).reshape(4, 20)
    assert torch.equal(users.sort(dim=1).values, torch.arange(20).repeat(4, 1))
    assert not torch.equal(users[0], users[1])


def test_the_half_that_rests_does_not_even_decay() -> None:
    """With passes for the decoder alone the encoder keeps every bit, weight decay or not."""
    interactions = worlds.general(n_users=20).train.interactions
    learner = RecVae(layers=(4,), embedding_size=2).network(20, interactions.n_items)
    before = {name: tensor.clone() for name, tensor in learner.encoder.state_dict().items()}
    decoder = learner.decoder.weight.detach().clone()
    schedule = Schedule(epochs=2, learning_rate=0.1, weight_decay=0.5)
    learn(learner, in_phases(user_batches(interactions, 8), 0, 1), lambda network: network, schedule, Run(epochs=2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.encoder.state_dict().items())
    assert not torch.equal(learner.decoder.weight, decoder)


def test_layers_of_several_widths_are_refused_in_words() -> None:
    with pytest.raises(ValidationError, match="all must have one width"):
        RecVae(layers=(4, 5))


def test_a_row_without_films_is_served_and_scoring_draws_nothing() -> None:
    learner = network(dropout=0.5).eval()
    scores = learner.scores(torch.zeros(1, 5))
    assert scores.isfinite().all()
    assert torch.equal(scores, learner.scores(torch.zeros(1, 5)))
