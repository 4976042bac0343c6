"""SR-GNN: a session as a graph of its films, read by a gated network, then the last film's view of all of them.

Wu, Tang, Zhu, Wang, Xie and Tan, "Session-based Recommendation with Graph Neural Networks" (AAAI 2019).
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.training.additive_attention import additive_scores
from recpipe.training.dropout import Dropout
from recpipe.training.windows import EVERY, LATEST, NextFilmLearner, NextFilmRecipe, film_vectors, shifted


@final
class SrGnn(NextFilmRecipe):
    """Wu et al. 2019. The graph of film_1 … film_t has an edge from each film to the one after it; v are their vectors:

        a_i = [W_in (mean of v over the edges into i) + b_in ; W_out (mean over those out of i) + b_out],
        v'_i = GRUCell(a_i, v_i),  α_j = q · σ(W₁ v'_t + W₂ v'_j + c),  g = Σ_(j ≤ t) α_j v'_j,
        score(i) = v_i · W₃ [v'_t ; g].

    The target at t is film_(t+1), and each t has a graph of its own; the losses are those of `NextFilmRecipe`, the
    paper's is cross_entropy. From t to t + 1 one edge comes in, and it changes two nodes alone: the film that was the
    last now has an edge out of it, and the new last film one more edge into it. So two states for each position, as the
    last film and as one that was passed, are all the states that all graphs of a window have, and no graph is built.

    Departures: one step of the gated network, which is what the authors' code runs as well. dropout of the films'
    vectors is ours. A mean counts an edge as often as it is passed, as the paper says; the authors' code counts it
    once.
    """

    def network(self, n_users: int, n_items: int) -> SrGnnNetwork:
        """Untrained; the number of users plays no part."""
        return SrGnnNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window the gates of its two states and ten numbers a position before.
        """
        size, length = self.embedding_size, self.max_length
        seconds = 1.2e-8 * size**2 + 6e-9 * length * size
        return self.cost_of_windows(shape, self.scored, 50 * size + 10 * length, seconds)


class SrGnnNetwork(NextFilmLearner):
    """into, out_of: W_in and W_out. asking, asked: W₁ with c, and W₂. direction: q. joining: W₃."""

    def __init__(self, n_items: int, recipe: SrGnn) -> None:
        super().__init__(n_items, recipe)
        size = recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.into, self.out_of = nn.Linear(size, size), nn.Linear(size, size)
        self.cell = nn.GRUCell(2 * size, size)
        self.asking, self.asked = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        self.direction = nn.Parameter(torch.randn(size) * size**-0.5)
        self.joining = nn.Linear(2 * size, size, bias=False)
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor, at: slice = EVERY) -> Tensor:
        """films int64 [rows × length], padded on the left → W₃ [v' ; g] after the films `at` which it is wanted,
        [rows × length × size]."""
        vectors = self.dropout(self.items(films))
        same, alive, times = occurrences(films, self.n_items)
        real = (films != self.n_items).float()[:, :, None]
        previous = shifted(real, 1) * real
        following = torch.cat((real[:, 1:], torch.zeros_like(real[:, :1])), dim=1) * real
        into = self.into(_mean(same, shifted(vectors, 1), previous))
        after = torch.cat((vectors[:, 1:], torch.zeros_like(vectors[:, :1])), dim=1)
        itself = torch.eye(films.shape[1], device=films.device)
        earlier = (same - same * itself)[:, at]
        as_last = self._node(into[:, at], self.out_of(_mean(earlier, after, following)), vectors[:, at])
        as_passed = self._node(into, self.out_of(_mean(same, after, following)), vectors)
        asking = self.asking(as_last)
        matters = additive_scores(asking, self.asked(as_passed), self.direction, "sigmoid")
        passed = (matters * (alive * (1 - itself))[:, at] * times[:, None, :]) @ as_passed
        own = torch.sigmoid(asking + self.asked(as_last)) @ self.direction
        seen = passed + (own * times[:, at])[:, :, None] * as_last
        joined: Tensor = self.joining(torch.cat((as_last, seen), dim=2))
        return joined

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """Of the whole window's graph alone."""
        return self.states(films, at=LATEST)[:, 0]

    def _node(self, into: Tensor, out_of: Tensor, vectors: Tensor) -> Tensor:
        """v' of each position: all [rows × length × size]."""
        nodes = self.cell(torch.cat((into, out_of), dim=2).flatten(0, 1), vectors.flatten(0, 1))
        return nodes.view_as(vectors)


def occurrences(films: Tensor, padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """films int64 [rows × length], of t and k: whether k is an earlier occurrence of film_t, or t itself; whether k is
    the latest occurrence of its film up to t; both float32 [rows × length (t) × length (k)]. And how often film_k
    occurs up to k, [rows × length]. Padding occurs nowhere.
    """
    length = films.shape[1]
    real = films != padding
    equal = (films[:, :, None] == films[:, None, :]) & real[:, :, None]  # [rows × t × k]
    before = torch.ones(length, length, dtype=torch.bool, device=films.device).tril()
    same = equal & before
    position = torch.arange(length, device=films.device)
    again = torch.where(equal & ~before, position, length).amin(dim=2)  # [rows × k], where film_k comes the next time
    alive = before & real[:, None, :] & (position[None, :, None] < again[:, None, :])
    return same.float(), alive.float(), same.sum(dim=2).float()


def _mean(edges: Tensor, vectors: Tensor, counted: Tensor) -> Tensor:
    """Of the vectors of the positions k with an edge at t: edges [rows × t × k], counted [rows × k × 1], 0 or 1."""
    return (edges @ (vectors * counted)) / (edges @ counted).clamp(min=1.0)
