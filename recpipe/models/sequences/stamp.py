"""STAMP: the latest film and an attentive memory of all films of the window, without recurrence.

Liu, Zeng, Mokhosi and Zhang, "STAMP: Short-Term Attention/Memory Priority Model for Session-based Recommendation" (KDD
2018).
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.training.additive_attention import additive_scores
from recpipe.training.dropout import Dropout
from recpipe.training.windows import (
    EVERY,
    LATEST,
    NextFilmLearner,
    NextFilmRecipe,
    earlier_and_real,
    film_vectors,
)


@final
class Stamp(NextFilmRecipe):
    """Liu et al. 2018. x_j = e(film_j), s_t = the mean of x_1 … x_t:

        α_tj = w · σ(W₁ x_j + W₂ x_t + W₃ s_t + b),  m_t = Σ_(j ≤ t) α_tj x_j,
        score(i) = e(i) · (tanh(W₄ m_t + b₄) ⊙ tanh(W₅ x_t + b₅)).

    The target at t is film_(t+1); the losses are those of `NextFilmRecipe`, the paper's is cross_entropy. All targets
    of a window are computed at once. Of the films before the latest the order is not seen.

    Departures: the score enters the softmax as it is, where the paper squeezes it by σ first, so that no film could
    ever have e times the probability of another. dropout of the films' vectors is ours. Films start at N(0, 1 / size),
    where the paper has 0.002, with which the product of both sides is nearly nothing.
    """

    def network(self, n_users: int, n_items: int) -> StampNetwork:
        """Untrained; the number of users plays no part."""
        return StampNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window twenty-four vectors and three numbers a position before.
        """
        size, length = self.embedding_size, self.max_length
        seconds = 4e-9 * size**2 + 4e-9 * length * size
        return self.cost_of_windows(shape, self.scored, 24 * size + 3 * length, seconds)


class StampNetwork(NextFilmLearner):
    """asked: W₁. asking: [W₂ W₃], b. direction: w. of_memory, of_latest: W₄ and W₅ with their biases."""

    def __init__(self, n_items: int, recipe: Stamp) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.asked, self.asking = nn.Linear(size, size, bias=False), nn.Linear(2 * size, size)
        self.direction = nn.Parameter(torch.randn(size) * size**-0.5)
        self.of_memory, self.of_latest = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor, at: slice = EVERY) -> Tensor:
        """films int64 [rows × length], padded on the left → both sides' product after the films `at` which it is
        wanted, [rows × length × size]."""
        real = films != self.n_items
        vectors = self.dropout(self.items(films))
        means = vectors.cumsum(dim=1) / real.cumsum(dim=1).clamp(min=1)[:, :, None]
        latest = vectors[:, at]
        asking = self.asking(torch.cat((latest, means[:, at]), dim=2))
        matters = additive_scores(asking, self.asked(vectors), self.direction, "sigmoid")
        memory = (matters * earlier_and_real(real)[:, at]) @ vectors
        return torch.tanh(self.of_memory(memory)) * torch.tanh(self.of_latest(latest))

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """One look at the memory."""
        return self.states(films, at=LATEST)[:, 0]
