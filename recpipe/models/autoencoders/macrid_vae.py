"""MacridVAE: a variational autoencoder with one code for each of several kinds of films.

Ma, Zhou, Cui, Yang and Zhu, "Learning Disentangled Representations for Recommendation" (NeurIPS 2019).
"""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, RANKED, Cost, Shape
from recpipe.training.autoencoding import Annealing, HistoryRecipe, dense, drawn
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.dropout import Dropout
from recpipe.training.loop import Learner
from recpipe.training.losses import multinomial


@final
class MacridVae(HistoryRecipe):
    """Ma et al. 2019. x is a user's binary history, hᵢ the vector of film i, mₖ one of K prototypes:

        cᵢ = softmaxₖ(cos(hᵢ, mₖ) / τ),  x'ₖ = dropout(x ⊙ c·ₖ / |x ⊙ c·ₖ|₂),
        zₖ ~ N(μₖ, σ0² diag σₖ²),  (μₖ', log σₖ²) = encoder(x'ₖ),  μₖ = μₖ' / |μₖ'|₂,
        π = softmaxᵢ(s),  sᵢ = ln Σₖ cᵢₖ exp(cos(hᵢ, zₖ) / τ),
        loss = −Σᵢ xᵢ log πᵢ + β Σₖ KL(N(μₖ, σ0² σₖ²) ‖ N(0, σ0²)), a mean per user, never negative;
        score = s at zₖ = μₖ, without dropout.

    The encoder is one for all kinds, with tanh between its layers. μₖ has length one, so its share of the KL,
    1 / (2 σ0²), is constant and left out of the loss, as in the authors' code. For the same reason a small KL is no
    sign of a collapse here, and none is reported; a collapse shows in equal lists. β grows from 0 to `alpha` over
    `annealing_steps` steps. Users are known by their films alone, so people unseen at training are served as well.

    assignment: "drawn" adds Gumbel noise to the logits of c while training (Gumbel-softmax of temperature 1, one draw a
    batch, as in the authors' code), "soft" does not. embedding_size: of h, m and z. layers: widths of the encoder's
    hidden layers. dropout: of the input. temperature: τ. deviation: σ0.

    Departures: AdamW in place of Adam with a penalty on squares; all kinds at once, as one more axis, instead of one
    after the other.
    """

    batch_size: int = Field(default=100, ge=1)
    embedding_size: int = Field(default=100, ge=1)
    prototypes: int = Field(default=7, ge=1)
    assignment: Literal["drawn", "soft"] = "drawn"
    layers: tuple[int, ...] = (100,)
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    temperature: float = Field(default=0.1, gt=0.0)
    deviation: float = Field(default=0.075, gt=0.0)
    alpha: float = Field(default=0.2, ge=0.0)
    annealing_steps: int = Field(default=200_000, ge=0)

    def network(self, n_users: int, n_items: int) -> MacridVaeNetwork:
        """Untrained; the number of users plays no part."""
        return MacridVaeNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """Vectors of films and the encoder; a step has ten, scoring three rows of all films a user and kind."""
        parameters = self.parameter_count(shape)
        rows = min(self.batch_size, shape.n_users)
        step = FLOAT * rows * self.prototypes * 10 * (shape.n_items + self.embedding_size)
        scoring = ranking(shape, 5) + 3 * FLOAT * RANKED * self.prototypes * shape.n_items
        seconds = shape.n_users * self.prototypes * (1.2e-10 * parameters + 2e-8 * shape.n_items)
        seconds += shape.n_users / max(1, rows) * 1e-9 * parameters
        return learned(parameters, step, scoring, users_stream(shape), seconds)


class MacridVaeNetwork(Learner):
    """h [n_items × embedding], m [kinds × embedding], encoder n_items → layers → (μ', log σ²)."""

    def __init__(self, n_items: int, recipe: MacridVae) -> None:
        super().__init__()
        self.recipe = recipe
        self.dropout = Dropout(recipe.dropout)
        self.encoder = dense((n_items, *recipe.layers, 2 * recipe.embedding_size))
        # a history all of whose films were dropped has the biases as its mean, which needs a direction
        nn.init.normal_(list(self.encoder.parameters())[-1], std=0.1 / recipe.embedding_size**0.5)
        self.items = nn.Parameter(torch.empty(n_items, recipe.embedding_size))
        self.prototypes = nn.Parameter(torch.empty(recipe.prototypes, recipe.embedding_size))
        for vectors in (self.items, self.prototypes):
            nn.init.xavier_normal_(vectors)
        self.annealing = Annealing(recipe.alpha, recipe.annealing_steps)

    def log_assignment(self) -> Tensor:
        """ln c, [kinds × n_items]; drawn while training where the recipe says so."""
        logits = _directions(self.prototypes) @ _directions(self.items).T / self.recipe.temperature
        if self.training and self.recipe.assignment == "drawn":
            logits = logits - torch.empty_like(logits).exponential_().log()
        return functional.log_softmax(logits.float(), dim=0)

    def encode(self, history: Tensor, log_assignment: Tensor) -> tuple[Tensor, Tensor]:
        """history [rows × n_items], binary → μ of length one and log σ², each [rows × kinds × embedding]."""
        parts = _directions(history[:, None, :] * log_assignment.exp())
        mean, log_variance = self.encoder(self.dropout(parts)).chunk(2, dim=-1)
        return _directions(mean), log_variance

    def decode(self, codes: Tensor, log_assignment: Tensor) -> Tensor:
        """codes [rows × kinds × embedding] → logits [rows × n_items]."""
        likeness = _directions(codes) @ _directions(self.items).T / self.recipe.temperature
        return (likeness.float() + log_assignment).logsumexp(dim=1)

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → logits [rows × n_items]; a row of zeros is served too."""
        log_assignment = self.log_assignment()
        mean, _ = self.encode(history, log_assignment)
        return self.decode(mean, log_assignment)

    def loss(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users are not used → a mean per row. Each call is one step of β."""
        log_assignment = self.log_assignment()
        mean, log_variance = self.encode(history, log_assignment)
        codes = drawn(mean, log_variance + 2 * math.log(self.recipe.deviation))
        kl = 0.5 * (log_variance.exp() - 1 - log_variance).sum(dim=(1, 2)).mean()
        return multinomial(self.decode(codes, log_assignment), history) + self.annealing.step() * kl


def _directions(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1)
