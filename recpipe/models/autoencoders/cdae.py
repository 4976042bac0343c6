"""CDAE: a denoising autoencoder over a user's films with a node for the user.

Wu, DuBois, Zheng and Ester, "Collaborative Denoising Auto-Encoders for Top-N Recommender Systems" (WSDM 2016).
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.training.autoencoding import HistoryRecipe, linear
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.history_product import FromHistories
from recpipe.training.loop import Learner


@final
class Cdae(HistoryRecipe):
    """Wu et al. 2016. x is the binary history of user u, x' = dropout(x), kept films scaled by 1 / (1 − dropout):

        z = h(Wᵀ x' + V[u] + b),  s = W'ᵀ z + b',
        loss = Σ over i watched and i in S of l(xᵢ, sᵢ), a mean per user, never negative;  score = s, without dropout.

    h: `activation`, "identity" or "sigmoid". l: `loss`, "logistic" −[x ln σ(s) + (1 − x) ln(1 − σ(s))], or "squared"
    (x − s)²; the paper's four variants are the pairs of both. S is drawn anew in each step among the films not watched,
    `negatives` times as many as were watched, on average.

    V[u] is zero at first, and stays zero for whoever training has not seen: the scores are then those of the films
    alone, so newcomers are served. Departures: every film not watched is in S with the same probability by itself,
    where the paper draws a number of them; V starts at zero instead of at random; AdamW's decoupled decay (V, W, W')
    for the paper's squared penalty and AdaGrad.

    embedding_size: of z. dropout: of the input.
    """

    embedding_size: int = Field(default=50, ge=1)
    activation: Literal["identity", "sigmoid"] = "identity"
    loss: Literal["logistic", "squared"] = "logistic"
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    negatives: int = Field(default=5, ge=1)
    batch_size: int = Field(default=64, ge=1)

    def network(self, n_users: int, n_items: int) -> CdaeNetwork:
        """Untrained."""
        return CdaeNetwork(n_users, n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and two a film; in a step, fourteen rows of all films a user."""
        parameters = self.parameter_count(shape)
        rows = min(self.batch_size, shape.n_users)
        step = FLOAT * rows * 14 * shape.n_items
        of_films = 2 * shape.n_items * self.embedding_size
        seconds = shape.n_users * (1.2e-10 * of_films + 2e-8 * shape.n_items)
        seconds += shape.n_users / max(1, rows) * 1e-9 * parameters
        return learned(parameters, step, ranking(shape, 5), users_stream(shape), seconds)


class CdaeNetwork(Learner):
    """W [n_items × embedding] with b, W' likewise, V [n_users + 1 × embedding], whose last row stays zero: nobody's."""

    knows_users: ClassVar[bool] = True

    def __init__(self, n_users: int, n_items: int, recipe: Cdae) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = FromHistories(n_items, recipe.embedding_size, recipe.dropout)
        self.decoder = linear(recipe.embedding_size, n_items)
        self.users = nn.Embedding(n_users + 1, recipe.embedding_size)
        nn.init.zeros_(self.users.weight)

    def scores(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users int64 [rows], -1 for whoever is not known → [rows × n_items]."""
        known_or_last = users % self.users.num_embeddings
        code = self.encoder(history) + self.users(known_or_last)
        scores: Tensor = self.decoder(torch.sigmoid(code) if self.recipe.activation == "sigmoid" else code)
        return scores

    def loss(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users int64 [rows] → a mean per row over the films that are asked for."""
        asked = torch.rand_like(history) < torch.where(history > 0, 1.0, self.share_asked(history))
        each = functional.mse_loss if self.recipe.loss == "squared" else functional.binary_cross_entropy_with_logits
        losses = each(self.scores(history, users).float(), history, reduction="none")
        return (losses * asked).sum() / len(history)

    def share_asked(self, history: Tensor) -> Tensor:
        """The probability with which a film not watched is asked for, by row: [rows × 1]."""
        n_watched = history.sum(dim=1, keepdim=True)
        return self.recipe.negatives * n_watched / (history.shape[1] - n_watched).clamp(min=1)
