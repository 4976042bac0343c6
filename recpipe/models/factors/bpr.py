"""Matrix factorisation by Bayesian personalised ranking (Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009)."""

from __future__ import annotations

from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr
from recpipe.training.negatives import popularity_weights
from recpipe.training.products import entries, products
from recpipe.training.settings import GradientRecipe


@final
class Bpr(GradientRecipe):
    """s[u, i] = b[i] + p[u] · q[i]; the loss is the mean over (u, i watched, j not) of -ln σ(s[u, i] - s[u, j]).

    The loss is never negative, and ln 2 before anything is learned. sampling: how j is drawn among the films that the
    user never watched: "uniform" as in the paper, or "popularity", by watchers ** 0.75.

    Departures: batches of a whole permutation of the events, not single triples drawn with replacement; AdamW, whose
    decoupled decay of whole tables stands for the paper's penalty on the rows of a triple; the film's bias is that of
    the authors' own MyMediaLite.
    """

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=1, ge=1)
    sampling: Literal["uniform", "popularity"] = "uniform"

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors with a bias a film."""
        with seeded(run):
            network = RankedFactors(train.n_users, train.n_items, self.embedding_size)
        weights = popularity_weights(train.interactions) if self.sampling == "popularity" else None
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives, weights)
        return learn(network, batches, RankedFactors.as_factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, six times the vectors of all films of a batch."""
        parameters = (shape.n_users + shape.n_items) * self.embedding_size + shape.n_items
        rows = self.batch_size * (1 + self.negatives)
        step = FLOAT * rows * (6 * self.embedding_size + 16)
        seconds = shape.n_events * (1 + self.negatives) * (2e-7 + 5e-9 * self.embedding_size)
        seconds += shape.n_events / self.batch_size * 3e-9 * parameters
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class RankedFactors(Learner):
    """b [n_items], zero at first, p [n_users × embedding], q [n_items × embedding]."""

    def __init__(self, n_users: int, n_items: int, embedding_size: int) -> None:
        super().__init__()
        self.item_biases = nn.Parameter(torch.zeros(n_items))
        self.users = nn.Embedding(n_users, embedding_size)
        self.items = nn.Embedding(n_items, embedding_size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1 / embedding_size**0.5)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        scores = products(self.users.weight, self.items.weight, users, films) + entries(self.item_biases, films)
        return bpr(scores[:, 0], scores[:, 1:])

    def as_factors(self) -> Factors:
        """The same scores as plain arrays."""
        tables = (self.users.weight, self.items.weight, self.item_biases)
        users, items, biases = (table.detach().cpu().numpy().copy() for table in tables)
        return Factors(users, items, biases)
