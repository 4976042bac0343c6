"""iALS: factors of all pairs of users and films by alternating least squares (Hu, Koren and Volinsky 2008)."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, LONG, Cost, Shape
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.factors import Factors
from recpipe.scoring.folding import FoldIn, padded
from recpipe.training.costs import Stream, learned, ranking
from recpipe.training.loop import Batch, Solver, learn, seeded
from recpipe.training.settings import Schedule

_CELLS = 2**21
"""Numbers held at once for a group of rows: 8 MiB."""


@final
class Ials(Recipe):
    """score[u, i] = p_u · q_i. Loss, with S the pairs watched and S_u, S_i those of one user, one film:

        Σ_(u,i)∈S (p_u · q_i − 1)² + alpha · Σ_all pairs (p_u · q_i)²
            + λ Σ_u (|S_u| + alpha · n_items)^ν ‖p_u‖² + λ Σ_i (|S_i| + alpha · n_users)^ν ‖q_i‖².

    An epoch solves for all users with the films held, then for all films with the users held, exactly; with Q_u the
    factors of u's films, [|S_u| × embedding_size], λ_u the user's weight in the last line:

        p_u = (Q_uᵀ Q_u + alpha · QᵀQ + λ_u I)⁻¹ Q_uᵀ 1,

    by Cholesky's factors, for groups of users with about as many films at once. What is reported as loss is the mean
    over the rows solved for of what they add to the loss, before they are.

    regularization: λ. scaling: ν; 0 is one weight for all, 1 is the frequency scaling of ALS with one event an entry.

    Source: Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets", ICDM, in the form of
    Rendle, Krichene, Zhang and Koren 2022, "Revisiting the Performance of iALS on Item Recommendation Benchmarks",
    RecSys: loss, ν, and initial factors N(0, 0.1² / embedding_size). Departures: none from the latter; the former's
    confidence grows with the number of times watched, which is one here. Who was not there at training gets factors
    from the history at hand, by the same formula; who was, keeps those of training.
    """

    embedding_size: int = Field(default=64, ge=1)
    regularization: float = Field(default=0.3, gt=0.0)
    alpha: float = Field(default=0.5, gt=0.0)
    scaling: float = Field(default=0.5, ge=0.0)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=5, ge=1)

    memory_hint: ClassVar[str] = (
        "set a smaller embedding_size, or keep fewer users and films (k-core in conf/dataset.yaml)"
    )

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors; zero for who watched nothing and for films that nobody watched."""
        with seeded(run):
            network = ImplicitFactors(train.n_users, train.n_items, self)
        groups = alternating(train.interactions, self.embedding_size)
        schedule = Schedule(self.epochs, learning_rate=0.0, patience=self.patience)
        return learn(network, lambda numbers: groups, ImplicitFactors.as_factors, schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, a group's films' vectors and its matrices and the other side's
        vectors; each event twice as an int64, with a quarter more for padding. Time: embedding_size² an event
        and embedding_size³ a row, and what a step takes whatever its size.
        """
        size, rows = self.embedding_size, shape.n_users + shape.n_items
        longest = int(max(shape.lengths.max(initial=0), shape.counts.max(initial=0)))
        group = min(max(_CELLS, size * (longest + size)), size * (2 * shape.n_events + rows * size))
        step = FLOAT * 2 * group + FLOAT * size * max(shape.n_users, shape.n_items)
        groups = Stream(2.5 * LONG * shape.n_events, 4 * LONG * shape.n_events)
        seconds = 6e-11 * size**2 * 2 * shape.n_events + rows * (1e-10 * size**3 + 1e-6)
        return learned(rows * size, step, BLAS + ranking(shape), groups, seconds)


class ImplicitFactors(Solver):
    """p [n_users × embedding_size], q [n_items × embedding_size]."""

    def __init__(self, n_users: int, n_items: int, recipe: Ials) -> None:
        super().__init__()
        self.recipe = recipe
        deviation = 0.1 / recipe.embedding_size**0.5
        self.users = nn.Parameter(torch.randn(n_users, recipe.embedding_size) * deviation)
        self.items = nn.Parameter(torch.randn(n_items, recipe.embedding_size) * deviation)

    def step(self, rows: Tensor, watched: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """Solve for the rows of one side. rows: int64 [rows]. watched: int64 [rows × most], padded with the number of
        rows on the other side. side: 0-d, 0 for users and 1 for films.
        """
        own, other = (self.users, self.items) if int(side) == 0 else (self.items, self.users)
        counts = (watched < len(other)).sum(dim=1, dtype=own.dtype)
        near = torch.cat((other, other.new_zeros(1, other.shape[1])))[watched]
        scales = (counts + self.recipe.alpha * len(other)) ** self.recipe.scaling
        matrices = near.mT @ near + self.recipe.alpha * (other.T @ other)
        matrices.diagonal(dim1=1, dim2=2).add_(self.recipe.regularization * scales[:, None])
        sums = near.sum(dim=1)
        before = own[rows]
        products = torch.linalg.vecdot(matrices, before[:, None, :])
        losses = (before * (products - 2 * sums)).sum(dim=1) + counts
        own[rows] = torch.cholesky_solve(sums[..., None], torch.linalg.cholesky(matrices))[..., 0]
        return losses.mean(), torch.linalg.vector_norm(2 * (products - sums))

    def as_factors(self) -> Factors:
        """Copies, as plain arrays."""
        users, items = (table.detach().cpu().numpy().copy() for table in (self.users, self.items))
        fold_in = FoldIn(self.recipe.alpha, self.recipe.regularization, self.recipe.scaling)
        return Factors(users, items, fold_in=fold_in)


def alternating(interactions: Interactions, embedding_size: int) -> list[Batch]:
    """What `ImplicitFactors.step` takes, one group after the other: all users, then all films, the longest first."""
    watched = interactions.matrix()
    return [*_groups(watched, embedding_size, 0), *_groups(watched.T.tocsr(), embedding_size, 1)]


def _groups(matrix: sparse.csr_matrix, embedding_size: int, side: int) -> list[Batch]:
    lengths = np.diff(matrix.indptr)
    order = np.argsort(-lengths, kind="stable")
    groups: list[Batch] = []
    start = 0
    while start < len(order):
        most = int(lengths[order[start]])
        rows = order[start : start + max(1, _CELLS // (embedding_size * (most + embedding_size)))]
        columns = padded(matrix, rows, most)
        groups.append((torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns), torch.tensor(side)))
        start += len(rows)
    return groups
