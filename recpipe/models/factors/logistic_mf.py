"""Logistic matrix factorisation: the probability that a user watches a film, over all pairs (Johnson 2014)."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import user_batches, watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking, users_stream
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.products import entries, products
from recpipe.training.settings import GradientRecipe


@final
class LogisticMf(GradientRecipe):
    """s[u, i] = x[u] · y[i] + b[u] + b[i], and user u watches film i with probability σ(s[u, i]). The loss is

        −[alpha · X[u, i] · ln σ(s[u, i]) + ln(1 − σ(s[u, i]))],  X binary [users × films],

    the paper's for one event a pair: what was watched counts `alpha` times for it, and every pair once against it.
    negatives: None takes the mean over all films of a user, as the paper's sum does, in batches of `batch_size` users
    whose scores are one product of matrices: on MovieLens 100K that takes a third of the time of a pass over the events
    with four sampled films each, and has no sampling noise. A number takes the mean over each film watched and so many
    sampled others instead, in batches of events, for catalogues with too many pairs.

    Source: Johnson 2014, "Logistic Matrix Factorization for Implicit Feedback Data", NIPS workshop on distributed
    machine learning. Departures: users and films change together, by AdamW on batches of users, where the paper takes
    turns with AdaGrad on all of them; its penalty is AdamW's decoupled decay, which leaves biases free.
    """

    embedding_size: int = Field(default=64, ge=1)
    alpha: float = Field(default=1.0, gt=0.0)
    negatives: int | None = Field(default=None, ge=1)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors whose scores are s in full: the user's bias sits in one more column."""
        with seeded(run):
            network = LogisticFactors(train.n_users, train.n_items, self)
        if self.negatives is None:
            batches = user_batches(train.interactions, self.batch_size)
        else:
            batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(network, batches, LogisticFactors.as_factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector and a bias a user and a film; in a step, seven rows of all films a user of the batch, or six times
        the vectors of all films of a batch where negatives are sampled.
        """
        parameters = (shape.n_users + shape.n_items) * (self.embedding_size + 1)
        if self.negatives is None:
            rows, films, examples, stream = shape.n_users, shape.n_items, shape.n_users, users_stream(shape)
            step = FLOAT * 7 * min(self.batch_size, rows) * films
            seconds = rows * films * (1e-8 + 1e-10 * self.embedding_size)
        else:
            examples, stream = shape.n_events, pairs_stream(shape)
            step = FLOAT * self.batch_size * (1 + self.negatives) * (6 * self.embedding_size + 16)
            seconds = shape.n_events * (1 + self.negatives) * (2e-7 + 5e-9 * self.embedding_size)
        seconds += max(1, examples / self.batch_size) * 3e-9 * parameters
        return learned(parameters, step, BLAS + ranking(shape), stream, seconds)


class LogisticFactors(Learner):
    """b[u], b[i], x [n_users × embedding_size], y [n_items × embedding_size]; the biases start at zero."""

    def __init__(self, n_users: int, n_items: int, recipe: LogisticMf) -> None:
        super().__init__()
        self.alpha = recipe.alpha
        self.loss = self.loss_of_all if recipe.negatives is None else self.loss_of_sampled
        self.user_biases = nn.Parameter(torch.zeros(n_users))
        self.item_biases = nn.Parameter(torch.zeros(n_items))
        self.users = nn.Embedding(n_users, recipe.embedding_size)
        self.items = nn.Embedding(n_items, recipe.embedding_size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1 / recipe.embedding_size**0.5)

    def loss_of_all(self, histories: Tensor, users: Tensor) -> Tensor:
        """histories [rows × n_items], binary; users [rows]."""
        scores = self.users(users) @ self.items.weight.T + self.user_biases[users, None] + self.item_biases
        return self._mean(scores, histories)

    def loss_of_sampled(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        found = products(self.users.weight, self.items.weight, users, films)
        watched = torch.zeros_like(found)
        watched[:, 0] = 1.0
        return self._mean(found + self.user_biases[users, None] + entries(self.item_biases, films), watched)

    def _mean(self, scores: Tensor, watched: Tensor) -> Tensor:
        """alpha X softplus(−s) + softplus(s), as (1 + alpha X) softplus(s) − alpha X s: one exponential a pair."""
        scores, weights = scores.float(), self.alpha * watched
        return ((1.0 + weights) * functional.softplus(scores) - weights * scores).mean()

    def as_factors(self) -> Factors:
        """The same scores as plain arrays."""
        users, items = (table.weight.detach().cpu().numpy() for table in (self.users, self.items))
        ones = np.ones((len(items), 1), dtype=np.float32)
        return Factors(
            np.concatenate((users, self.user_biases.detach().cpu().numpy()[:, None]), axis=1),
            np.concatenate((items, ones), axis=1),
            self.item_biases.detach().cpu().numpy().copy(),
        )
