"""SASRec: causal self-attention over the latest films ranks the next one.

Kang and McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018); the loss gBCE: Petrov and Macdonald, "gSASRec:
Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling" (RecSys 2023).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import Cost, Shape
from recpipe.training.windows import NextFilmLearner, NextFilmRecipe, earlier_and_real


class Sasrec(NextFilmRecipe):
    """Kang and McAuley 2018. x = e(film) √d + p(position), then `layers` blocks, then score(i) = LayerNorm(x_t) · e(i):

        x ← x + dropout(Attention(LayerNorm(x))),  x ← x + dropout(W₂ relu(W₁ LayerNorm(x))).

    A film attends to itself and to what came before it. The target at t is film_(t+1); the losses are those of
    `NextFilmRecipe`, the paper's is binary_cross_entropy, the default cross_entropy.

    Departures: training reads every window of a history, where the paper keeps the latest one; no dropout inside the
    attention; a drawn film that is in the window is left out instead of drawn again.
    """

    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=1, ge=1)

    def network(self, n_users: int, n_items: int) -> SasrecNetwork:
        """Untrained; the number of users plays no part."""
        return SasrecNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window twenty vectors a block and its attention weights.
        """
        size = self.embedding_size
        block = 20 * size + 3 * self.heads * self.max_length
        return self.cost_of_windows(shape, self.scored, self.layers * block, self.layers * 2e-9 * size**2)


class SasrecNetwork(NextFilmLearner):
    """positions: [max_length × size], the newest film's last."""

    recipe: Sasrec

    def __init__(self, n_items: int, recipe: Sasrec) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(recipe.max_length, size), std=0.02))
        self.blocks = nn.ModuleList(Block(size, recipe.heads, recipe.dropout) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size].

        length: at most max_length; the newest film has the last position whatever the length.
        """
        length = films.shape[1]
        states = self.dropout(self.items(films) * self.recipe.embedding_size**0.5 + self.positions[-length:])
        allowed = earlier_and_real(films != self.n_items)[:, None]
        for block in self.blocks:
            states = block(states, allowed)
        normal: Tensor = self.norm(states)
        return normal


class Block(nn.Module):
    """Attention, then two linear maps at each position, both added to what came in."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(
                f"sasrec: embedding_size {size} is not a multiple of heads {heads}; choose another of the two"
            )
        self.heads = heads
        self.norms = nn.ModuleList((nn.LayerNorm(size), nn.LayerNorm(size)))
        self.attention_in, self.attention_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed_forward = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, allowed: Tensor) -> Tensor:
        """states [rows × length × size], allowed [rows × 1 × length × length] → states of the same shape."""
        states = states + self.dropout(self._attended(self.norms[0](states), allowed))
        changed: Tensor = states + self.dropout(self.feed_forward(self.norms[1](states)))
        return changed

    def _attended(self, states: Tensor, allowed: Tensor) -> Tensor:
        rows, length, size = states.shape
        parts = self.attention_in(states).view(rows, length, 3, self.heads, size // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [rows × heads × length × size / heads]
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        joined: Tensor = self.attention_out(attended.transpose(1, 2).reshape(rows, length, size))
        return joined
