"""SGL: LightGCN that also recognises every node again between two thinned-out views of the graph.

Wu, Wang, Feng, He, Chen, Lian and Xie, "Self-supervised Graph Learning for Recommendation" (SIGIR 2021).
"""

from __future__ import annotations

from typing import Literal, final

import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor

from recpipe.costs import BLAS, FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not, with_seeds
from recpipe.training.costs import contrasts, learned, pairs_stream, propagation, ranking
from recpipe.training.graph import Graph, mean_of, ranking_with_penalty
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientRecipe


@final
class Sgl(GradientRecipe):
    """Wu et al. 2021. E is LightGCN's mean of the layers E⁽⁰⁾, Ã E⁽⁰⁾ … Ãᴷ E⁽⁰⁾; Z' and Z'' are those on two views:

        score(u, i) = e_u · e_i;  loss = BPR(u, i, j) + λ/2 (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²) + α (C_users(u) + C_films(i)),
        C(a) = −ln [exp(cos(z'_a, z''_a) / τ) / Σ_b exp(cos(z'_a, z''_b) / τ)],  b over all nodes of a's side,

    a mean per triple, never negative. i is a film that u watched, j one that u did not. A view is the graph without
    some of its edges, normalised by the degrees that are left, and drawn anew each epoch.

    views: "edges" drops each edge with probability `dropout`; "nodes" each node, and with it all of its edges; "walk"
    drops edges anew for each layer. layers: K. regularization: λ. temperature: τ. alpha: the weight of C.

    The index of the graph is made once: what a view drops has weight 0 there. A node that comes several times in a
    batch is compared once and counted as often as it comes.

    Departures: the number of edges or nodes that are dropped is drawn too, where the authors' code drops exactly the
    share. Every event is in an epoch once, as in `lightgcn`.
    """

    embedding_size: int = Field(default=64, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: int = Field(default=3, ge=0)
    regularization: float = Field(default=1e-4, ge=0.0)
    views: Literal["edges", "nodes", "walk"] = "edges"
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    temperature: float = Field(default=0.2, gt=0.0)
    alpha: float = Field(default=0.1, ge=0.0)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with one film that its user did not watch."""
        with seeded(run):
            network = SglNetwork(train.interactions.matrix(), self)
        batches = with_seeds(watched_and_not(train.interactions, self.batch_size, negatives=1))
        return learn(network, batches, SglNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """As `lightgcn` on three graphs, and the contrasts of the nodes of a batch with all nodes of their side."""
        nodes = shape.n_users + shape.n_items
        parameters = nodes * self.embedding_size
        graphs = (1 + 2 * (self.layers if self.views == "walk" else 1)) * 2 * FLOAT + 4 * LONG + 3 * LONG
        contrast, contrast_seconds = contrasts(shape, self.batch_size, self.embedding_size)
        step = contrast + graphs * shape.n_events
        step += FLOAT * (20 * parameters + 9 * self.batch_size * self.embedding_size)
        a_step = propagation(shape, self.embedding_size, 3 * self.layers) + 2e-8 * parameters + contrast_seconds
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class SglNetwork(Learner):
    """Nodes are the users, then the films. `initial`: [nodes × embedding_size]."""

    def __init__(self, watched: sparse.csr_matrix, recipe: Sgl) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        self.initial = self.graph.embeddings(recipe.embedding_size, recipe.initial_deviation)
        self._views: tuple[int, tuple[list[Tensor], ...]] | None = None

    def propagated(self, adjacencies: list[Tensor] | None = None) -> Tensor:
        """The mean over the layers, [nodes × embedding_size]; each layer with its own matrix where they are given."""
        matrices = [self.graph.adjacency] * self.recipe.layers if adjacencies is None else adjacencies
        layers: list[Tensor] = [self.initial]
        for matrix in matrices:
            layers.append(self.graph.layers(layers[-1], 1, matrix)[1])
        return mean_of(layers)

    def loss(self, users: Tensor, films: Tensor, seed: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × 2], one watched and one not; seed: of the epoch → mean per row."""
        nodes = self.graph.triples(users, films)
        loss = ranking_with_penalty(self.propagated(), self.initial, nodes, self.recipe.regularization)
        if self.recipe.alpha:
            first, second = (self.propagated(view) for view in self.views(int(seed)))
            of_users = self.graph.contrast(first, second, users, 0, self.recipe.temperature)
            of_films = self.graph.contrast(first, second, films[:, 0], 1, self.recipe.temperature)
            loss = loss + self.recipe.alpha * (of_users + of_films)
        return loss

    def views(self, seed: int) -> tuple[list[Tensor], ...]:
        """Two views, a matrix a layer each. They follow from the seed alone, so that no checkpoint needs them."""
        if self._views is None or self._views[0] != seed:
            numbers = torch.Generator(self.initial.device).manual_seed(seed)
            self._views = seed, tuple(self._view(numbers) for _ in range(2))
        return self._views[1]

    def _view(self, numbers: torch.Generator) -> list[Tensor]:
        layers = self.recipe.layers
        if self.recipe.views == "walk":
            return [self.graph.normalised(self._kept(numbers)) for _ in range(layers)]
        return [self.graph.normalised(self._kept(numbers))] * layers

    def _kept(self, numbers: torch.Generator) -> Tensor:
        """1 for each pair that is kept and 0 for the others, float32."""
        of_nodes = self.recipe.views == "nodes"
        size = len(self.initial) if of_nodes else self.graph.n_edges
        kept = torch.rand(size, generator=numbers, device=numbers.device) >= self.recipe.dropout
        if of_nodes:
            users, films = self.graph.pairs()
            kept = kept[users] & kept[films]
        return kept.float()

    def factors(self) -> Factors:
        """The scorer of the current embeddings, on the whole graph."""
        return Factors(*self.graph.sides(self.propagated()))
