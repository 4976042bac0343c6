"""Factorisation machine over the user and all that is known of a film.

Rendle, "Factorization Machines" (ICDM 2010). The logistic loss on sampled negatives: Rendle, Krichene, Zhang and
Anderson, "Neural Collaborative Filtering vs. Matrix Factorization Revisited" (RecSys 2020).
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.fields import FIELDS, USUAL_VALUES, FieldVectors, FilmFields, products
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import watched_first, watched_squared
from recpipe.training.settings import GradientRecipe


@final
class Fm(GradientRecipe):
    """Rendle 2010. Fields are the user, the film's own number, its genres, directors, writers and year. v_f is the mean
    of the vectors of the film's values in field f, zeros where it has none, and w_f likewise:

        s(u, i) = w_0 + w_u + Σ_f w_f + Σ_(f < g) v_f · v_g,  f and g over all fields of (u, i),
        Σ_(f < g) v_f · v_g = v_u · Σ_f v_f + ½ (|Σ_f v_f|² − Σ_f |v_f|²),  f over the film's fields,

    so that the scores of all films are one matrix product, whatever the films are known by. The targets are 1 for a
    film watched and 0 for `negatives` sampled others; with one there are as many of each.

    loss: "squared", (t − s)², or "logistic", −[t ln σ(s) + (1 − t) ln(1 − σ(s))]; a mean over targets, never negative.
    film_dropout: share of films that are known by their side data alone in a step, so that these learn to speak for a
    film that nobody has watched yet: such a film's own vector and weight are zero when it is scored.

    Departures: two values of one field have no product of their own, since a field has one vector; the targets are
    implicit; AdamW's decoupled decay of the vectors stands for the penalty, weights are free.
    """

    uses_features: ClassVar[bool] = True

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=4, ge=1)
    loss: Literal["squared", "logistic"] = "squared"
    film_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    minimum_films: int = Field(default=2, ge=1)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors whose scores are s in full: what a user brings alone sits in one more column, a film in the bias."""
        with seeded(run):
            network = FmNetwork(train.n_users, FilmFields.of(train, self.minimum_films), self)
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(network, batches, FmNetwork.as_factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector and a weight a user, film and value; in a step, the fields of all films with their gradients, and
        six times the vectors of all films of a batch.
        """
        parameters = (shape.n_users + (1 + USUAL_VALUES) * shape.n_items) * (self.embedding_size + 1)
        rows = self.batch_size * (1 + self.negatives)
        fields = 6 * len(FIELDS) * shape.n_items
        step = FLOAT * (rows * (6 * self.embedding_size + 16) + fields * self.embedding_size)
        seconds = shape.n_events * (1 + self.negatives) * (2e-7 + 5e-9 * self.embedding_size)
        a_step = 3e-9 * parameters + 1e-9 * fields * self.embedding_size
        seconds += shape.n_events / self.batch_size * a_step
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class FmNetwork(Learner):
    """w_0, w_u, v_u [n_users × size] and the films' fields; weights start at zero."""

    def __init__(self, n_users: int, fields: FilmFields, recipe: Fm) -> None:
        super().__init__()
        size = recipe.embedding_size
        self.film_dropout = recipe.film_dropout
        self.mean = nn.Parameter(torch.zeros(()))
        self.user_weights = nn.Parameter(torch.zeros(n_users))
        self.users = nn.Embedding(n_users, size)
        nn.init.normal_(self.users.weight, std=0.1 / size**0.5)
        self.fields = FieldVectors(fields, size, 0.1 / size**0.5)
        self.pointwise = watched_squared if recipe.loss == "squared" else watched_first

    def films(self) -> tuple[Tensor, Tensor]:
        """Σ_f v_f of every film [n_items × size], and what its fields bring without the user [n_items]."""
        vectors, weights = self.fields(self.fields.heard(self.film_dropout))
        sums, among = products(vectors)
        return sums, weights + among

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        sums, alone = self.films()
        products = (self.users(users)[:, None, :] * sums[films]).sum(dim=2)
        return self.pointwise(self.mean + self.user_weights[users, None] + alone[films] + products)

    def as_factors(self) -> Factors:
        """The same scores as plain arrays."""
        sums, alone = (tensor.detach().cpu().numpy() for tensor in self.films())
        constant = (self.mean + self.user_weights).detach().cpu().numpy()
        users = self.users.weight.detach().cpu().numpy()
        ones = np.ones((len(sums), 1), dtype=np.float32)
        return Factors(
            np.concatenate((users, constant[:, None]), axis=1), np.concatenate((sums, ones), axis=1), alone.copy()
        )
