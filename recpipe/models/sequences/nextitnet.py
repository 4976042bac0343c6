"""NextItNet: dilated causal convolutions over a window, stacked with shortcuts.

Yuan, Karatzoglou, Arapakis, Jose and He, "A Simple Convolutional Generative Network for Next Item Recommendation" (WSDM
2019).
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.training.dropout import Dropout
from recpipe.training.windows import NextFilmLearner, NextFilmRecipe, convolved


@final
class Nextitnet(NextFilmRecipe):
    """Yuan et al. 2019. x = e(film), then one block for each l of `dilations`, then score(i) = e(i) · x_t:

        y = relu(LayerNorm(conv_l(x))),  x ← x + relu(LayerNorm(conv_2l(y))),

    where conv_l(x)_t reads x_t, x_(t-l) … x_(t-(kernel_size-1)l): never a later film. The target at t is film_(t+1);
    the losses are those of `NextFilmRecipe`, the paper's is cross_entropy. One row teaches all targets of its window.

    Departures: what stands before the first film is zeros in every layer, so that the amount of padding does not
    matter; the films' vectors are those of the output too, where the paper has a matrix of its own; dropout, after the
    vectors and after each block, is ours.
    """

    dilations: tuple[PositiveInt, ...] = Field(default=(1, 4), min_length=1)
    kernel_size: int = Field(default=3, ge=1)

    def network(self, n_users: int, n_items: int) -> NextitnetNetwork:
        """Untrained; the number of users plays no part."""
        return NextitnetNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window twelve vectors a block and those that its two kernels read.
        """
        size, blocks = self.embedding_size, len(self.dilations)
        seconds = blocks * self.kernel_size * 2e-9 * size**2
        return self.cost_of_windows(shape, self.scored, size * (6 + blocks * (12 + 3 * self.kernel_size)), seconds)


class NextitnetNetwork(NextFilmLearner):
    """blocks: in the order of `dilations`."""

    recipe: Nextitnet

    def __init__(self, n_items: int, recipe: Nextitnet) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.blocks = nn.ModuleList(Block(size, recipe.kernel_size, dilation) for dilation in recipe.dilations)
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size]."""
        real = (films != self.n_items)[:, :, None]
        states: Tensor = self.dropout(self.items(films) * self.recipe.embedding_size**0.5)
        for block in self.blocks:
            states = self.dropout(block(states, real))
        return states

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """From the films that the convolutions reach, l and 2l apart."""
        reached = 1 + sum(3 * dilation * (self.recipe.kernel_size - 1) for dilation in self.recipe.dilations)
        return self.states(films[:, -reached:])[:, -1]


class Block(nn.Module):
    """kernels: [2 × kernel_size × size × size], the first with `dilation`, the second with twice as much."""

    def __init__(self, size: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.kernels = nn.Parameter(torch.randn(2, kernel_size, size, size) * (2 / (kernel_size * size)) ** 0.5)
        self.norms = nn.ModuleList((nn.LayerNorm(size), nn.LayerNorm(size)))

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """states [rows × length × size], real bool [rows × length × 1] → states of the same shape."""
        read = torch.relu(self.norms[0](convolved(states, self.kernels[0], self.dilation))) * real
        return states + torch.relu(self.norms[1](convolved(read, self.kernels[1], 2 * self.dilation))) * real
