"""Biased matrix factorisation, pointwise on implicit targets (Koren, Bell and Volinsky 2009)."""

from __future__ import annotations

from typing import Literal, final

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
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import watched_first, watched_squared
from recpipe.training.products import entries, products
from recpipe.training.settings import GradientRecipe


@final
class Mf(GradientRecipe):
    """s[u, i] = m + b[u] + b[i] + p[u] · q[i], learned on films watched (target 1) and sampled others (target 0).

    loss "squared" is the paper's: mean of (t - s)². "logistic": mean of -[t ln σ(s) + (1 - t) ln(1 - σ(s))], as for
    matrix factorisation in Rendle et al. 2020. A mean over the film watched and its `negatives`; never negative.

    Departures: the targets are implicit, and the negatives sampled anew each epoch among the films never watched; the
    penalty on p and q is AdamW's decoupled decay of whole tables, biases free; confidence weights and the terms for
    time and side data are left out.
    """

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=4, ge=1)
    loss: Literal["squared", "logistic"] = "logistic"

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors whose scores are s in full: the user's bias and the mean sit in one more column."""
        with seeded(run):
            network = BiasedFactors(train.n_users, train.n_items, self.embedding_size, self.loss)
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(network, batches, BiasedFactors.as_factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector and a bias a user and a film; in a step, six times the vectors of all films of a batch."""
        parameters = (shape.n_users + shape.n_items) * (self.embedding_size + 1)
        rows = self.batch_size * (1 + self.negatives)
        step = FLOAT * rows * (6 * self.embedding_size + 16)
        seconds = shape.n_events * (1 + self.negatives) * (2e-7 + 5e-9 * self.embedding_size)
        seconds += shape.n_events / self.batch_size * 3e-9 * parameters
        return learned(parameters, step, BLAS + ranking(shape), pairs_stream(shape), seconds)


class BiasedFactors(Learner):
    """m, b[u], b[i], p [n_users × embedding], q [n_items × embedding]; the biases start at zero."""

    def __init__(self, n_users: int, n_items: int, embedding_size: int, loss: str) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))
        self.user_biases = nn.Parameter(torch.zeros(n_users))
        self.item_biases = nn.Parameter(torch.zeros(n_items))
        self.users = nn.Embedding(n_users, embedding_size)
        self.items = nn.Embedding(n_items, embedding_size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1 / embedding_size**0.5)
        self.pointwise = watched_squared if loss == "squared" else watched_first

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        found = products(self.users.weight, self.items.weight, users, films)
        return self.pointwise(self.mean + self.user_biases[users, None] + entries(self.item_biases, films) + found)

    def as_factors(self) -> Factors:
        """The same scores as plain arrays."""
        constant = (self.mean + self.user_biases).detach().cpu().numpy()
        users, items = (table.weight.detach().cpu().numpy() for table in (self.users, self.items))
        ones = np.ones((len(items), 1), dtype=np.float32)
        return Factors(
            np.concatenate((users, constant[:, None]), axis=1),
            np.concatenate((items, ones), axis=1),
            self.item_biases.detach().cpu().numpy().copy(),
        )
