"""NNCF: a user, a film and the neighbourhoods of both in one network (Bai, Wen, Zhang and Zhao 2017)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, final

import torch
from pydantic import Field, PositiveInt
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PAIRS, PairNetwork
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, propagation, ranking
from recpipe.training.graph import Graph, symmetric_product
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import watched_first
from recpipe.training.settings import GradientNetworkRecipe


@final
class Nncf(GradientNetworkRecipe):
    """Bai et al., "A Neural Collaborative Filtering Model with Interaction-based Neighborhood" (CIKM 2017).

        s[u, i] = h · z + MLP(z) + c,  z = [p[u] ⊙ q[i] ; m[u] ⊙ q[i] ; p[u] ⊙ n[i]],
        m[u] = |F|^−α Σ_{j ∈ F} a[j], F: the films of u without i;  n[i] = |U|^−α Σ_{v ∈ U} b[v], U: the users of i
        without u.

    The loss is binary cross-entropy on the film watched and `negatives` sampled others: a mean over both, never
    negative. neighbourhoods: "crossed" as above; "joined" as in the paper, z = [p[u] ⊙ q[i] ; m[u] ; n[i]], whose
    parts meet in hidden units alone. parts: "linear", h · z; "mlp", with ReLU after each of `layers`, as in the paper;
    or "both". alpha: α.

    A film not watched is in no neighbourhood of its pair, while the film watched would be in u's, and u in the film's:
    that gives the answer away where it is learned, and no film to recommend has it. So the pair itself is taken out of
    both neighbourhoods in training; the authors' code leaves it in. Neighbourhoods are added up once a step for all
    users and films, and what stands for the pair is subtracted.

    Departures: crossed neighbourhoods and the linear part are this project's; the paper has them "joined" and parts
    "mlp". All direct neighbours count and are added up. The authors' code takes 50 of them at random, or of a community
    found by Louvain's method, convolves each five that follow each other and keeps the maxima; but they follow in no
    order in which a kernel could find anything, and one of width 1 would only make another a or b. No dropout and no
    batch normalisation; AdamW; the scores are logits, whose order is that of the paper's sigmoid.
    """

    embedding_size: int = Field(default=64, ge=1)
    layers: tuple[PositiveInt, ...] = Field(default=(8,), min_length=1)
    neighbourhoods: Literal["crossed", "joined"] = "crossed"
    parts: Literal["linear", "mlp", "both"] = "both"
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    negatives: int = Field(default=4, ge=1)

    def network(self, n_users: int, n_items: int) -> NncfNetwork:
        """What scores: the weights over z, untrained, beside both sides of z."""
        width = 3 * self.embedding_size
        return NncfNetwork(torch.zeros(n_users, width), torch.zeros(n_items, width), Head(self))

    def fit(self, train: TrainingSet, run: Run) -> PairNetwork:
        """A network over pairs, with the neighbourhoods of the training part."""
        with seeded(run):
            learner = NncfLearner(train.interactions.matrix(), self)
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)

        def as_scorer(fitted: NncfLearner) -> PairNetwork:
            return PairNetwork(fitted.network(), train.n_users, train.n_items)

        return learn(learner, batches, as_scorer, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """Two vectors a node; in a step eight more, eight times all widths that a film of the batch passes, and the
        graph, an index and a weight for each of its two entries an event; when scoring, both sides of z and four times
        the MLP's first layer for a block of pairs.
        """
        nodes = shape.n_users + shape.n_items
        parameters = 2 * nodes * self.embedding_size + self.parameter_count(shape)
        widths = 3 * self.embedding_size + sum(self.layers)
        rows = self.batch_size * (1 + self.negatives)
        graph = 2 * (LONG + FLOAT) * shape.n_events
        step = graph + FLOAT * (8 * nodes * self.embedding_size + 8 * rows * widths)
        scoring = ranking(shape, 1) + 4 * FLOAT * max(PAIRS, shape.n_items) * self.layers[0]
        seconds = shape.n_events * (1 + self.negatives) * (1e-7 + 7e-9 * widths)
        a_step = propagation(shape, self.embedding_size, 1) + 4e-9 * parameters
        seconds += shape.n_events / self.batch_size * a_step
        return learned(parameters, step, scoring, pairs_stream(shape), seconds)


class Head(nn.Module):
    """From z, [... × three embeddings], to scores. h and c are a unit of `first` before those of the MLP's first layer,
    so that z, the largest array by far, is read once."""

    def __init__(self, recipe: Nncf) -> None:
        super().__init__()
        linear, layers = recipe.parts != "mlp", recipe.layers if recipe.parts != "linear" else ()
        self.split = [int(linear), sum(layers[:1])]
        self.first = nn.Linear(3 * recipe.embedding_size, sum(self.split))
        steps = [[nn.ReLU(), nn.Linear(*widths)] for widths in pairwise(layers)]
        last = [nn.ReLU(), nn.Linear(layers[-1], 1, bias=not linear)] if layers else []
        self.rest = nn.Sequential(*(module for step in (*steps, last) for module in step))

    def pairs(self, products: Tensor) -> Tensor:
        """z [... × width] → s [...]."""
        return self._scores(self.first(products))

    def all_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Sides of z, [rows × width] and [n_items × width] → s [rows × n_items]; z = users ⊙ items is never formed."""
        maps = users[:, None, :] * self.first.weight  # [rows × units × width]
        return self._scores(items @ maps.mT + self.first.bias)

    def _scores(self, units: Tensor) -> Tensor:
        straight, hidden = units.split(self.split, dim=-1)
        return straight.sum(dim=-1) + self.rest(hidden).sum(dim=-1)  # each of one number, or of none: a part not there


