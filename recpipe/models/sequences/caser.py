"""Caser: the latest few films as an image, read by horizontal and vertical filters, beside the user's own taste.

Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding" (WSDM 2018).
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.training.dropout import Dropout
from recpipe.training.windows import (
    NextFilmLearner,
    NextFilmRecipe,
    convolved,
    film_vectors,
    zeros_without_a_window,
)


@final
class Caser(NextFilmRecipe):
    """Tang and Wang 2018. E_t are the vectors of the latest `order` films, a row each, zeros before the first:

        horizontal, `filters` of every height h up to order: the maximum over places of relu(F · h rows of E_t + b),
        vertical, each of `vertical_filters`: a weighted sum of the rows of E_t,
        z_t = relu(W [both] + b),  score(i) = w(i) · [z_t ; p(user)] + b(i).

    The target at t is film_(t+1). Every height is one convolution over the whole window, whose largest value among the
    latest order - h + 1 places is that of E_t: no image is ever copied, and one row teaches all targets of its window.

    Departures: the losses are those of `NextFilmRecipe`, cross_entropy by default, where the paper has binary
    cross-entropy with three drawn films; the target is the next film, not the next three. Somebody unknown has a user's
    vector of zeros, and so has who watched one film, which no target follows.
    """

    order: int = Field(default=5, ge=1)
    filters: int = Field(default=16, ge=1)
    vertical_filters: int = Field(default=4, ge=1)

    def network(self, n_users: int, n_items: int) -> CaserNetwork:
        """Untrained."""
        return CaserNetwork(n_users, n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user, three a film, and their gradients; in a step the scores that a target is compared with, and
        for each position of a window the rows that every height reads, and what the filters make of them.
        """
        size, order = self.embedding_size, self.order
        read = order * (order + 1) // 2 * size
        made = self.vertical_filters * size + 3 * order * self.filters
        position = 2 * read + 3 * made + 8 * size
        seconds = 6e-10 * (read * self.filters + made * size) + 2e-9 * read
        return self.cost_of_windows(shape, self.scored, position + 2 * size, seconds)


class CaserNetwork(NextFilmLearner):
    """users: [n_users + 1 × size], the last row zeros, of somebody unknown. outputs: w, b, [n_items × 2 size + 1]."""

    knows_users: ClassVar[bool] = True
    recipe: Caser

    def __init__(self, n_users: int, n_items: int, recipe: Caser) -> None:
        super().__init__(n_items, recipe)
        size, order, filters = recipe.embedding_size, recipe.order, recipe.filters
        self.items = film_vectors(n_items, size, size**-0.5)
        self.users = film_vectors(n_users, size, size**-0.5)
        self.horizontal = nn.ParameterList(
            torch.randn(height, size, filters) * (2 / (height * size)) ** 0.5 for height in range(1, order + 1)
        )
        self.biases = nn.Parameter(torch.zeros(order, filters))
        self.vertical = nn.Parameter(torch.randn(order, recipe.vertical_filters) * order**-0.5)
        self.joining = nn.Linear(order * filters + recipe.vertical_filters * size, size)
        self.outputs = nn.Parameter(torch.randn(n_items, 2 * size + 1) * size**-0.5)
        with torch.no_grad():
            self.outputs[:, -1] = 0.0
        self.dropout = Dropout(recipe.dropout)

    def prepare(self, train: TrainingSet) -> None:
        """A vector of zeros where nothing is learned of a user."""
        zeros_without_a_window(self.users, train)

    def vectors(self) -> Tensor:
        """[n_items × 2 size + 1]."""
        return self.outputs

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], users int64 [rows] → [z ; p ; 1] of each film, [rows × length × 2 size + 1]."""
        length, order = films.shape[1], self.recipe.order
        rows = functional.pad(self.items(films), (0, 0, order - 1, 0))  # [rows × order - 1 + length × size]
        found = []
        for height, (kernel, bias) in enumerate(zip(self.horizontal, self.biases, strict=True), start=1):
            reached = torch.relu(convolved(rows, kernel)[:, height - 1 :] + bias).transpose(1, 2)
            found.append(functional.max_pool1d(reached, order - height + 1, stride=1).transpose(1, 2))
        images = rows.unfold(1, order, 1)  # [rows × length × size × order], without a copy
        found.append((images @ self.vertical).flatten(2))
        joined = torch.relu(self.joining(self.dropout(torch.cat(found, dim=2))))
        of_user = self.users(users[0])[:, None].expand(-1, length, -1)
        return torch.cat((joined, of_user, torch.ones_like(joined[..., :1])), dim=2)

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """From the latest `order` films."""
        return self.states(films[:, -self.recipe.order :], *users)[:, -1]
