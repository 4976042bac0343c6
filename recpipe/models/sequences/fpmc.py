"""FPMC: a Markov chain of first order whose transitions are factorised, and each user's own taste.

Rendle, Freudenthaler and Schmidt-Thieme, "Factorizing Personalized Markov Chains for Next-Basket Recommendation" (WWW
2010).
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.training.dropout import Dropout
from recpipe.training.windows import NextFilmLearner, NextFilmRecipe, film_vectors, zeros_without_a_window


@final
class Fpmc(NextFilmRecipe):
    """Rendle et al. 2010, with baskets of one film. l is the latest film, i the one to be ranked:

        score(i) = p(user) · q(i) + m(l) · n(i).

    The target is the next film. The losses are those of `NextFilmRecipe`: sampled_softmax with one negative is the
    paper's -ln σ(w - n). dropout: of p and m.

    Departures: cross_entropy over all films by default; a drawn film serves all targets of a batch, where the paper
    draws one for each; somebody unknown has zeros for p, and so has who watched one film, which no target follows.
    max_length says how many targets make a row of a batch, and nothing else.
    """

    def network(self, n_users: int, n_items: int) -> FpmcNetwork:
        """Untrained."""
        return FpmcNetwork(n_users, n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and three a film, twice more of these as gradients of input and output; in a step the scores
        that a target is compared with, and six vectors a position."""
        size = self.embedding_size
        return self.cost_of_windows(shape, self.scored, 12 * size, 2e-9 * size)


class FpmcNetwork(NextFilmLearner):
    """users: p, [n_users + 1 × size], the last row zeros. items: m. outputs: q and n, [n_items × 2 size]."""

    knows_users: ClassVar[bool] = True

    def __init__(self, n_users: int, n_items: int, recipe: Fpmc) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.users = film_vectors(n_users, size, 0.1)
        self.items = film_vectors(n_items, size, 0.1)
        self.outputs = nn.Parameter(torch.randn(n_items, 2 * size) * 0.1)
        self.dropout = Dropout(recipe.dropout)

    def prepare(self, train: TrainingSet) -> None:
        """Zeros for p where nothing is learned of a user."""
        zeros_without_a_window(self.users, train)

    def vectors(self) -> Tensor:
        """[n_items × 2 size]."""
        return self.outputs

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], users int64 [rows] → [p ; m] after each film [rows × length × 2 size]."""
        of_users = self.users(users[0])[:, None].expand(-1, films.shape[1], -1)
        dropped: Tensor = self.dropout(torch.cat((of_users, self.items(films)), dim=2))
        return dropped
