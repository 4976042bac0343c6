"""GC-MC: a user from the vectors of the films watched, a film from those of its users, compared by a bilinear form.

Van den Berg, Kipf and Welling, "Graph Convolutional Matrix Completion" (2017, arXiv 1706.02263).
"""

from __future__ import annotations

from typing import Literal, final

import numpy as np
import torch
from pydantic import Field, PositiveInt
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, LONG, Cost, Shape
from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, propagation, ranking
from recpipe.training.dropout import dropout
from recpipe.training.graph import Graph, symmetric_product
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr, watched_first
from recpipe.training.settings import GradientRecipe

USUAL_LEVELS, MOST_LEVELS = 5, 10
"""Ratings that data is expected to have, and that are told apart at most: stars, and half stars."""


@final
class Gcmc(GradientRecipe):
    """Van den Berg et al. 2017. A node hears from its neighbours, over one channel for each rating r in the graph:

        h_a = ReLU(Σ_r Σ_b m_r(a, b)),  m_r(a, b) = t_b,r / c_ab,  z_a = W h_a,  score(u, i) = z_uᵀ Q z_i,

    b over those that a is tied to by rating r. channels: "ratings", or "one" for all that was watched, which is also
    what data without ratings gets. accumulation: "sum" as above, t_b,r = Σ_s≤r T_b,s, so that a rating shares its
    vectors with all better ones; or "stack", each channel in a part of h of its own. normalisation: "symmetric",
    c_ab = √(d_a d_b), or "left", c_ab = d_a, with d the neighbours over all channels. The inputs are the nodes
    themselves, so the paper's first matrix is a vector a node, T. layers: the width of z.

    loss: "logistic", binary cross-entropy of the film watched and `negatives` others, a mean over all pairs; or "bpr",
    −log σ(score(u, i) − score(u, j)), a mean over them. Never negative. dropout: share of the nodes whose messages
    nobody hears in a step, the others weighing more for it.

    No film to recommend has been heard by its user. So in training neither do the film watched and its user hear each
    other: the pair's own m is subtracted from both sums. The paper leaves it in and drops up to 0.7 of the nodes.

    Departures: the paper predicts the expected rating by a softmax over ratings, each with a Q of its own out of few
    shared matrices. Expected ratings rank what was never going to be watched, so here ratings are inputs alone; of two
    classes, watched or not, the softmax is the logistic loss, and the difference of both Q is one matrix. T starts at
    N(0, 1): a mean of many small vectors would leave every score at zero for long. No side features, no dropout of h;
    AdamW.
    """

    embedding_size: int = Field(default=64, ge=1)
    layers: tuple[PositiveInt] = (64,)
    channels: Literal["one", "ratings"] = "one"
    accumulation: Literal["sum", "stack"] = "sum"
    normalisation: Literal["symmetric", "left"] = "symmetric"
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    loss: Literal["logistic", "bpr"] = "bpr"
    negatives: int = Field(default=4, ge=1)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with `negatives` films that its user did not watch."""
        with seeded(run):
            network = GcmcNetwork(train.interactions, self)
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(network, batches, GcmcNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a node and a channel, five channels where ratings are told apart; in a step four more of each and
        six a node, and vectors of all films of the batch; the graph has two entries an event, two indices and a weight
        each, and a number a pair.
        """
        nodes, (width,) = shape.n_users + shape.n_items, self.layers
        n_channels = USUAL_LEVELS if self.channels == "ratings" and shape.rated else 1
        of_channels = nodes * self.embedding_size * (n_channels if self.accumulation == "sum" else 1)
        parameters = of_channels + self.embedding_size * width + width**2
        graph = (2 * (2 * LONG + FLOAT) + 2 * LONG) * shape.n_events
        rows = self.batch_size * (2 + self.negatives)
        vectors = 4 * nodes * n_channels + 6 * nodes + 3 * rows
        step = graph + FLOAT * vectors * max(self.embedding_size, width)
        a_step = propagation(shape, self.embedding_size, 1) + 3e-10 * nodes * self.embedding_size * width
        a_step += 8e-9 * parameters + 4e-9 * rows * (self.embedding_size + width)
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class GcmcNetwork(Learner):
    """Nodes are the users, then the films. `initial`: T [channels × nodes × embedding_size], one channel alone where
    they are stacked; `dense`: Wᵀ; `bilinear`: Q.

    blocks: what a channel's messages are multiplied with, [channels × 1 × embedding_size]. told, heard: what all that a
    node says and all that it hears is multiplied with, [nodes × 1]; their product is 1 / c. pairs: user · n_items +
    film of each pair watched, ascending; levels: its channel; int64 [pairs].
    """

    blocks: Tensor
    told: Tensor
    heard: Tensor
    pairs: Tensor
    levels: Tensor

    def __init__(self, interactions: Interactions, recipe: Gcmc) -> None:
        super().__init__()
        self.recipe = recipe
        watched, levels = pairs_and_levels(interactions, recipe.channels)
        self.n_users, self.n_items = watched.shape
        self.n_channels, size, (width,) = int(levels.max(initial=0)) + 1, recipe.embedding_size, recipe.layers
        symmetric, stacked = recipe.normalisation == "symmetric", recipe.accumulation == "stack"
        if stacked and size < self.n_channels:
            raise ValueError(
                f"gcmc: embedding_size {size} has no column for each of {self.n_channels} stacked ratings: set "
                f"embedding_size {self.n_channels} or more, or accumulation: sum"
            )
        for channel in range(self.n_channels):
            graph = Graph(_entries(watched, levels == channel))
            self.register_buffer(f"edges_{channel}", graph.weighed(torch.ones(len(graph.edges))), persistent=False)
        degrees = np.concatenate([watched.getnnz(axis=1), watched.getnnz(axis=0)])
        share = torch.from_numpy(1.0 / np.maximum(degrees, 1)).float()[:, None]
        self.register_buffer("told", share.sqrt() if symmetric else torch.ones_like(share), persistent=False)
        self.register_buffer("heard", share.sqrt() if symmetric else share, persistent=False)
        owners = torch.arange(size) * self.n_channels // size
        own = owners == torch.arange(self.n_channels)[:, None]
        self.register_buffer("blocks", (own if stacked else torch.ones_like(own)).float()[:, None], persistent=False)
        rows = np.repeat(np.arange(self.n_users), np.diff(watched.indptr))
        self.register_buffer("pairs", torch.from_numpy(rows * self.n_items + watched.indices), persistent=False)
        self.register_buffer("levels", torch.from_numpy(levels), persistent=False)
        self.initial = nn.Parameter(torch.randn(1 if stacked else self.n_channels, len(degrees), size))
        self.dense = nn.Parameter(nn.init.xavier_uniform_(torch.empty(size, width)))
        self.bilinear = nn.Parameter(nn.init.orthogonal_(torch.empty(width, width)))

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × (1 + negatives)], the one watched first → mean per row."""
        messages, watched = self.messages(), films[:, 0] + self.n_users
        sums = self.sums(messages)
        channels = self.levels[torch.searchsorted(self.pairs, users * self.n_items + films[:, 0])]
        of_users = self.encoded(users, sums[users] - messages[channels, watched]) @ self.bilinear
        of_watched = self.encoded(watched, sums[watched] - messages[channels, users])
        of_others = functional.embedding(films[:, 1:], self.encoded(slice(self.n_users, None), sums[self.n_users :]))
        found = (of_users * of_watched).sum(dim=1, keepdim=True)
        others = (of_others @ of_users[:, :, None])[..., 0]
        return bpr(found, others) if self.recipe.loss == "bpr" else watched_first(torch.cat((found, others), dim=1))

    def messages(self) -> Tensor:
        """What each node says: [channels × nodes × embedding_size]."""
        said = self.initial.cumsum(dim=0) * self.blocks * self.told
        if not (self.training and self.recipe.dropout):
            return said
        return said * dropout(torch.ones_like(self.told), self.recipe.dropout)

    def sums(self, messages: Tensor) -> Tensor:
        """Of all that each node hears: [nodes × embedding_size]."""
        products = [
            symmetric_product(self.get_buffer(f"edges_{channel}"), of_channel)
            for channel, of_channel in enumerate(messages)
        ]
        return sum(products[1:], start=products[0])

    def encoded(self, nodes: Tensor | slice, sums: Tensor) -> Tensor:
        """z of these nodes from what they hear, [rows × embedding_size] → [rows × layers[0]]."""
        return torch.relu(sums * self.heard[nodes]) @ self.dense

    def factors(self) -> Factors:
        """Users' vectors are Qᵀ z_u."""
        users, items = self.encoded(slice(None), self.sums(self.messages())).split([self.n_users, self.n_items])
        return Factors((users @ self.bilinear).detach().cpu().numpy(), items.detach().cpu().numpy())


def pairs_and_levels(interactions: Interactions, channels: str) -> tuple[sparse.csr_matrix, LongArray]:
    """What was watched, [n_users × n_items] with sorted columns, and the channel of each of its entries, int64."""
    if channels == "one" or interactions.ratings is None:
        watched = interactions.matrix()
        watched.sort_indices()
        return watched, np.zeros(watched.nnz, dtype=np.int64)
    watched = interactions.rating_matrix()
    watched.sort_indices()
    ratings, levels = np.unique(watched.data, return_inverse=True)
    if len(ratings) > MOST_LEVELS:
        raise ValueError(
            f"gcmc tells at most {MOST_LEVELS} ratings apart, and these events have {len(ratings)}: set channels: one"
        )
    return watched, levels.astype(np.int64)


def _entries(matrix: sparse.csr_matrix, chosen: np.ndarray) -> sparse.csr_matrix:
    """A matrix of those entries alone."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[chosen]
    return sparse.csr_matrix((matrix.data[chosen], (rows, matrix.indices[chosen])), shape=matrix.shape)
