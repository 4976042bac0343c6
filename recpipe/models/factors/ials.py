"""iALS: factors of all pairs of users and films by alternating least squares (Hu, Koren and Volinsky 2008)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, final

import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.factors import Factors
from recpipe.scoring.folding import FoldIn
from recpipe.training.costs import Stream, learned, ranking
from recpipe.training.loop import Batch, Solver, learn, seeded
from recpipe.training.settings import Schedule
from recpipe.training.sparse_tensors import csr, sparse_product

_CELLS = 2**18
"""Numbers in the factors of the rows solved for at once: 1 MiB, what a processor's cache holds."""


@final
class Ials(Recipe):
    """score[u, i] = p_u · q_i. Loss, with S the pairs watched and S_u, S_i those of one user, one film:

        Σ_(u,i)∈S (p_u · q_i − 1)² + alpha · Σ_all pairs (p_u · q_i)²
            + λ Σ_u (|S_u| + alpha · n_items)^ν ‖p_u‖² + λ Σ_i (|S_i| + alpha · n_users)^ν ‖q_i‖².

    An epoch goes from all users, with the films held, to all films, with the users held. With Q_u the factors of u's
    films, [|S_u| × embedding_size], λ_u the user's weight in the last line, it makes p_u better towards the solution of

        (Q_uᵀ Q_u + alpha · QᵀQ + λ_u I) p_u = Q_uᵀ 1

    by `iterations` steps of conjugate gradients from the p_u of the epoch before. Both sides are first turned into the
    basis in which QᵀQ is diagonal, which changes no score: there alpha · QᵀQ + |S_u| / n_items · QᵀQ + λ_u I is a
    preconditioner that costs nothing, and two steps do what the exact solution does (docs/performance.md). What is
    reported as loss is the mean over the rows solved for of what they add to the loss, before they are.

    regularization: λ. scaling: ν; 0 is one weight for all, 1 is the frequency scaling of ALS with one event an entry.

    Source: Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets", ICDM, in the form of
    Rendle, Krichene, Zhang and Koren 2022, "Revisiting the Performance of iALS on Item Recommendation Benchmarks",
    RecSys: loss, ν, and initial factors N(0, 0.1² / embedding_size). Conjugate gradients: Takács, Pilászy and Tikk
    2011, "Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering", RecSys.
    Departures: the preconditioner; the first paper's confidence grows with the number of times watched, which is one
    here. Who was not there at training gets factors from the history at hand, by the exact solution; who was, keeps
    those of training.
    """

    embedding_size: int = Field(default=64, ge=1)
    regularization: float = Field(default=0.3, gt=0.0)
    alpha: float = Field(default=0.5, gt=0.0)
    scaling: float = Field(default=0.5, ge=0.0)
    iterations: int = Field(default=2, ge=1)
    epochs: int = Field(default=50, ge=1)
    patience: int = Field(default=5, ge=1)

    memory_hint: ClassVar[str] = (
        "set a smaller embedding_size, or keep fewer users and films (k-core in conf/dataset.yaml)"
    )

    def fit(self, train: TrainingSet, run: Run) -> Factors:
        """Factors; zero for who watched nothing and for films that nobody watched."""
        with seeded(run):
            network = ImplicitFactors(train.n_users, train.n_items, self)
        sides = both_sides(train.interactions)
        schedule = Schedule(self.epochs, learning_rate=0.0, patience=self.patience)
        return learn(network, lambda numbers: sides, ImplicitFactors.as_factors, schedule, run)

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, one side's once more as it is turned, eight times those of a block
        and its events; each event twice as an int32. Time: for each event and step, two products with a vector.
        """
        size, rows = self.embedding_size, shape.n_users + shape.n_items
        block = min(max(_CELLS, size), size * rows)
        longest = int(max(shape.lengths.max(initial=0), shape.counts.max(initial=0)))
        events = min(shape.n_events, longest * block // size)
        step = FLOAT * (size * max(shape.n_users, shape.n_items) + 8 * block + shape.n_events + 6 * events)
        sides = Stream(2 * FLOAT * shape.n_events, 5 * FLOAT * shape.n_events)
        passes = 2 * 2 * (1 + self.iterations) * shape.n_events
        seconds = passes * (2e-9 + 1e-10 * size) + rows * size * (4e-9 * (1 + self.iterations) + 1e-10 * size)
        return learned(rows * size, step, BLAS + ranking(shape), sides, seconds)


class ImplicitFactors(Solver):
    """p [n_users × embedding_size], q [n_items × embedding_size]."""

    def __init__(self, n_users: int, n_items: int, recipe: Ials) -> None:
        super().__init__()
        self.recipe = recipe
        deviation = 0.1 / recipe.embedding_size**0.5
        self.users = nn.Parameter(torch.randn(n_users, recipe.embedding_size) * deviation)
        self.items = nn.Parameter(torch.randn(n_items, recipe.embedding_size) * deviation)

    def step(self, lengths: Tensor, watched: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """Make all rows of one side better. lengths: int64 [rows], of the other side's rows that each one watched or
        was watched by; watched: int32 [sum of lengths], these, row after row. side: 0-d, 0 for users and 1 for films.
        """
        own, other = (self.users, self.items) if int(side) == 0 else (self.items, self.users)
        spectrum, basis = _diagonal(other.T @ other)
        for table in (own, other):
            table.copy_(table @ basis)
        squares = self.recipe.alpha * spectrum.clamp_min(0)
        loss, square = own.new_zeros(()), own.new_zeros(())
        for block, matrix in _blocks(lengths, watched, other):
            counts = lengths[block, None].to(own.dtype)
            ridge = self.recipe.regularization * (counts + self.recipe.alpha * len(other)) ** self.recipe.scaling
            before = own[block]
            errors = torch.sparse.sampled_addmm(matrix, before, other.T, alpha=-1.0)  # 1 − score where watched
            residuals = sparse_product(errors, other) - before * (squares + ridge)
            loss += errors.values().sum() - (before * residuals).sum()
            square += residuals.square().sum()
            own[block] = self._solved(matrix, other, squares, ridge, before, residuals) * (counts > 0)
        return loss / len(lengths), 2 * square.sqrt()

    def _solved(
        self, matrix: Tensor, other: Tensor, squares: Tensor, ridge: Tensor, solution: Tensor, residuals: Tensor
    ) -> Tensor:
        """Conjugate gradients for each row by itself, all of [rows × embedding_size] but squares [embedding_size], the
        diagonal of alpha · QᵀQ, and ridge [rows × 1].
        """
        counts = matrix.crow_indices().diff()[:, None]
        diagonal = squares + ridge
        scales = 1 / (diagonal + squares * (counts / (self.recipe.alpha * len(other))))
        directions = residuals * scales
        lengths = _dot(residuals, directions)
        for iteration in range(1, self.recipe.iterations + 1):
            scores = torch.sparse.sampled_addmm(matrix, directions, other.T, beta=0.0)
            changes = torch.addcmul(sparse_product(scores, other), directions, diagonal)
            steps = _ratio(lengths, _dot(directions, changes))
            solution = torch.addcmul(solution, steps, directions)
            if iteration < self.recipe.iterations:
                residuals = torch.addcmul(residuals, steps, changes, value=-1)
                nearer = residuals * scales
                before, lengths = lengths, _dot(residuals, nearer)
                directions = torch.addcmul(nearer, _ratio(lengths, before), directions)
        return solution

    def as_factors(self) -> Factors:
        """Copies, as plain arrays."""
        users, items = (table.detach().cpu().numpy().copy() for table in (self.users, self.items))
        fold_in = FoldIn(self.recipe.alpha, self.recipe.regularization, self.recipe.scaling)
        return Factors(users, items, fold_in=fold_in)


def both_sides(interactions: Interactions) -> list[Batch]:
    """What `ImplicitFactors.step` takes: all users, then all films."""
    watched = interactions.matrix()
    return [_side(watched, 0), _side(watched.T.tocsr(), 1)]


def _side(watched: sparse.csr_matrix, side: int) -> Batch:
    lengths = torch.from_numpy(watched.indptr).diff().long()
    return lengths, torch.from_numpy(watched.indices), torch.tensor(side)


def _blocks(lengths: Tensor, watched: Tensor, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some rows after the other, and ones where they watched: sparse CSR [these rows × rows of the other side]."""
    ends = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    ones = other.new_ones(len(watched))
    at_once = max(1, _CELLS // other.shape[1])
    for start in range(0, len(lengths), at_once):
        starts = ends[start : start + at_once + 1]
        first, last = int(starts[0]), int(starts[-1])
        index = (starts - first).to(watched.dtype), watched[first:last]
        yield slice(start, start + at_once), csr(*index, ones[first:last], n_columns=len(other))


def _diagonal(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Its eigenvalues and eigenvectors, found in float64: in float32 directions that have shrunk to nothing fail."""
    spectrum, basis = torch.linalg.eigh(gram.double())
    return spectrum.to(gram.dtype), basis.to(gram.dtype)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Row by row, [rows × 1]."""
    return torch.linalg.vecdot(one, other)[:, None]


def _ratio(dividend: Tensor, divisor: Tensor) -> Tensor:
    """0 where both are: a row that is solved already stays as it is."""
    return dividend / divisor.clamp_min(torch.finfo(divisor.dtype).tiny)
