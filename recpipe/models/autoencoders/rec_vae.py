"""RecVAE: MultiVAE with a prior that remembers, a deep encoder, and both halves trained in turn.

Shenbin, Alekseev, Tutubalina, Malykh and Nikolenko, "RecVAE: A New Variational Autoencoder for Top-N Recommendations
with Implicit Feedback" (WSDM 2020).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar, final

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.training.autoencoding import HistoryRecipe, drawn, kl_to_standard_normal, linear
from recpipe.training.batches import in_phases, user_batches
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.history_product import FromHistories
from recpipe.training.loop import Batches, Learner
from recpipe.training.losses import multinomial

ENCODER, DECODER = 0, 1
"""The phases of an epoch."""
PASSES = {ENCODER: 3, DECODER: 1}
"""Over all users, in one epoch: the paper's."""
STANDARD, OLD, WIDE = 3 / 20, 3 / 4, 1 / 10
"""Shares of the three parts of the prior: the authors'."""
WIDE_LOG_VARIANCE = 10.0


@final
class RecVae(HistoryRecipe):
    """Shenbin et al. 2020. x is a user's binary history, x' = dropout(x / |x|₂):

        z ~ q(z | x') = N(μ(x'), diag σ²(x')),  π = softmax(W z + b),
        loss = −Σᵢ xᵢ log πᵢ + α |x|₁ (log q(z | x') − log p(z | x)), at one z, a mean per user;
        p(z | x) = Πⱼ [3/20 N(zⱼ | 0, 1) + 3/4 N(zⱼ | μⱼ°(x), σⱼ°²(x)) + 1/10 N(zⱼ | 0, e¹⁰)];
        score = W μ(x / |x|₂) + b.

    ° is the encoder as it was at the end of its last training, without dropout. An epoch trains the encoder alone in
    three passes over all users, then the old encoder becomes a copy of it, and one pass trains the decoder alone, with
    no dropout. The encoder's hidden layers have one width: each is norm(swish(linear(layer before) + sum of all layers
    before)), the last is mapped to μ and log σ². The estimate of the KL, and so the loss, may be negative.

    Departures: the paper's formula mixes the densities of whole vectors; the authors' code, followed here, mixes each
    coordinate by itself and adds the wide part. The old encoder begins as a copy of the new one instead of a second
    random draw, which matters for the first three passes. One AdamW over both halves in place of two Adams: whichever
    half rests has no gradient and stays as it is. Biases start at 0.

    embedding_size: of z. layers: widths of the encoder's hidden layers, all equal. dropout: of the input while the
    encoder learns. alpha: the paper's γ, weight of the KL part for each film of a history.
    """

    batch_size: int = Field(default=500, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0.0)
    embedding_size: int = Field(default=200, ge=1)
    layers: tuple[PositiveInt, ...] = Field(default=(600, 600, 600, 600, 600), min_length=1)
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    alpha: float = Field(default=0.005, ge=0.0)

    @field_validator("layers")
    @classmethod
    def _of_one_width(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(layers)) > 1:
            raise ValueError(f"each layer is added to all that follow, so all must have one width; {layers} came")
        return layers

    def network(self, n_users: int, n_items: int) -> RecVaeNetwork:
        """Untrained; the number of users plays no part."""
        return RecVaeNetwork(n_items, self)

    def batches(self, train: TrainingSet) -> Batches:
        """Each example is one user with a training event in one pass: four times a user an epoch."""
        return in_phases(user_batches(train.interactions, self.batch_size), *PASSES.values())

    def cost(self, shape: Shape) -> Cost:
        """An encoder, a decoder, and the old encoder at half, for it has neither gradient nor moments; in a step, ten
        rows of all films and of all layers a user.
        """
        decoder = (self.embedding_size + 1) * shape.n_items
        parameters = decoder + (self.parameter_count(shape) - decoder) * 3 // 4
        rows = min(self.batch_size, shape.n_users)
        step = FLOAT * rows * 10 * (shape.n_items + sum(self.layers))
        passed = sum(PASSES.values()) * shape.n_users
        seconds = passed * 7e-11 * parameters + passed / max(1, rows) * 1e-9 * parameters
        return learned(parameters, step, ranking(shape, 5), users_stream(shape), seconds)


