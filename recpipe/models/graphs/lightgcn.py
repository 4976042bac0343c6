"""LightGCN: embeddings smoothed over the graph of users and films, without weights or nonlinearities between.

He, Deng, Wang, Li, Zhang and Wang, "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation"
(SIGIR 2020).
"""

from __future__ import annotations

from pydantic import Field
from scipy import sparse
from torch import Tensor

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import graph_bytes, learned, pairs_stream, propagation, ranking
from recpipe.training.graph import Graph, mean_of, ranking_with_penalty
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientRecipe


class Lightgcn(GradientRecipe):
    """He et al. 2020. Ã = D^(−½) A D^(−½) is the normalised adjacency of the graph of users and films:

        E⁽ᵏ⁺¹⁾ = Ã E⁽ᵏ⁾,  E = mean of E⁽⁰⁾ … E⁽ᴷ⁾,  score(u, i) = e_u · e_i;
        loss = −log σ(score(u, i) − score(u, j)) + λ/2 (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²), a mean per triple, never negative;

    i is a film that u watched, j one that u did not. The graph is propagated once a step, and once more at the end: the
    scorer keeps E. Departure: every event is in an epoch once, where the authors' code draws users, then events. A step
    costs a propagation whatever its size, so batches larger than the paper's 2048 make large data cheaper.

    layers: K. regularization: λ. embedding_size: columns of E. initial_deviation: of the embeddings, from N(0, its
    square); the authors' code has 0.1, public libraries about 0.02.
    """

    learning_rate: float = Field(default=1e-3, gt=0.0)
    embedding_size: int = Field(default=64, ge=1)
    initial_deviation: float = Field(default=0.1, gt=0.0)
    layers: int = Field(default=3, ge=0)
    regularization: float = Field(default=1e-4, ge=0.0)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one event with one film that its user did not watch."""
        with seeded(run):
            network = LightgcnNetwork(train.interactions.matrix(), self)
        batches = watched_and_not(train.interactions, self.batch_size, negatives=1)
        return learn(network, batches, LightgcnNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a node; in a step, four more of each on the way forth and four back, and three a row of the batch;
        the graph has two entries an event, two indices and a weight each, and
        about three int64 an event stay from its making.
        """
        nodes = shape.n_users + shape.n_items
        parameters = nodes * self.embedding_size
        step = graph_bytes(shape) + FLOAT * (8 * parameters + 9 * self.batch_size * self.embedding_size)
        a_step = propagation(shape, self.embedding_size, self.layers) + 1e-8 * parameters
        seconds = shape.n_events / self.batch_size * a_step + 5e-7 * shape.n_events
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class LightgcnNetwork(Learner):
    """Nodes are the users, then the films. `initial`: [nodes × embedding_size]."""

    def __init__(self, watched: sparse.csr_matrix, recipe: Lightgcn) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.graph = Graph(watched)
        self.initial = self.graph.embeddings(recipe.embedding_size, recipe.initial_deviation)

    def propagated(self) -> Tensor:
        """E, the mean over the layers: [nodes × embedding_size]."""
        return mean_of(self.graph.layers(self.initial, self.recipe.layers))

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows]; films int64 [rows × 2], one watched and one not → mean per row."""
        nodes = self.graph.triples(users, films)
        return ranking_with_penalty(self.propagated(), self.initial, nodes, self.recipe.regularization)

    def factors(self) -> Factors:
        """The scorer of the current embeddings."""
        return Factors(*self.graph.sides(self.propagated()))
