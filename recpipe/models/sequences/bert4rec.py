"""BERT4Rec: films hidden in a window are found from what stands on both sides of them.

Sun, Liu, Wu, Pei, Lin, Ou and Jiang, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations
from Transformer" (CIKM 2019).
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import Cost, Shape
from recpipe.training.attention import Block
from recpipe.training.dropout import Dropout
from recpipe.training.losses import softmax_over
from recpipe.training.windows import WindowLearner, WindowRecipe, film_vectors


@final
class Bert4rec(WindowRecipe):
    """Sun et al. 2019. x = dropout(e(film) + p(position)), e that of a mask where a film is hidden;
    `layers` blocks in which everybody sees the whole window; y and score(i) = y · e(i) + b_i of what is hidden:

        x ← LayerNorm(x + dropout(Attention(x))),  x ← LayerNorm(x + dropout(W₂ gelu(W₁ x))),  W₁: d → 4d,
        y = LayerNorm(gelu(W x)),  loss = mean of -ln softmax(score)[film] over the films that are hidden.

    While learning, each film is hidden with `mask_probability`, at least one a window; in a share `last_share` of the
    windows the last film alone, as where scores are asked for: there a mask follows the latest `max_length` films.

    Departures. The mask takes no film's place, so windows and positions are max_length + 1. Training reads every window
    of a history, where the paper keeps its latest films: there is more to learn from. Each film is drawn by itself and
    not a fixed number a window: it takes no sorting. Windows with the last film hidden take the place of others, where
    the paper adds them: an epoch stays as long. The mean is over a batch's hidden films and not first over each
    window's: all weigh the same. LayerNorm in y is BERT's and not in the paper's formula. Vectors start as N(0, 1/d) in
    place of 0.02²: with those, short chains of films were not learned at all in the same time (recall 0.12 and not
    0.73). No dropout inside the attention, and the learning rate is constant: both as in the house's others.

    dropout: also of the sum of both vectors.
    """

    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    mask_probability: float = Field(default=0.2, gt=0.0, lt=1.0)
    last_share: float = Field(default=0.1, ge=0.0, le=1.0)

    def network(self, n_users: int, n_items: int) -> Bert4recNetwork:
        """Untrained; the number of users plays no part."""
        return Bert4recNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step a block of the scores of all films,
        and for each position of a window thirty vectors a block and its attention weights.
        """
        size = self.embedding_size
        position = self.layers * (30 * size + 3 * self.heads * self.max_length)
        return self.cost_of_windows(shape, None, position, self.layers * 3e-9 * size**2, self.mask_probability)


class Bert4recNetwork(WindowLearner):
    """mask: [size], the vector of what is hidden. positions: [max_length + 1 × size], the newest film's last."""

    def __init__(self, n_items: int, recipe: Bert4rec) -> None:
        super().__init__()
        self.recipe, size = recipe, recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.mask = nn.Parameter(nn.init.normal_(torch.empty(size), std=size**-0.5))
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(recipe.max_length + 1, size), std=size**-0.5))
        self.blocks = nn.ModuleList(
            Block(size, recipe.heads, recipe.dropout, 4 * size, (nn.GELU(),), "after") for _ in range(recipe.layers)
        )
        self.output = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        self.biases = nn.Parameter(torch.zeros(n_items))
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → what ranks the film after the last one [rows × 1 × size].

        Not after each: every place for a mask is a pass of its own. length: at most max_length.
        """
        followed = functional.pad(films, (0, 1), value=self.padding)
        hidden = torch.zeros_like(followed, dtype=torch.bool)
        hidden[:, -1] = True
        return self.states_of_hidden(followed, hidden)[:, None]

    def states_of_hidden(self, films: Tensor, hidden: Tensor) -> Tensor:
        """films int64, hidden bool [rows × length], length at most max_length + 1 → y [n_hidden × size], row by row.

        What is hidden is not looked up, and stands for a film even where `films` has padding.
        """
        vectors = torch.where(hidden[:, :, None], self.mask, self.items(films))
        states = self.dropout(vectors + self.positions[-films.shape[1] :])
        real = (films.ne(self.padding) | hidden)[:, None, None]
        *earlier, last = self.blocks
        for block in earlier:
            states = block(states, real)
        found: Tensor = self.output(last(states, real, hidden))
        return found

    def scores(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length] → [rows × n_items]."""
        return super().scores(films) + self.biases

    def loss(self, films: Tensor, targets: Tensor, *users: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per hidden film of the joined window."""
        whole = torch.cat((films, targets[:, -1:]), dim=1)
        hidden, whole = self.without_empty_columns(self.drawn(whole), whole)
        return self.loss_at(self.states_of_hidden(whole, hidden), whole[hidden])

    def drawn(self, films: Tensor) -> Tensor:
        """films int64 [rows × length] → which to hide, bool of the same shape; never padding.

        One number for each place and one for each row, also where there is padding: a batch in parts draws the same.
        """
        rows, length = films.shape
        numbers = torch.rand(rows, length + 1, device=films.device)
        places, of_row = numbers[:, :-1], numbers[:, -1:]
        real = films != self.padding
        lowest = places.masked_fill(~real, 1.0).amin(dim=1, keepdim=True)
        scattered = (places < self.recipe.mask_probability) | (places == lowest)
        last = torch.arange(length, device=films.device) == length - 1
        return torch.where(of_row < self.recipe.last_share, last, scattered) & real

    def loss_at(self, states: Tensor, found: Tensor) -> Tensor:
        """states [targets × size], found int64 [targets], the hidden films → mean per target."""
        return softmax_over(states, self.items.weight[:-1], found, biases=self.biases)
