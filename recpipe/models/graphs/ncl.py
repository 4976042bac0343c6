"""NCL: LightGCN that draws a node to its neighbours, those of the graph and those of like embeddings.

Lin, Tian, Hou and Zhao, "Improving Graph Collaborative Filtering with Neighborhood-enriched Contrastive Learning"
(WWW 2022).
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not, with_seeds
from recpipe.training.clustering import ROWS, k_means
from recpipe.training.costs import contrasts, graph_bytes, learned, pairs_stream, propagation, ranking
from recpipe.training.graph import Graph, mean_of, ranking_with_penalty
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import info_nce
from recpipe.training.settings import GradientRecipe

ROUNDS = 25
"""Of k-means, at most."""


@final
class Ncl(GradientRecipe):
    """Lin et al. 2022. E⁽ᵏ⁾ = Ãᵏ E⁽⁰⁾ are the layers of LightGCN, E the mean of the first K + 1 of them:

        score(u, i) = e_u · e_i,
        loss = BPR(u, i, j) + λ/2 (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²) + λ₁ [S(u) + α S(i)] + λ₂ [P(u) + P(i)],
        S(a) = −ln softmax_b(cos(e⁽²ʰ⁾_a, e⁰_b) / τ) at b = a, over all nodes b of a's side,
        P(a) = −ln softmax_c(cos(e⁰_a, c) / τ) at c = a's own, over the prototypes c of a's side,

    a mean per triple, never negative. i is a film that u watched, j one that u did not. The prototypes are the centres
    of k-means on e⁰, users and films apart, found anew when an epoch begins (the E-step) and held during it.

    layers: K. hyper_layers: h. regularization: λ. structure_weight: λ₁. prototype_weight: λ₂. alpha: α. temperature: τ.
    prototypes: of each side, at most one a node. pretraining: epochs for which λ₂ is 0.

    The contrasts are means, and so do not change with the batch; the authors' code sums them over its 2048 or 4096
    rows, with weights near 1e-7, hence the small defaults here. A node that comes several times in a batch is compared
    once and counted as often as it comes.

    Departures: every event is in an epoch once, as in `lightgcn`. k-means starts from nodes drawn each epoch, and an
    empty cluster takes the node that lies furthest from its own centre, where faiss splits a large one.
    """

    embedding_size: int = Field(default=64, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: int = Field(default=3, ge=0)
    hyper_layers: int = Field(default=1, ge=1)
    regularization: float = Field(default=1e-4, ge=0.0)
    temperature: float = Field(default=0.1, gt=0.0)
    structure_weight: float = Field(default=2e-3, ge=0.0)
    prototype_weight: float = Field(default=2e-4, ge=0.0)
    alpha: float = Field(default=1.0, ge=0.0)
    prototypes: int = Field(default=1000, ge=1)
    pretraining: int = Field(default=20, ge=0)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with one film that its user did not watch."""
        with seeded(run):
            network = NclNetwork(train.interactions.matrix(), self)
        batches = with_seeds(watched_and_not(train.interactions, self.batch_size, negatives=1))
        return learn(network, batches, NclNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """As `lightgcn`, and what the contrasts take; with the prototypes they are smaller. k-means has two numbers for
        each pair of a node and a prototype, in blocks."""
        nodes, sides = shape.n_users + shape.n_items, (shape.n_users, shape.n_items)
        parameters = nodes * self.embedding_size
        clustering = 2 * FLOAT * max(min(ROWS, side) * min(self.prototypes, side) for side in sides)
        contrast, contrast_seconds = contrasts(shape, self.batch_size, self.embedding_size)
        step = max(contrast, clustering) + graph_bytes(shape)
        step += FLOAT * (10 * parameters + 9 * self.batch_size * self.embedding_size)
        a_step = propagation(shape, self.embedding_size, max(self.layers, 2 * self.hyper_layers))
        a_step += 1e-8 * parameters + contrast_seconds
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        distances = ROUNDS * sum(side * min(self.prototypes, side) for side in sides)
        seconds += distances * (1e-9 + 4e-11 * self.embedding_size)
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class NclNetwork(Learner):
    """Nodes are the users, then the films. `initial`: [nodes × embedding_size].

    begun: epochs. centres: [prototypes of users, then of films × embedding_size]; own: int64 [nodes], each node's
    among the prototypes of its side. Both follow from seed and embeddings when an epoch begins, so that a checkpoint,
    which is always between two epochs, does without them.
    """

    begun: Tensor
    seed: Tensor
    centres: Tensor
    own: Tensor

    def __init__(self, watched: sparse.csr_matrix, recipe: Ncl) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        self.initial = self.graph.embeddings(recipe.embedding_size, recipe.initial_deviation)
        self.counts = [min(recipe.prototypes, side) for side in watched.shape]
        self.register_buffer("begun", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seed", torch.tensor(-1), persistent=False)
        self.register_buffer("centres", torch.zeros(sum(self.counts), recipe.embedding_size), persistent=False)
        self.register_buffer("own", torch.zeros(len(self.initial), dtype=torch.int64), persistent=False)

    def loss(self, users: Tensor, films: Tensor, seed: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × 2], one watched and one not; seed: of the epoch → mean per row."""
        recipe, watched = self.recipe, films[:, 0]
        even = 2 * recipe.hyper_layers if recipe.structure_weight else 0
        layers = self.graph.layers(self.initial, max(recipe.layers, even))
        nodes = self.graph.triples(users, films)
        loss = ranking_with_penalty(mean_of(layers[: recipe.layers + 1]), self.initial, nodes, recipe.regularization)
        if recipe.structure_weight:
            structure = self.graph.contrast(layers[even], self.initial, users, 0, recipe.temperature)
            if recipe.alpha:
                of_films = self.graph.contrast(layers[even], self.initial, watched, 1, recipe.temperature)
                structure = structure + recipe.alpha * of_films
            loss = loss + recipe.structure_weight * structure
        if self._knows_prototypes(seed):
            loss = loss + recipe.prototype_weight * (self._to_prototypes(users, 0) + self._to_prototypes(watched, 1))
        return loss

    def _knows_prototypes(self, seed: Tensor) -> bool:
        """Whether they count in this epoch; they are found first where it has only begun."""
        begins = bool(seed != self.seed)
        if begins:
            self.seed.copy_(seed)
            self.begun += 1
        count = bool(self.recipe.prototype_weight) and bool(self.begun > self.recipe.pretraining)
        if begins and count:
            self.find_prototypes()
        return count

    def find_prototypes(self) -> None:
        """The E-step, from the current embeddings and the epoch's seed."""
        numbers = torch.Generator(self.initial.device).manual_seed(int(self.seed))
        sides = self.initial.detach().split([self.graph.n_users, self.graph.n_items])
        found = [k_means(side, count, ROUNDS, numbers) for side, count in zip(sides, self.counts, strict=True)]
        self.centres.copy_(torch.cat([centres for centres, _ in found]))
        self.own.copy_(torch.cat([own for _, own in found]))

    def _to_prototypes(self, rows: Tensor, side: int) -> Tensor:
        """P, a mean a row. side: 0 for users, 1 for films."""
        distinct, counts = rows.unique(return_counts=True)
        nodes = distinct + side * self.graph.n_users
        centres = self.centres.split(self.counts)[side]
        return info_nce(self.initial[nodes], centres, self.own[nodes], counts, self.recipe.temperature)

    def factors(self) -> Factors:
        """The scorer of the current embeddings."""
        layers = self.graph.layers(self.initial, self.recipe.layers)
        return Factors(*self.graph.sides(mean_of(layers)))
