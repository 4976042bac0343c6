"""DeepFM: a factorisation machine and an MLP over the same vectors.

Guo, Tang, Ye, Li and He, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction" (IJCAI 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PairNetwork
from recpipe.training.dropout import Dropout
from recpipe.training.field_networks import FieldHead, FieldRecipe, Prepared
from recpipe.training.fields import FIELDS, products
from recpipe.training.losses import watched_first


@final
class DeepFm(FieldRecipe):
    """Guo et al. 2017. Fields are the user, the film's own number, its genres, directors, writers and year; v_f is the
    mean of the vectors of the film's values in field f, zeros where it has none, and w_f likewise:

        s(u, i) = w_0 + w_u + Σ_f w_f + Σ_(f < g) v_f · v_g + h · MLP([v_u ; v_film ; v_genres ; … ; v_year]),

    f and g over all fields of (u, i); one set of vectors serves both parts. The loss is binary cross-entropy on the
    film watched and `negatives` sampled others: a mean over both, never negative.

    layers: the widths of the MLP's layers, each with ReLU and, between them, dropout. Its first layer is the sum of a
    part of the user and one of the film, each computed once; the products of fields are those of `fm`.

    Departures: a field of several values has their mean as its one vector, and these have no product among themselves;
    the targets are implicit, their negatives sampled; AdamW, with a decoupled decay of vectors and layers, in place of
    Adam; the scores are logits, whose order is that of the paper's sigmoid.
    """

    layers: tuple[PositiveInt, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def head(self) -> DeepFmHead:
        """Untrained."""
        return DeepFmHead(self.embedding_size, self.layers, self.dropout)

    @property
    def objective(self) -> Callable[[Tensor], Tensor]:
        """Binary cross-entropy."""
        return watched_first

    def fit(self, train: TrainingSet, run: Run) -> PairNetwork:
        """A network over pairs."""
        return self.taught(self.learner(train, run), train, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector and a weight a user, film and value; in a step, the fields of all films with their gradients, and
        for each film of the batch six times all widths that it passes.
        """
        size, first = self.embedding_size, self.layers[0]
        passed = sum(a * b for a, b in pairwise(self.layers))
        pair = 6 * (size + sum(self.layers))
        seconds = 2e-7 + 7e-9 * (size + sum(self.layers)) + 1.5e-10 * passed
        return self.cost_of_pairs(shape, pair, 4 * (size + first), seconds)


class DeepFmHead(FieldHead):
    """Products of fields, and an MLP whose first layer is the sum of both sides' parts."""

    def __init__(self, size: int, layers: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.width = layers[0]
        self.user_part = nn.Linear(size, layers[0])
        self.film_part = nn.Linear(len(FIELDS) * size, layers[0], bias=False)
        steps = [[nn.ReLU(), Dropout(dropout), nn.Linear(*widths)] for widths in pairwise(layers)]
        self.rest = nn.Sequential(*(module for step in steps for module in step), nn.ReLU())
        self.output = nn.Linear(layers[-1], 1, bias=False)

    def of_users(self, vectors: Tensor) -> Prepared:
        """v_u and its part of the first layer."""
        return vectors, self.user_part(vectors)

    def of_films(self, vectors: Tensor) -> Prepared:
        """Σ_f v_f, the products among the film's own fields, and its part of the first layer."""
        return *products(vectors), self.film_part(vectors.flatten(1))

    def pairs(self, users: Prepared, films: Prepared) -> Tensor:
        """Both parts."""
        (people, of_users), (sums, among, of_films) = users, films
        deep = self.output(self.rest(of_users + of_films))[..., 0]
        return torch.einsum("uxs,ufs->uf", people, sums) + among + deep
