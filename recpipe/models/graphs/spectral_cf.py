"""SpectralCF: a convolution in the spectrum of the graph of users and films.

Zheng, Lu, Jiang, Zhang and Yu, "Spectral Collaborative Filtering" (RecSys 2018).
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import graph_bytes, learned, pairs_stream, propagation, ranking
from recpipe.training.graph import Graph, ranking_with_penalty, symmetric_product
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientRecipe


@final
class SpectralCf(GradientRecipe):
    """Zheng et al. 2018. L = I − D⁻¹A = U Λ U⁻¹ is the random-walk Laplacian of the graph of users and films:

        X⁽ᵏ⁺¹⁾ = σ((U U⁻¹ + U Λ U⁻¹) X⁽ᵏ⁾ Θ⁽ᵏ⁾) = σ((2I − D⁻¹A) X⁽ᵏ⁾ Θ⁽ᵏ⁾),  score(u, i) = x_u · x_i,
        loss = −log σ(score(u, i) − score(u, j)) + λ/2 (|x_u|² + |x_i|² + |x_j|²), a mean per triple, never negative,

    x joins the rows of X⁽⁰⁾ … X⁽ᴷ⁾; i is a film that u watched, j one that u did not. layers: K. regularization: λ.

    All eigenvectors count, so that the filter is I + L whatever the spectrum: nothing is decomposed, and a layer is one
    sparse product. Size is limited by the events alone, where U of n nodes takes n² numbers and n³ steps.
    D⁻¹A X = D^(−½) Ã D^½ X, whose Ã is symmetric, serves the gradient as well.

    The paper writes Uᵀ for U⁻¹, which is the same for the symmetric Laplacian alone. This is the reading under which
    its derivation, a filter polynomial in L, holds; its authors' code multiplies NumPy's eigenvectors, which are not
    orthogonal, with their transpose, and ties each node to itself. Other departures: Θ starts at N(0, 1), for at the
    code's 0.02 the sigmoid leaves all nodes alike; AdamW in place of RMSprop; every event is in an epoch once.

    It ranks below its neighbours in this house, and that is the model: 2I − D⁻¹A takes away what a node shares with
    those around it, where other graph models add it up. What was published came from a split that was not random;
    on random ones it was no better than popularity (Ferrari Dacrema et al., "A Troubling Analysis of Reproducibility
    and Progress in Recommender Systems Research", 2021).
    """

    learning_rate: float = Field(default=1e-3, gt=0.0)
    embedding_size: int = Field(default=16, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: int = Field(default=3, ge=0)
    regularization: float = Field(default=1e-3, ge=0.0)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with one film that its user did not watch."""
        with seeded(run):
            network = SpectralCfNetwork(train.interactions.matrix(), self)
        batches = watched_and_not(train.interactions, self.batch_size, negatives=1)
        return learn(network, batches, SpectralCfNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a node and a small matrix a layer; in a step ten more of each layer, and nine joined vectors a row;
        the graph as in LightGCN.
        """
        nodes, joined = shape.n_users + shape.n_items, self.embedding_size * (1 + self.layers)
        parameters = nodes * self.embedding_size + self.layers * self.embedding_size**2
        step = graph_bytes(shape) + FLOAT * joined * (10 * nodes + 9 * self.batch_size)
        a_step = propagation(shape, self.embedding_size, self.layers) + 3e-8 * nodes * joined
        seconds = shape.n_events / self.batch_size * a_step
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds + 5e-7 * shape.n_events)


class SpectralCfNetwork(Learner):
    """Nodes are the users, then the films. `initial`: X⁽⁰⁾ [nodes × size]; `filters`: Θ, [layers × size × size]."""

    roots: Tensor

    def __init__(self, watched: sparse.csr_matrix, recipe: SpectralCf) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        size = recipe.embedding_size
        self.initial = self.graph.embeddings(size, recipe.initial_deviation)
        self.filters = nn.Parameter(torch.randn(recipe.layers, size, size))
        degrees = self.graph.adjacency.crow_indices().diff().to(torch.float32)
        self.register_buffer("roots", degrees.sqrt()[:, None], persistent=False)

    def filtered(self, nodes: Tensor) -> Tensor:
        """(2I − D⁻¹A) of [nodes × size]; twice themselves for nodes without edges."""
        near = symmetric_product(self.graph.adjacency, self.roots * nodes) / self.roots.clamp(min=1.0)
        return 2 * nodes - near

    def propagated(self) -> Tensor:
        """The layers joined: [nodes × size · (1 + layers)]."""
        layers: list[Tensor] = [self.initial]
        for weights in self.filters:
            layers.append(torch.sigmoid(self.filtered(layers[-1]) @ weights))
        return torch.cat(layers, dim=1)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × 2], one watched and one not → mean per row."""
        nodes, joined = self.graph.triples(users, films), self.propagated()
        return ranking_with_penalty(joined, joined, nodes, self.recipe.regularization)

    def factors(self) -> Factors:
        """The scorer of the current embeddings."""
        return Factors(*self.graph.sides(self.propagated()))