class RecVaeNetwork(Learner):
    """Encoder n_items → layers → (μ, log σ²), the old encoder, decoder z → n_items.

    kl: KL(q ‖ N(0, 1)) of the last batch, a mean per row: to one normal for all, not to the prior, which follows q.
    """

    reported: ClassVar[tuple[str, ...]] = ("kl",)
    kl: Tensor
    phase: Tensor

    def __init__(self, n_items: int, recipe: RecVae) -> None:
        super().__init__()
        self.alpha, self.dropout = recipe.alpha, recipe.dropout
        self.encoder = Encoder(n_items, recipe.layers, recipe.embedding_size)
        self.decoder = linear(recipe.embedding_size, n_items)
        self.old = Encoder(n_items, recipe.layers, recipe.embedding_size).requires_grad_(False)
        self.remember()
        self.register_buffer("kl", torch.zeros(()))
        self.register_buffer("phase", torch.tensor(ENCODER))

    def remember(self) -> None:
        """The old encoder becomes what the encoder is now."""
        self.old.load_state_dict(self.encoder.state_dict())

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → logits [rows × n_items]; a row of zeros is served too."""
        mean, _ = self.encoder(functional.normalize(history, dim=1))
        logits: Tensor = self.decoder(mean)
        return logits

    def loss(self, history: Tensor, users: Tensor, phase: Tensor) -> Tensor:
        """history [rows × n_items], binary; users are not used; phase 0-d → a mean per row, which may be negative.

        Gradients reach the half alone that learns in this phase. The decoder's first batch ends the encoder's training.
        """
        learns_encoder = bool(phase == ENCODER)
        if not learns_encoder and bool(self.phase == ENCODER):
            self.remember()
        self.phase.copy_(phase)
        inputs = functional.normalize(history, dim=1)
        with torch.set_grad_enabled(learns_encoder):
            mean, log_variance = self.encoder(inputs, self.dropout if learns_encoder else 0.0)
            sample = drawn(mean, log_variance)
            kl = log_normal(sample, mean, log_variance) - log_prior(sample, *self.old(inputs))
        self.kl.copy_(kl_to_standard_normal(mean.detach(), log_variance.detach()).mean())
        held = [weight.detach() if learns_encoder else weight for weight in (self.decoder.weight, self.decoder.bias)]
        costs = self.alpha * history.sum(dim=1) * kl.sum(dim=1)
        return multinomial(functional.linear(sample, *held), history) + costs.mean()


class Encoder(nn.Module):
    """hₖ = norm(swish(linear(hₖ₋₁) + h₁ + … + hₖ₋₁)), with h₀ the input, not added; (μ, log σ²) of the last."""

    def __init__(self, n_items: int, layers: tuple[int, ...], embedding_size: int) -> None:
        super().__init__()
        inner = [linear(*widths) for widths in pairwise(layers)]
        self.maps = nn.ModuleList([FromHistories(n_items, layers[0]), *inner])
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=0.1) for width in layers])  # the authors' eps
        self.code = linear(layers[-1], 2 * embedding_size)

    def forward(self, inputs: Tensor, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """[rows × n_items] of length one → μ and log σ², each [rows × embedding_size]. dropout: of the inputs."""
        mapped, total = self.maps[0](inputs, dropout), torch.zeros((), device=inputs.device)
        for norm, following in zip(self.norms, (*self.maps[1:], self.code), strict=True):
            hidden = norm(functional.silu(mapped + total))
            mapped, total = following(hidden), total + hidden
        mean, log_variance = mapped.chunk(2, dim=1)
        return mean, log_variance


def log_normal(values: Tensor, mean: Tensor | float, log_variance: Tensor) -> Tensor:
    """ln N(values | mean, exp(log_variance)) by coordinate."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (values - mean).square() * torch.exp(-log_variance))


def log_prior(values: Tensor, old_mean: Tensor, old_log_variance: Tensor) -> Tensor:
    """ln of the prior by coordinate: a standard normal, the old posterior and a wide normal, by their shares."""
    zero = torch.zeros_like(values)
    parts = (
        log_normal(values, 0.0, zero) + math.log(STANDARD),
        log_normal(values, old_mean, old_log_variance) + math.log(OLD),
        log_normal(values, 0.0, zero + WIDE_LOG_VARIANCE) + math.log(WIDE),
    )
    return torch.stack(parts).logsumexp(dim=0)
