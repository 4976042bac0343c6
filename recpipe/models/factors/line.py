"""LINE: vectors of the nodes of the graph of users and films, by proximity of first and second order.

Tang, Qu, Wang, Zhang, Yan and Mei, "LINE: Large-scale Information Network Embedding" (WWW 2015).
"""

from __future__ import annotations

from typing import Literal, final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.interactions import FloatArray, Interactions, LongArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import Batch, Stream, Streams
from recpipe.training.costs import Stream as StreamCost
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.negatives import Unseen, popularity_weights
from recpipe.training.settings import GradientRecipe


@final
class Line(GradientRecipe):
    """Each event is an edge between user u and film i, met in both directions; with k sampled nodes a direction:

        loss = -ln σ(s[u, i]) - Σ_k ln σ(-s[u, j]) - ln σ(s[u, i]) - Σ_k ln σ(-s[v, i]),

    j films that u has no edge to, v users that i has none to; a mean per event, never negative, and before anything is
    learned (2 + 2k) ln 2 of first order and (1 + k) ln 2 of second. With the sign that its paper's objective has, which
    is maximised, it would never be positive, and descent would tear watched pairs apart.

    First order: s = p[u] · q[i]. Second order: the other node is seen as context, with vectors of its own, so that
    s = p[u] · q'[i] towards films. The way back, q[i] · p'[u], shares no vector with it where no edge joins two users
    or two films, and is not learned: of the loss the first two terms are left. parts: "first", "second", or "both",
    each with vectors of its own, put side by side as in the paper.

    Scored is how probable the edge is. s tends to the logarithm of the pair's frequency as an edge over that as a
    sample, whose part that differs from film to film is taken back:

        score[u, i] = Σ over the orders of s[u, i] + b[i],  b[i] = ln(w[i] + d[i] / Σ d), of second order ln w[i],

    with d[i] the watchers of film i and w[i] its chance of being drawn, as d[i] ** 0.75 in the paper (sampling:
    "popularity") or alike for all ("uniform"); users are drawn in the same way.

    Departures: AdamW on batches of a permutation of the events, in place of asynchronous SGD on edges drawn with
    replacement; neighbours are never drawn; both orders at a time, and no normalisation before they are put side by
    side. b is this project's: the paper uses the vectors as features and ranks nothing.
    """

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=5, ge=1)
    parts: Literal["first", "second", "both"] = "both"
    sampling: Literal["uniform", "popularity"] = "popularity"

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors with a bias a film; the vectors of both orders side by side."""
        with seeded(run):
            network = LineNetwork(train.interactions, self)
        batches = edges(train.interactions, self.batch_size, self.negatives, self.sampling)
        return learn(network, batches, LineNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a node and an order; in a step, six times the vectors of all nodes of a batch; two samplers."""
        size = self.embedding_size * (2 if self.parts == "both" else 1)
        parameters = (shape.n_users + shape.n_items) * size
        nodes = self.batch_size * 2 * (1 + self.negatives)
        step = FLOAT * nodes * (6 * self.embedding_size + 16)
        seconds = shape.n_events * 2 * (1 + self.negatives) * (2e-7 + 5e-9 * size)
        seconds += shape.n_events / self.batch_size * 6e-9 * parameters
        one_way = pairs_stream(shape)
        stream = StreamCost(1.5 * one_way.kept, one_way.kept + one_way.building)
        return learned(parameters, step, BLAS + ranking(shape), stream, seconds)


class LineNetwork(Learner):
    """`users`, `items` by order: [n_users × embedding] and [n_items × embedding]; b [n_items] is not learned."""

    def __init__(self, interactions: Interactions, recipe: Line) -> None:
        super().__init__()
        self.orders = ("first", "second") if recipe.parts == "both" else (recipe.parts,)
        self.users, self.items = (
            nn.ModuleDict({order: nn.Embedding(n, recipe.embedding_size) for order in self.orders})
            for n in (interactions.n_users, interactions.n_items)
        )
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1 / recipe.embedding_size**0.5)
        of_orders = film_biases(interactions, recipe.sampling)
        self.biases: FloatArray = np.sum([of_orders[order] for order in self.orders], axis=0, dtype=np.float32)

    def loss(self, users: Tensor, films: Tensor, strangers: Tensor) -> Tensor:
        """users [rows × 1], films [rows × (1 + k)], the one watched first; strangers [rows × k], users who have not
        watched it → mean per row."""
        total = torch.zeros((), device=users.device)
        for order in self.orders:
            p, q = self.users[order], self.items[order]
            total = total + edge_loss((p(users) * q(films)).sum(dim=-1))
            if order == "first":
                total = total + edge_loss((p(torch.cat((users, strangers), dim=1)) * q(films[:, :1])).sum(dim=-1))
        return total

    def factors(self) -> Factors:
        """The scores of the orders added up."""
        users, items = (
            torch.cat(list(tables.parameters()), dim=1).detach().cpu().numpy() for tables in (self.users, self.items)
        )
        return Factors(users, items, self.biases)


def edge_loss(scores: Tensor) -> Tensor:
    """Mean a row of -ln σ(first column) - Σ ln σ(-others), [rows × (1 + k)]; (1 + k) ln 2 where all are 0."""
    signs = torch.ones(scores.shape[1], device=scores.device)
    signs[0] = -1.0
    return functional.softplus(scores.float() * signs).sum(dim=1).mean()


def film_biases(interactions: Interactions, sampling: str) -> dict[str, FloatArray]:
    """b by order, float32 [n_items]. A film that nobody watched counts as one with a single watcher."""
    degrees = np.maximum(interactions.item_counts(), 1).astype(np.float64)
    weights = popularity_weights(interactions).astype(np.float64) if sampling == "popularity" else np.ones_like(degrees)
    drawn, met = weights / weights.sum(), degrees / degrees.sum()
    return {"first": np.log(drawn + met).astype(np.float32), "second": np.log(drawn).astype(np.float32)}


def edges(interactions: Interactions, batch_size: int, negatives: int, sampling: str) -> Streams:
    """(users int64 [rows × 1], films int64 [rows × (1 + negatives)], strangers int64 [rows × negatives]): an event,
    films that its user has no event with, and users that its film has none with. Every event is one row an epoch, but
    those of users who have watched all films and of films that all have watched: nothing could be drawn for them.
    """
    turned = Interactions.sorted_from(
        interactions.items, interactions.users, interactions.times, None, interactions.n_items, interactions.n_users
    )
    by_degree = sampling == "popularity"
    of_users, of_films = (
        Unseen.of(side, popularity_weights(side) if by_degree else None) for side in (interactions, turned)
    )
    events = np.flatnonzero((of_users.free[interactions.users] > 0) & (of_films.free[interactions.items] > 0))

    def epoch(numbers: np.random.Generator) -> Stream:
        def batch(rows: LongArray) -> Batch:
            users, watched = interactions.users[rows].astype(np.int64), interactions.items[rows].astype(np.int64)
            films = np.concatenate((watched[:, None], of_users.draw(users, negatives, numbers)), axis=1)
            strangers = of_films.draw(watched, negatives, numbers)
            return torch.from_numpy(users[:, None]), torch.from_numpy(films), torch.from_numpy(strangers)

        return Stream(numbers.permutation(events), batch_size, batch)

    return epoch
