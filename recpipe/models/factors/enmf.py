"""ENMF: factors learned from all pairs of a user and a film, none of them sampled.

Chen, Zhang, Zhang, Liu and Ma, "Efficient Neural Matrix Factorization without Sampling for Recommendation" (TOIS 2020).
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, LONG, Cost, Shape
from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.training.batches import Batch, Stream, Streams
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.dropout import Dropout
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientRecipe
from recpipe.training.watched import Watched


@final
class Enmf(GradientRecipe):
    """s[u, i] = h · (p[u] ⊙ q[i]) is to be 1 for the films S[u] that u watched, and 0 for all others with weight c:

        loss = Σ_(i in S[u]) (1 - s[u, i])² + c Σ_(i not in S[u]) s[u, i]²,  a mean per user, never negative.

    No pair is left out and none is visited but those watched: with the sums over the users of a batch, it equals

        Σ_u Σ_(i in S[u]) ((1 - c) s² - 2 s + 1) + c Σ_kl h[k] h[l] (Σ_u p[u, k] p[u, l]) (Σ_i q[i, k] q[i, l]).

    The 1 is a constant that the paper drops, whose loss is therefore negative. negative_weight: c, one for all films as
    in the authors' code; what was watched weighs 1. dropout: of p[u], one draw for both terms, or the second would no
    longer be the sum that the first is taken out of.

    Departures: AdamW, whose decoupled decay stands for the paper's L2 penalty, in place of Adagrad; a mean per user
    where the authors' code has a sum, so that neither the rate nor the length of the gradient follows the size of a
    batch; no padding: their code fills histories up with one more film, which counts among all films; p and q start
    at N(0, 0.1²) and h at 1, since the first gradients nearly vanish at their 0.01 for all three.
    """

    embedding_size: int = Field(default=64, ge=1)
    negative_weight: float = Field(default=0.1, gt=0.0, le=1.0)
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    batch_size: int = Field(default=256, ge=1)

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Each example is one user with a training event, with all of the films."""
        with seeded(run):
            network = EnmfNetwork(train.interactions, self)
        batches = active_users(train.interactions, self.batch_size)
        return learn(network, batches, EnmfNetwork.factors, self.schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, six vectors for each film watched by a user of the batch; the films of
        each user, int64."""
        parameters = (shape.n_users + shape.n_items + 1) * self.embedding_size
        rows = min(self.batch_size, shape.n_users)
        pairs = rows * shape.n_events / max(1, shape.n_users)
        step = FLOAT * pairs * 6 * self.embedding_size + LONG * shape.n_events
        seconds = shape.n_events * (1e-7 + 5e-9 * self.embedding_size)
        seconds += shape.n_users / rows * (4e-9 * parameters + 1e-10 * shape.n_items * self.embedding_size**2)
        return learned(parameters, step, BLAS + ranking(shape), users_stream(shape), seconds)


class EnmfNetwork(Learner):
    """p [n_users × embedding], q [n_items × embedding], h [embedding]."""

    def __init__(self, interactions: Interactions, recipe: Enmf) -> None:
        super().__init__()
        self.negative_weight = recipe.negative_weight
        self.dropout = Dropout(recipe.dropout)
        self.users = nn.Embedding(interactions.n_users, recipe.embedding_size)
        self.items = nn.Embedding(interactions.n_items, recipe.embedding_size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)
        self.weights = nn.Parameter(torch.ones(recipe.embedding_size))
        self.watched = Watched(interactions)

    def loss(self, users: Tensor) -> Tensor:
        """users int64 [rows], each once → mean per row. In float32 also where the loop would take half of the bits:
        the second term is a sum over all films, out of which the first takes those watched."""
        with torch.autocast(users.device.type, enabled=False):
            vectors = self.dropout(self.users(users)) * self.weights  # [rows × embedding]
            rows, films = self.watched.pairs(users)
            scores = (functional.embedding(rows, vectors) * self.items(films)).sum(dim=1)
            watched = ((1 - self.negative_weight) * scores.square() - 2 * scores + 1).sum()
            everywhere = ((vectors.T @ vectors) * (self.items.weight.T @ self.items.weight)).sum()
            return (watched + self.negative_weight * everywhere) / len(users)

    def factors(self) -> Factors:
        """The same scores as plain arrays; h lies in the users' vectors."""
        users = (self.users.weight * self.weights).detach().cpu().numpy()
        return Factors(users, self.items.weight.detach().cpu().numpy().copy())


def active_users(interactions: Interactions, batch_size: int) -> Streams:
    """(users int64 [rows],): one row a user with an event."""
    active = np.unique(interactions.users).astype(np.int64)

    def batch(rows: LongArray) -> Batch:
        return (torch.from_numpy(rows),)

    return lambda numbers: Stream(numbers.permutation(active), batch_size, batch)