class NncfNetwork(nn.Module):
    """z of a pair is the product of a user's side and a film's, [n_users × width] and [n_items × width]."""

    users: Tensor
    items: Tensor

    def __init__(self, users: Tensor, items: Tensor, head: Head) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("users", users)
        self.register_buffer("items", items)

    def scores(self, users: Tensor) -> Tensor:
        """users int64 [rows] → s [rows × n_items]."""
        return self.head.all_pairs(self.users[users], self.items)


class NncfLearner(Learner):
    """Nodes are the users, then the films. `vectors`: p, then q; `neighbours`: b, then a; [nodes × embedding_size]."""

    adjacency: Tensor
    degrees: Tensor

    def __init__(self, watched: sparse.csr_matrix, recipe: Nncf) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.n_users, self.n_items = watched.shape
        graph, shape = Graph(watched), (sum(watched.shape), recipe.embedding_size)
        self.register_buffer("adjacency", graph.weighed(torch.ones(len(graph.edges))), persistent=False)
        self.register_buffer("degrees", self.adjacency.crow_indices().diff(), persistent=False)
        self.vectors, self.neighbours = (nn.Parameter(torch.randn(shape) * 0.01) for _ in range(2))
        self.head = Head(recipe)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first; that pair without itself."""
        sums = self._sums()
        watched = films[:, 0] + self.n_users
        of_users, of_items = self._without(users, watched, sums), self._without(watched, users, sums)
        found = self._user_sides(self.vectors[users], of_users) * self._item_sides(self.vectors[watched], of_items)
        user_sides, item_sides = self._sides(sums)
        others = functional.embedding(users, user_sides)[:, None] * functional.embedding(films[:, 1:], item_sides)
        return watched_first(torch.cat((self.head.pairs(found[:, None]), self.head.pairs(others)), dim=1))

    def network(self) -> NncfNetwork:
        """What scores, with whole neighbourhoods."""
        return NncfNetwork(*self._sides(self._sums()), self.head)

    def _sums(self) -> Tensor:
        """Over each node's neighbours, [nodes × embedding_size]; in float32, or nothing could be taken out of them."""
        return symmetric_product(self.adjacency, self.neighbours)

    def _without(self, nodes: Tensor, taken: Tensor, sums: Tensor) -> Tensor:
        """m or n of `nodes`, int64 [rows], with one neighbour of each taken out: [rows × embedding_size]."""
        return self._pooled(sums[nodes] - self.neighbours[taken], self.degrees[nodes] - 1)

    def _pooled(self, sums: Tensor, counts: Tensor) -> Tensor:
        return sums * counts.clamp(min=1)[:, None] ** -self.recipe.alpha

    def _sides(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Of all users and of all films: [n_users × width], [n_items × width]."""
        sizes = [self.n_users, self.n_items]
        users, items = self.vectors.split(sizes)
        of_users, of_items = self._pooled(sums, self.degrees).split(sizes)
        return self._user_sides(users, of_users), self._item_sides(items, of_items)

    def _user_sides(self, own: Tensor, pooled: Tensor) -> Tensor:
        return torch.cat((own, pooled, self._opposite(own)), dim=1)

    def _item_sides(self, own: Tensor, pooled: Tensor) -> Tensor:
        return torch.cat((own, self._opposite(own), pooled), dim=1)

    def _opposite(self, own: Tensor) -> Tensor:
        """What a neighbourhood on the other side is multiplied with."""
        return own if self.recipe.neighbourhoods == "crossed" else torch.ones_like(own)
