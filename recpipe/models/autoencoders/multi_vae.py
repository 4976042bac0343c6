"""MultiVAE: a variational autoencoder with a multinomial likelihood over the whole history.

Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative Filtering" (WWW 2018).
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.training.autoencoding import Annealing, HistoryRecipe, dense, drawn, kl_to_standard_normal, reading
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.loop import Learner
from recpipe.training.losses import multinomial


@final
class MultiVae(HistoryRecipe):
    """Liang et al. 2018. x is a user's binary history, x' = dropout(x / |x|₂), the encoder has tanh between its layers:

        z ~ N(μ(x'), diag σ²(x')),  π = softmax(f(z)),
        loss = −Σᵢ xᵢ log πᵢ + β · KL(N(μ, σ²) ‖ N(0, 1)), a mean per user, never negative;
        score = f(μ(x / |x|₂)): the mean in place of a sample, and no dropout.

    β grows from 0 to `alpha` over `annealing_steps` steps of the optimiser and stays there. Users are
    known by their films alone, so people unseen at training are served as well. Departures: AdamW in place of Adam (the
    same where `weight_decay` is 0), and biases start at 0 instead of small random numbers.

    embedding_size: of z. layers: widths of the encoder's hidden layers, in reverse the decoder's; without any, both are
    linear. dropout: of the input. alpha: the largest β, to be tuned (the paper's best is 0.2).
    """

    batch_size: int = Field(default=500, ge=1)
    embedding_size: int = Field(default=200, ge=1)
    layers: tuple[int, ...] = (600,)
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    alpha: float = Field(default=0.2, ge=0.0)
    annealing_steps: int = Field(default=200_000, ge=0)

    def network(self, n_users: int, n_items: int) -> MultiVaeNetwork:
        """Untrained; the number of users plays no part."""
        return MultiVaeNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A weight for each film and unit of the outermost layers, twice; in a step, ten rows of all films a user."""
        parameters = self.parameter_count(shape)
        rows = min(self.batch_size, shape.n_users)
        step = FLOAT * rows * (10 * shape.n_items + 8 * sum(self.layers))
        seconds = shape.n_users * 7e-11 * parameters + shape.n_users / rows * 1e-9 * parameters
        return learned(parameters, step, ranking(shape, 5), users_stream(shape), seconds)


class MultiVaeNetwork(Learner):
    """Encoder n_items → layers → (μ, log σ²), decoder z → reversed layers → n_items.

    kl: KL(N(μ, σ²) ‖ N(0, 1)) of the last batch, a mean per row.
    """

    reported: ClassVar[tuple[str, ...]] = ("kl",)
    kl: Tensor

    def __init__(self, n_items: int, recipe: MultiVae) -> None:
        super().__init__()
        self.encoder = reading((n_items, *recipe.layers, 2 * recipe.embedding_size), recipe.dropout)
        self.decoder = dense((recipe.embedding_size, *recipe.layers[::-1], n_items))
        self.annealing = Annealing(recipe.alpha, recipe.annealing_steps)
        self.register_buffer("kl", torch.zeros(()))

    def encode(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """history [rows × n_items], binary → μ and log σ², each [rows × embedding_size]; zeros are served too."""
        mean, log_variance = self.encoder(functional.normalize(history, dim=1)).chunk(2, dim=1)
        return mean, log_variance

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → logits [rows × n_items]."""
        mean, _ = self.encode(history)
        logits: Tensor = self.decoder(mean)
        return logits

    def loss(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users are not used → the negative evidence bound, a mean per row.

        Each call is one step of β.
        """
        mean, log_variance = self.encode(history)
        kl = kl_to_standard_normal(mean, log_variance).mean()
        self.kl.copy_(kl.detach())
        return multinomial(self.decoder(drawn(mean, log_variance)), history) + self.annealing.step() * kl
