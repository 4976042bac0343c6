"""DGCF: LightGCN on several graphs, one an intent; how much of an edge belongs to which intent is found by routing.

Wang, Jin, Zhang, He, Xu and Chua, "Disentangled Graph Collaborative Filtering" (SIGIR 2020).
"""

from __future__ import annotations

from typing import Self, final

import torch
from pydantic import Field, model_validator
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import graph_bytes, learned, pairs_stream, propagation, ranking
from recpipe.training.edge_weights import EdgeWeights
from recpipe.training.graph import Graph, mean_of, ranking_with_penalty
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientRecipe

SAMPLED = 256
"""Nodes of a side whose distances are compared in a step, at most."""


@final
class Dgcf(GradientRecipe):
    """Wang et al. 2020. A node's embedding e has a slice e_k for each of K intents. An edge has a number s_k for each
    and for each direction, from head h to tail t, 0 at first. T times a layer, from E⁽ˡ⁾ on:

        w = softmax_k(s),  d_k,h = Σ_t w_k,ht,  x_k,h = Σ_t w_k,ht e⁽ˡ⁾_k,t / √(d_k,h d_k,t),
        s_k,ht += (x_k,h / |x_k,h|) · tanh(e⁽ˡ⁾_k,t / |e⁽ˡ⁾_k,t|);

    E⁽ˡ⁺¹⁾ is the last x, and s goes on in the next layer. E = mean of E⁽⁰⁾ … E⁽ᴸ⁾, score(u, i) = e_u · e_i;

        loss = BPR(u, i, j) + λ/2 (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²) + α Σ_(k<l) dCor(E_k, E_l),

    a mean per triple, never negative. dCor is the distance correlation (Székely et al. 2007) between the intents'
    slices of nodes drawn anew in each step, about as many as meet each node once an epoch. i is a film that u
    watched, j one that u did not.

    layers: L. intents: K. iterations: T. regularization: λ. alpha: α.

    The gradient goes through the routing too, as in the authors' code. All intents of a step are routed at once, and no
    vector is copied for an edge. The first x of all are those of `lightgcn`: with equal w the intents' graphs are Ã.

    Departures: dCor is summed over all pairs of intents, as the paper has it; the authors' code takes neighbouring
    intents and divides by K (K + 1) / 2, so that its α of 0.01 is about 0.0005 here. Every event is in an epoch once,
    as in `lightgcn`, and initial embeddings are as there. The last update of s, which nothing reads, is left out.
    """

    embedding_size: int = Field(default=64, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: int = Field(default=1, ge=0)
    intents: int = Field(default=4, ge=1)
    iterations: int = Field(default=2, ge=1)
    regularization: float = Field(default=1e-3, ge=0.0)
    alpha: float = Field(default=5e-4, ge=0.0)

    @model_validator(mode="after")
    def _slices_are_equal(self) -> Self:
        if self.embedding_size % self.intents:
            raise ValueError(
                f"embedding_size {self.embedding_size} cannot be cut into {self.intents} equal slices, one an intent: "
                "choose a multiple of intents"
            )
        return self

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with one film that its user did not watch."""
        with seeded(run):
            network = DgcfNetwork(train.interactions.matrix(), self)
        batches = watched_and_not(train.interactions, self.batch_size, negatives=1)
        return learn(network, batches, DgcfNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """As `lightgcn`, and an iteration keeps five numbers for each entry of the graph and intent, and its gradient
        takes four."""
        nodes = shape.n_users + shape.n_items
        parameters = nodes * self.embedding_size
        rounds = self.layers * self.iterations
        edges = 2 * FLOAT * shape.n_events * self.intents * (4 + 5 * max(0, rounds - 1))
        step = (
            graph_bytes(shape) + edges + FLOAT * (8 * parameters * rounds + 9 * self.batch_size * self.embedding_size)
        )
        a_step = 3 * propagation(shape, self.embedding_size, rounds) + 1e-8 * parameters
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class DgcfNetwork(Learner):
    """Nodes are the users, then the films. `initial`: [nodes × embedding_size], the slices of the intents in a row."""

    def __init__(self, watched: sparse.csr_matrix, recipe: Dgcf) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        self.edges = EdgeWeights(self.graph)
        self.initial = self.graph.embeddings(recipe.embedding_size, recipe.initial_deviation)
        an_epoch = max(watched.shape) * recipe.batch_size / max(1, watched.nnz)
        self.sampled = min(max(2, round(an_epoch)), SAMPLED)

    def propagated(self) -> Tensor:
        """E, the mean over the layers: [nodes × embedding_size]."""
        with torch.autocast(self.initial.device.type, enabled=False):  # sampled products know no half precision
            return self._joined(mean_of(self._layers()))

    def _layers(self) -> list[Tensor]:
        """Each [intents × nodes × size of a slice]."""
        recipe, logits = self.recipe, None
        layers = [self._slices(self.initial)]
        steps = [(layer, step) for layer in range(recipe.layers) for step in range(recipe.iterations)]
        for layer, step in steps:
            found = self._smoothed(layers[layer], logits)
            if (layer, step) != steps[-1]:
                logits = self._routed(found, layers[layer], logits)
            if step == recipe.iterations - 1:
                layers.append(found)
        return layers

    def _smoothed(self, slices: Tensor, logits: Tensor | None) -> Tensor:
        """x: [intents × nodes × size], from logits [intents × entries]; None: all intents alike, which is Ã."""
        if logits is None:
            return self._slices(self.graph.layers(self._joined(slices), 1)[1])
        weights = logits.softmax(dim=0)
        degrees = self.edges.messages(weights, torch.ones_like(slices[..., :1]))
        scale = degrees.clamp(min=1e-8).rsqrt()  # a node without edges has 0 whatever the scale is
        return scale * self.edges.messages(weights, scale * slices)

    def _routed(self, found: Tensor, slices: Tensor, logits: Tensor | None) -> Tensor:
        heads, tails = functional.normalize(found, dim=2), functional.normalize(slices, dim=2).tanh()
        likenesses = self.edges.likeness(heads, tails)
        return likenesses if logits is None else logits + likenesses

    def _slices(self, nodes: Tensor) -> Tensor:
        """[nodes × embedding_size] → [intents × nodes × size]."""
        return nodes.unflatten(1, (self.recipe.intents, -1)).transpose(0, 1).contiguous()

    def _joined(self, slices: Tensor) -> Tensor:
        """[intents × nodes × size] → [nodes × embedding_size]."""
        return slices.transpose(0, 1).flatten(1)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × 2], one watched and one not → mean per row."""
        final = self.propagated()
        nodes = self.graph.triples(users, films)
        loss = ranking_with_penalty(final, self.initial, nodes, self.recipe.regularization)
        if not self.recipe.alpha:
            return loss
        drawn = [torch.randperm(len(side), device=side.device)[: self.sampled] for side in self._sides(final)]
        sample = torch.cat([side[rows] for side, rows in zip(self._sides(final), drawn, strict=True)])
        return loss + self.recipe.alpha * distance_correlations(self._slices(sample))

    def _sides(self, nodes: Tensor) -> tuple[Tensor, ...]:
        return nodes.split([self.graph.n_users, self.graph.n_items])

    def factors(self) -> Factors:
        """The scorer of the current embeddings."""
        return Factors(*self.graph.sides(self.propagated()))


def distance_correlations(slices: Tensor) -> Tensor:
    """The sum over pairs of intents of dCor = dCov(X, Y) / √(dCov(X, X) dCov(Y, Y)), slices [intents × nodes × size].

    dCov² is the mean of A ⊙ B, the distances between the nodes without their means over rows and over columns.
    """
    distances = torch.cdist(slices, slices, compute_mode="donot_use_mm_for_euclid_dist")
    centred = distances - distances.mean(dim=1, keepdim=True) - distances.mean(dim=2, keepdim=True)
    flat = (centred + distances.mean(dim=(1, 2), keepdim=True)).flatten(1)
    covariances = (flat @ flat.T / flat.shape[1]).clamp(min=0.0).add(1e-8).sqrt()  # as the authors keep off 0
    variances = covariances.diagonal()
    correlations = covariances / (variances[:, None] * variances[None, :]).sqrt()
    return correlations.triu(1).sum()
