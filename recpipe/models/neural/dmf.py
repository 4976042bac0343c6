"""Deep matrix factorisation: two towers over a user's row and a film's column, compared by their cosine.

Xue, Dai, Zhang, Huang and Chen, "Deep Matrix Factorization Models for Recommender Systems" (IJCAI 2017).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, final

import numpy as np
import torch
from pydantic import Field, PositiveInt
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, of_varying_size, pairs_stream, ranking
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import binary_cross_entropy
from recpipe.training.settings import GradientNetworkRecipe

SMALLEST = 1e-6
"""The paper's µ: no predicted share lies nearer to 0, nor to 1."""


@final
class Dmf(GradientNetworkRecipe):
    """Xue et al. 2017. y_u is a user's row of the interaction matrix and y_i a film's column, each at length 1:

        s[u, i] = cos(f(y_u), g(y_i)),  ŷ = σ(s / τ + c),
        loss = -(t ln ŷ + (1 - t) ln(1 - ŷ)), t = y[u, i] / max y for the film watched and 0 for `negatives` others,

    a mean over both, never negative. f and g are towers of `layers`, with ReLU between the layers; c is learned.
    weighting: y holds "ratings", as in the paper, or ones ("none"); data without ratings is all ones. layers: widths
    from the first, over all films or all users, to the vector compared. temperature: τ. loss: "logistic" as above, or
    the paper's "clamped", ŷ = max(s, 10⁻⁶), which has to spread all films between cosines of 0 and 1 and learns worse.

    A user's vector follows from the history at hand, so people unseen at training are served; a film's is fixed.

    Departures: what is to be predicted stands in neither input while it is learned. The paper and its followers leave
    y[u, i] in both, where it gives the answer away, and where no film to recommend has it. Rows have length 1, so that
    long histories do not drown the short; no ReLU after the last layer, so that vectors may point apart; AdamW.
    """

    layers: tuple[PositiveInt, ...] = Field(default=(64,), min_length=1)
    negatives: int = Field(default=4, ge=1)
    weighting: Literal["none", "ratings"] = "ratings"
    loss: Literal["logistic", "clamped"] = "logistic"
    temperature: float = Field(default=0.2, gt=0.0)

    def network(self, n_users: int, n_items: int) -> UserTower:
        """What scores: the users' tower, untrained, beside the films' vectors."""
        tower = Tower(n_items, self.layers)
        return UserTower(tower, torch.zeros(n_items, self.layers[-1]), self.weighting == "ratings")

    def fit(self, train: TrainingSet, run: Run) -> HistoryNetwork:
        """Each example is one event with `negatives` films that its user did not watch."""
        events = train.interactions
        rated = self.weighting == "ratings" and events.ratings is not None
        with seeded(run):
            towers = Towers(events.rating_matrix() if rated else events.matrix(), self)
        return learn(
            towers,
            watched_and_not(events, self.batch_size, self.negatives),
            lambda learned: HistoryNetwork(learned.for_users(), train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step the rows of all users and films of the batch, twice over with their
        gradients, and four times all widths for each film of the batch. The matrix lies there twice.
        """
        parameters = (shape.n_users + shape.n_items) * self.layers[0] + 2 * sum(a * b for a, b in pairwise(self.layers))
        rows = self.batch_size * (1 + self.negatives)
        matrix = (5 * LONG + 2 * FLOAT) * shape.n_events
        entries = of_varying_size(4 * LONG * shape.n_events)
        step = matrix + entries + 4 * FLOAT * (rows * self.layers[-1] + 4 * self.batch_size * sum(self.layers))
        steps = shape.n_events / self.batch_size
        seconds = steps * (shape.n_events * (1.5e-7 + 1e-9 * self.layers[0]) + 3e-9 * parameters)
        seconds += shape.n_events * (1 + self.negatives) * (2e-7 + 1e-8 * sum(self.layers))
        return learned(parameters, step, ranking(shape, 5), pairs_stream(shape), seconds)


class Tower(nn.Module):
    """From rows of the matrix to vectors. table: [inputs × first width], one vector an input."""

    def __init__(self, n_inputs: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(n_inputs, layers[0]) * 0.05)
        # a row without entries has the bias alone, which needs a direction
        self.bias = nn.Parameter(torch.randn(layers[0]) * 0.1 / layers[0] ** 0.5)
        steps = [[nn.ReLU(), nn.Linear(*widths)] for widths in pairwise(layers)]
        self.rest = nn.Sequential(*(module for step in steps for module in step))

    def forward(self, summed: Tensor, squares: Tensor) -> Tensor:
        """summed [… × first width]: Σ y · table over a row; squares […]: Σ y² → vectors of length 1."""
        first = summed / squares.clamp(min=SMALLEST).sqrt()[..., None] + self.bias
        return functional.normalize(self.rest(first), dim=-1)


class UserTower(nn.Module):
    """The users' tower and the films' vectors [n_items × last width], of length 1."""

    item_vectors: Tensor

    def __init__(self, tower: Tower, item_vectors: Tensor, reads_ratings: bool) -> None:
        super().__init__()
        self.tower, self.reads_ratings = tower, reads_ratings
        self.register_buffer("item_vectors", item_vectors)

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items] → cosines [rows × n_items]."""
        vectors: Tensor = self.tower(history @ self.tower.table, history.square().sum(dim=1))
        return vectors @ self.item_vectors.T


class Towers(Learner):
    """Both towers over the matrix of users and films, which is not stored with them."""

    keys: Tensor

    def __init__(self, matrix: sparse.csr_matrix, recipe: Dmf) -> None:
        """matrix: ratings or ones [n_users × n_items]."""
        super().__init__()
        self.recipe = recipe
        self.largest = float(matrix.data.max(initial=SMALLEST))
        self.users, self.items = Tower(matrix.shape[1], recipe.layers), Tower(matrix.shape[0], recipe.layers)
        self.of_users, self.of_items = Rows(matrix), Rows(matrix.T.tocsr())
        self.offset = nn.Parameter(torch.zeros(()))
        owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        keys = owners * matrix.shape[1] + self.of_users.columns.numpy()
        self.register_buffer("keys", torch.from_numpy(keys), persistent=False)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first: each tower once a user and a film."""
        watched = films[:, 0]
        given = self.of_users.entries[torch.searchsorted(self.keys, users * len(self.users.table) + watched)]
        asked, user_rows = users.unique(return_inverse=True)
        offered, film_rows = films.unique(return_inverse=True)
        user_sums, user_squares = self.of_users.summed(asked, self.users.table)
        film_sums, film_squares = self.of_items.summed(offered, self.items.table)
        film_vectors = self.items(film_sums, film_squares)
        user_vectors = self.users(
            user_sums[user_rows] - given[:, None] * self.users.table[watched],
            user_squares[user_rows] - given.square(),
        )
        target = self.items(
            film_sums[film_rows[:, 0]] - given[:, None] * self.items.table[users],
            film_squares[film_rows[:, 0]] - given.square(),
        )
        others = (user_vectors[:, None] * film_vectors[film_rows[:, 1:]]).sum(dim=-1)
        target = user_vectors * target
        cosines = torch.cat((target.sum(dim=-1, keepdim=True), others), dim=1)
        targets = torch.zeros_like(cosines, dtype=torch.float32)
        targets[:, 0] = given / self.largest
        return self._cross_entropy(cosines.float(), targets)

    def _cross_entropy(self, cosines: Tensor, targets: Tensor) -> Tensor:
        """The paper's normalised cross-entropy, with its clamped cosine as the share or with the logistic one."""
        if self.recipe.loss == "logistic":
            return binary_cross_entropy(cosines / self.recipe.temperature + self.offset, targets)
        shares = cosines.clamp(SMALLEST, 1 - SMALLEST)
        return -(targets * shares.log() + (1 - targets) * (1 - shares).log()).mean()

    def for_users(self) -> UserTower:
        """What scores: the films' vectors are worked out here, once, from all of the matrix."""
        everything = torch.arange(len(self.users.table), device=self.keys.device)
        with torch.no_grad():
            item_vectors = self.items(*self.of_items.summed(everything, self.items.table))
        return UserTower(self.users, item_vectors, self.recipe.weighting == "ratings")


class Rows(nn.Module):
    """A CSR matrix as buffers: rows of it are multiplied with a table without ever being dense."""

    offsets: Tensor
    columns: Tensor
    entries: Tensor
    squares: Tensor

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        super().__init__()
        ordered = matrix.sorted_indices()
        squares = np.asarray(ordered.multiply(ordered).sum(axis=1), dtype=np.float32).ravel()
        arrays = {"offsets": ordered.indptr.astype(np.int64), "columns": ordered.indices.astype(np.int64)}
        for name, array in (arrays | {"entries": ordered.data, "squares": squares}).items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def summed(self, rows: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """rows int64 [n] → Σ entry · table[column] [n × width], and Σ entry² [n]."""
        firsts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - firsts
        starts = lengths.cumsum(dim=0) - lengths
        places = (firsts - starts).repeat_interleave(lengths)
        places += torch.arange(len(places), device=places.device)
        weights = self.entries[places]
        bags = functional.embedding_bag(self.columns[places], table, starts, mode="sum", per_sample_weights=weights)
        return bags, self.squares[rows]
