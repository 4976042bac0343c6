"""Attention and two linear maps at each position: the block of the models that look at a whole window at once."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from recpipe.training.dropout import Dropout

Normed: TypeAlias = Literal["before", "after"]


class Block(nn.Module):
    """Vaswani et al. 2017. With A the attention of `heads` heads and F(x) = W₂ between(W₁ x + b₁) + b₂:

        normed before   x ← x + dropout(A(LayerNorm(x))),  x ← x + dropout(F(LayerNorm(x)))
        normed after    x ← LayerNorm(x + dropout(A(x))),  x ← LayerNorm(x + dropout(F(x)))

    width: of what stands between W₁ and W₂; as wide as the states where None. between: what is applied to it, in this
    order; relu and dropout where None. No dropout inside the attention.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        dropout: float,
        width: int | None = None,
        between: tuple[nn.Module, ...] | None = None,
        normed: Normed = "before",
    ) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(
                f"attention: embedding_size {size} is not a multiple of heads {heads}; choose another of the two"
            )
        width = size if width is None else width
        between = (nn.ReLU(), Dropout(dropout)) if between is None else between
        self.heads, self.normed = heads, normed
        self.norms = nn.ModuleList((nn.LayerNorm(size), nn.LayerNorm(size)))
        self.attention_in, self.attention_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed_forward = nn.Sequential(nn.Linear(size, width), *between, nn.Linear(width, size))
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, allowed: Tensor, wanted: Tensor | None = None) -> Tensor:
        """states [rows × length × size] → states of the same shape, or those at `wanted` alone [n_wanted × size].

        allowed: bool, who looks at whom, of a shape that broadcasts to [rows × heads × length × length]; who may look
        at nothing gets zeros. wanted: bool [rows × length]; elsewhere nothing is computed that nobody looks at.
        """
        before = self.norms[0](states) if self.normed == "before" else states
        states = states + self.dropout(self._attended(before, allowed))
        if wanted is not None:
            states = states[wanted]
        if self.normed == "before":
            changed: Tensor = states + self.dropout(self.feed_forward(self.norms[1](states)))
            return changed
        states = self.norms[0](states)
        changed = self.norms[1](states + self.dropout(self.feed_forward(states)))
        return changed

    def _attended(self, states: Tensor, allowed: Tensor) -> Tensor:
        rows, length, size = states.shape
        parts = self.attention_in(states).view(rows, length, 3, self.heads, size // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [rows × heads × length × size / heads]
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        joined: Tensor = self.attention_out(attended.transpose(1, 2).reshape(rows, length, size))
        return joined


class WindowEncoder(nn.Module):
    """Positions, so many blocks and a last LayerNorm. positions: [max_length × size], the newest film's last."""

    def __init__(self, size: int, layers: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(max_length, size), std=0.02))
        self.blocks = nn.ModuleList(Block(size, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(size)
        self.dropout = Dropout(dropout)

    def forward(self, vectors: Tensor, allowed: Tensor) -> Tensor:
        """vectors [rows × length × size], length at most max_length, allowed as for `Block` → states of that shape.

        The last column has the last position whatever the length.
        """
        size = vectors.shape[2]
        states = self.dropout(vectors * size**0.5 + self.positions[-vectors.shape[1] :])
        for block in self.blocks:
            states = block(states, allowed)
        normal: Tensor = self.norm(states)
        return normal
