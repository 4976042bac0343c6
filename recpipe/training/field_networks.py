"""What the networks share that score a user and a film by the vectors of all their fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PAIRS, PairNetwork
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.fields import FIELDS, USUAL_VALUES, FieldVectors, FilmFields
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientNetworkRecipe

UNITS = 2**20
"""Numbers of the widest layer that are held at once while scoring: 4 MiB, so that the next one finds them in the
cache."""
USERS = 8
"""Scored at once where that is more: what films bring alone is computed once for all of them."""

Prepared: TypeAlias = tuple[Tensor, ...]


class FieldHead(nn.Module):
    """Scores pairs from v_u and the films' field vectors; what one side brings alone is prepared apart from the other.

    width: numbers that one pair takes in the widest layer. divisible: whether a pair's score while learning is the same
    whatever other pairs are in the batch.
    """

    width: int
    divisible: bool = True

    @abstractmethod
    def of_users(self, vectors: Tensor) -> Prepared:
        """[users × size] → tensors whose first dimension is the users."""

    @abstractmethod
    def of_films(self, vectors: Tensor) -> Prepared:
        """[films × len(FIELDS) × size] → tensors whose first dimension is the films."""

    @abstractmethod
    def pairs(self, users: Prepared, films: Prepared) -> Tensor:
        """users: as prepared, [users × 1 × …]; films: [users × films × …], or [1 × films × …] where all users have the
        same → [users × films].
        """


class FieldRecipe(GradientNetworkRecipe):
    """Fields are the user, the film's own number, its genres, directors, writers and year. v_f is the mean of the
    vectors of the film's values in field f, zeros where it has none, and w_f likewise:

        s(u, i) = w_0 + w_u + Σ_f w_f + head(v_u, v_film, v_genres, v_directors, v_writers, v_year).

    The targets are 1 for a film watched and 0 for `negatives` sampled others. film_dropout: share of films that are
    known by their side data alone in a step, so that these learn to speak for a film that nobody has watched yet: such
    a film's own vector and weight are zero when it is scored.
    """

    uses_features: ClassVar[bool] = True

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=4, ge=1)
    film_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    minimum_films: int = Field(default=2, ge=1)

    @abstractmethod
    def head(self) -> FieldHead:
        """Untrained."""

    @property
    @abstractmethod
    def objective(self) -> Callable[[Tensor], Tensor]:
        """The loss of scores [rows × (1 + negatives)], the film watched first."""

    def network(self, n_users: int, n_items: int) -> FieldScores:
        """Untrained, with films of zeros."""
        films = torch.zeros(n_items, len(FIELDS), self.embedding_size), torch.zeros(n_items)
        return FieldScores(FieldPairs(n_users, self), *films)

    def learner(self, train: TrainingSet, run: Run) -> FieldLearner:
        """Untrained, with the fields of these films."""
        with seeded(run):
            return FieldLearner(train.n_users, FilmFields.of(train, self.minimum_films), self)

    def taught(self, learner: FieldLearner, train: TrainingSet, run: Run) -> PairNetwork:
        """The scorer of the learner, once it has learned: a network to which films are tensors."""
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)
        return learn(learner, batches, FieldLearner.as_scorer, self.schedule, run)

    def cost_of_pairs(self, shape: Shape, pair: float, film: float, seconds: float) -> Cost:
        """A vector and a weight a user, film and value; in a step, the fields of all films with their gradients.

        pair, film: numbers that a step keeps for one pair and for one film. seconds: CPU seconds of one pair.
        """
        size = self.embedding_size
        of_values = (1 + USUAL_VALUES) * shape.n_items * (size + 1)
        parameters = self.parameter_count(shape) + of_values
        fields = len(FIELDS) * shape.n_items * size
        pairs = self.batch_size * (1 + self.negatives)
        films = min(shape.n_items, pairs) * film
        step = FLOAT * (pairs * (pair + 16) + films + 6 * fields)
        scoring = ranking(shape, 1) + FLOAT * (3 * max(UNITS, self.head().width) + fields)
        time = shape.n_events * (1 + self.negatives) * seconds
        time += shape.n_events / self.batch_size * (3e-9 * parameters + 1e-9 * (6 * fields + films))
        return learned(parameters, step, BLAS + scoring, pairs_stream(shape), time)


class FieldPairs(nn.Module):
    """w_0, w_u, v_u [n_users × size] and the head; what films are is handed in. Weights start at zero."""

    def __init__(self, n_users: int, recipe: FieldRecipe) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(()))
        self.user_weights = nn.Parameter(torch.zeros(n_users))
        self.users = nn.Embedding(n_users, recipe.embedding_size)
        nn.init.normal_(self.users.weight, std=0.1 / recipe.embedding_size**0.5)
        self.head = recipe.head()

    def pairs(self, users: Tensor, films: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
        """users [rows], films [rows × films a row] of those with these vectors [n_items × len(FIELDS) × size] and
        weights [n_items] → scores as `films`.
        """
        drawn, numbers = films.unique(return_inverse=True)
        of_films = self.head.of_films(vectors.index_select(0, drawn))
        met = tuple(held[numbers] for held in of_films)
        alone = self.mean + self.user_weights[users, None] + weights[films]
        return alone + self.head.pairs(self._of_users(users), met)

    def all_pairs(self, users: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
        """As `pairs` with every film, so many at a time that the widest layer fits into the cache; what films bring
        alone is computed once for all users.
        """
        of_users = self._of_users(users)
        blocks = []
        for block in vectors.split(max(1, UNITS // (self.head.width * max(1, len(users))))):
            of_films = tuple(held[None] for held in self.head.of_films(block))
            blocks.append(self.head.pairs(of_users, of_films))
        return self.mean + self.user_weights[users, None] + weights + torch.cat(blocks, dim=1)

    def _of_users(self, users: Tensor) -> Prepared:
        return tuple(held[:, None] for held in self.head.of_users(self.users(users)))


class FieldLearner(Learner):
    """The values' vectors and weights, and what scores pairs by them."""

    def __init__(self, n_users: int, fields: FilmFields, recipe: FieldRecipe) -> None:
        super().__init__()
        self.film_dropout, self.objective = recipe.film_dropout, recipe.objective
        self.among = FieldPairs(n_users, recipe)
        self.divisible = self.among.head.divisible
        self.fields = FieldVectors(fields, recipe.embedding_size, 0.1 / recipe.embedding_size**0.5)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        return self.objective(self.among.pairs(users, films, *self._films()))

    def as_scorer(self) -> PairNetwork:
        """The films' vectors as they are now; what else there is, is shared with this network."""
        vectors, weights = (tensor.detach() for tensor in self._films())
        return PairNetwork(FieldScores(self.among, vectors, weights).eval(), len(self.among.user_weights), len(weights))

    def _films(self) -> tuple[Tensor, Tensor]:
        return self.fields(self.fields.heard(self.film_dropout))


class FieldScores(nn.Module):
    """A network whose films are tensors: vectors [n_items × len(FIELDS) × size], weights [n_items]."""

    vectors: Tensor
    weights: Tensor

    def __init__(self, among: FieldPairs, vectors: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.among = among
        self.pairs_at_once = min(PAIRS, max(UNITS // among.head.width, USERS * len(weights)))
        self.register_buffer("vectors", vectors)
        self.register_buffer("weights", weights)

    def scores(self, users: Tensor) -> Tensor:
        """[rows × n_items] of users [rows]."""
        return self.among.all_pairs(users, self.vectors, self.weights)
