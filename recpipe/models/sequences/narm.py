"""NARM: a recurrent network whose last state looks back at all of its states.

Li, Ren, Chen, Ren, Lian and Ma, "Neural Attentive Session-based Recommendation" (CIKM 2017).
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.training.additive_attention import additive_scores
from recpipe.training.dropout import Dropout
from recpipe.training.recurrence import recurrent
from recpipe.training.windows import (
    EVERY,
    LATEST,
    NextFilmLearner,
    NextFilmRecipe,
    earlier_and_real,
    film_vectors,
    from_the_first_film,
)


@final
class Narm(NextFilmRecipe):
    """Li et al. 2017. h_t = GRU(e(film_t), h_(t-1)), then a look at what came before:

        α_tj = v · σ(A₁ h_t + A₂ h_j),  c_t = [h_t ; Σ_(j ≤ t) α_tj h_j],  score(i) = e(i) · B c_t.

    The target at t is film_(t+1); the losses are those of `NextFilmRecipe`, the paper's is cross_entropy. The states of
    a window are computed once and serve all of its targets.

    dropout: of the films' vectors and of c, where the paper has 0.25 and 0.5. layers: of the GRU. embedding_size: of
    films and states, where the paper has 50 and 100.
    """

    layers: int = Field(default=1, ge=1)

    def network(self, n_users: int, n_items: int) -> NarmNetwork:
        """Untrained; the number of users plays no part."""
        return NarmNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window the states and gates of all layers and three numbers a position before.
        """
        size, length = self.embedding_size, self.max_length
        seconds = self.layers * 3e-9 * size**2 + 4e-9 * length * size
        return self.cost_of_windows(shape, self.scored, size * (14 + 10 * self.layers) + 3 * length, seconds)


class NarmNetwork(NextFilmLearner):
    """asking, asked: A₁ and A₂. direction: v. joining: B."""

    def __init__(self, n_items: int, recipe: Narm) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.gru = nn.GRU(size, size, recipe.layers, batch_first=True)
        self.asking, self.asked = (nn.Linear(size, size, bias=False) for _ in range(2))
        self.direction = nn.Parameter(torch.randn(size) * size**-0.5)
        self.joining = nn.Linear(2 * size, size, bias=False)
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor, at: slice = EVERY) -> Tensor:
        """films int64 [rows × length], padded on the left → B c after the films `at` which it is wanted, [rows ×
        length × size]."""
        states = from_the_first_film(
            films, self.n_items, lambda moved: recurrent(self.gru, self.dropout(self.items(moved)))
        )
        wanted = states[:, at]
        matters = additive_scores(self.asking(wanted), self.asked(states), self.direction, "sigmoid")
        seen = (matters * earlier_and_real(films != self.n_items)[:, at]) @ states
        joined: Tensor = self.joining(self.dropout(torch.cat((wanted, seen), dim=2)))
        return joined

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """One look back."""
        return self.states(films, at=LATEST)[:, 0]
