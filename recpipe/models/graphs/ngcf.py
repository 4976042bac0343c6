"""NGCF: messages between users and films that grow with how alike they are, over several layers.

Wang, He, Wang, Feng and Chua, "Neural Graph Collaborative Filtering" (SIGIR 2019).
"""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
from pydantic import Field, PositiveInt
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import graph_bytes, learned, pairs_stream, propagation, ranking
from recpipe.training.dropout import dropout
from recpipe.training.graph import Graph, symmetric_product
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr
from recpipe.training.products import products
from recpipe.training.settings import GradientRecipe

SLOPE = 0.2
"""Of LeakyReLU below zero, as in the authors' code."""


@final
class Ngcf(GradientRecipe):
    """Wang et al. 2019. Ã = D^(−½) A D^(−½) is the normalised adjacency of the graph of users and films:

        E⁽ᵏ⁺¹⁾ = LeakyReLU((Ã + I) E⁽ᵏ⁾ W₁ + (Ã E⁽ᵏ⁾ ⊙ E⁽ᵏ⁾) W₂ + b),  score(u, i) = e_u · e_i,

    where e joins E⁽⁰⁾ and the rows of E⁽¹⁾ … E⁽ᴷ⁾, these at length 1. i is a film that u watched, j one of `negatives`
    that u did not:

        loss = mean of −log σ(score(u, i) − score(u, j)) + mean a row of λ/2 (|e⁰_u|² + |e⁰_i|² + Σ_j |e⁰_j|²),

    never negative. The penalty on all of e has the same gradient, as the other layers' lengths are fixed. One sparse
    product a layer: Ã E serves both terms.

    layers: widths of E⁽¹⁾ … E⁽ᴷ⁾. dropout: share of each layer's output that is set to zero, the message dropout of the
    paper. edge_dropout: share of the edges left out in a step, in both directions, the others weighing more for it.
    regularization: λ. It is edge_dropout that makes the model rank well: every film to be found is in its user's
    neighbourhood while it is learned, and a network that sees each edge finds it there.

    Departures: the paper's node dropout leaves out all messages of a node, its authors' code and this one single edges,
    the code each direction for itself. Length 1, the slope below zero and b are those of the code, whose two biases
    would only add up. The paper has one negative and no decay, and its penalty is on W as well, for which AdamW's
    decoupled decay stands here. Every event is in an epoch once.
    """

    learning_rate: float = Field(default=1e-3, gt=0.0)
    embedding_size: int = Field(default=64, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: tuple[PositiveInt, ...] = Field(default=(64, 64, 64), min_length=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    negatives: int = Field(default=1, ge=1)
    edge_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    regularization: float = Field(default=1e-5, ge=0.0)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with `negatives` films that its user did not watch."""
        with seeded(run):
            network = NgcfNetwork(train.interactions.matrix(), self)
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(network, batches, NgcfNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a node and two matrices a layer; in a step eleven arrays of each layer's width for all nodes, and
        three of them for each film and user of the batch; the graph as in LightGCN.
        """
        nodes, widths = shape.n_users + shape.n_items, (self.embedding_size, *self.layers)
        weights = sum(2 * before * after + after for before, after in pairwise(widths))
        parameters = nodes * self.embedding_size + weights
        rows = self.batch_size * (2 + self.negatives)
        step = graph_bytes(shape) + FLOAT * sum(widths) * (11 * nodes + 3 * rows)
        a_step = propagation(shape, sum(widths[:-1]), 1) + 3e-10 * nodes * weights
        a_step += sum(widths) * (2e-8 * nodes + 4e-9 * rows)
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class NgcfNetwork(Learner):
    """Nodes are the users, then the films. `initial`: [nodes × embedding_size]."""

    def __init__(self, watched: sparse.csr_matrix, recipe: Ngcf) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        self.initial = self.graph.embeddings(recipe.embedding_size, recipe.initial_deviation)
        widths = list(pairwise((recipe.embedding_size, *recipe.layers)))
        self.of_sums = nn.ModuleList(nn.Linear(*width) for width in widths)
        self.of_products = nn.ModuleList(nn.Linear(*width, bias=False) for width in widths)
        for parameter in (*self.of_sums.parameters(), *self.of_products.parameters()):
            initialise = nn.init.xavier_uniform_ if parameter.ndim > 1 else nn.init.zeros_
            initialise(parameter)

    def propagated(self) -> Tensor:
        """The layers joined: [nodes × (embedding_size + all widths)]."""
        adjacency = self.adjacency()
        nodes: Tensor = self.initial
        joined = [nodes]
        for of_sums, of_products in zip(self.of_sums, self.of_products, strict=True):
            near = symmetric_product(adjacency, nodes)
            messages = of_sums(near + nodes) + of_products(near * nodes)
            nodes = dropout(functional.leaky_relu(messages, SLOPE), self.recipe.dropout, self.training)
            joined.append(functional.normalize(nodes, dim=1))
        return torch.cat(joined, dim=1)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × (1 + negatives)], the one watched first → mean per row."""
        of_users, of_films = self.propagated().split([self.graph.n_users, self.graph.n_items])
        scores = products(of_users, of_films, users, films)
        loss = bpr(scores[:, 0], scores[:, 1:])
        if self.recipe.regularization:
            nodes = self.graph.triples(users, films)
            penalty = functional.embedding(nodes, self.initial).square().sum() / (2 * len(nodes))
            loss = loss + self.recipe.regularization * penalty
        return loss

    def factors(self) -> Factors:
        """The scorer of the current embeddings."""
        return Factors(*self.graph.sides(self.propagated()))

    def adjacency(self) -> Tensor:
        """Ã; while training what edge dropout leaves of it, drawn anew."""
        share = self.recipe.edge_dropout
        if not (self.training and share):
            return self.graph.adjacency
        kept = dropout(torch.ones(self.graph.n_edges, device=self.initial.device), share)
        return self.graph.weighed(self.graph.adjacency.values() * kept[self.graph.edges])
