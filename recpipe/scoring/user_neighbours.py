"""Neighbours vote with their ratings: kNN between users, or between films, on ratings or on what was watched."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import Recipe
from recpipe.scoring.comparing import CELLS, Comparison, Counts
from recpipe.scoring.nearest import (
    COMPARES_RATINGS,
    SIMILARITIES,
    Doubles,
    Sums,
    nearest_overall,
    similarities,
    sums_over_nearest,
    sums_over_nearest_overall,
)
from recpipe.scoring.sparse_products import RightFactor

_BLOCK = 256


@dataclass(frozen=True, eq=False)
class UserNeighbours:
    """score[u, i] = Σ_v s(u, v) · r(v, i) / (Σ_v s(u, v) + shrinkage), v: the `neighbours` nearest users who have i.

    overall: v are instead the nearest of all users, as far as they have i: one choice for all films, and quick on large
    data. ratings: float32 CSR [training users × n_items], ones where the data has no ratings. similarity: one of
    `SIMILARITIES`. film_similarity: float32 [n_items × n_items] where neighbours are films: then v runs over the films
    of u's own history, s is their similarity to i, and r(u, v) is weighed. Users are compared by their histories, not
    by their numbers, so newcomers are served.

    A film with fewer than `min_neighbours` neighbours is scored by its share of all users, and below every film that
    has enough: a mean over two people says little, and would top every list.

    Where `similarity` is a `Comparison`, histories are compared whole, as ones, and nothing is divided:
    score[u, i] = Σ_v s(u, v) r(v, i) over the nearest of all users, with r whatever v's vote for i is worth.
    min_neighbours, shrinkage and overall then have no part in it.
    """

    ratings: sparse.csr_matrix
    similarity: str | Comparison
    neighbours: int
    min_neighbours: int = 1
    shrinkage: float = 0.0
    overall: bool = False
    film_similarity: FloatArray | None = None

    serves_newcomers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.similarity, str) and self.similarity not in SIMILARITIES:
            raise ValueError(f"neighbours: no similarity is called {self.similarity!r}; there are {SIMILARITIES}")

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]."""
        if isinstance(self.similarity, Comparison):
            return self._summed(users)
        scores = np.tile(self._where_too_few, (len(users), 1))
        for start in range(0, len(users), _BLOCK):
            sums = self._sums(users.rows(slice(start, start + _BLOCK)))
            np.divide(
                sums.weighted,
                sums.weights + self.shrinkage,
                out=scores[start : start + _BLOCK],
                where=self._enough(sums.counts, sums.weights),
            )
        return scores

    def predict(self, users: Histories, rows: NDArray[np.integer], items: NDArray[np.integer]) -> FloatArray:
        """float32 [pairs]: the rating that row `rows[p]` of the histories gives to film `items[p]`.

        The plain weighted mean, without shrinkage; the mean of all training ratings where neighbours are too few.
        """
        ratings = np.full(len(rows), self.ratings.data.mean(), dtype=np.float32)
        for start in range(0, len(users), _BLOCK):
            sums = self._sums(users.rows(slice(start, start + _BLOCK)))
            pairs = np.flatnonzero((rows >= start) & (rows < start + _BLOCK))
            cells = rows[pairs] - start, items[pairs]
            weighted, weights, counts = sums.weighted[cells], sums.weights[cells], sums.counts[cells]
            enough = self._enough(counts, weights)
            ratings[pairs[enough]] = weighted[enough] / weights[enough]
        return ratings

    def _summed(self, users: Histories) -> FloatArray:
        scores = np.empty((len(users), self.ratings.shape[1]), dtype=np.float32)
        rows = max(1, min(_BLOCK, CELLS // max(1, self.ratings.shape[0])))
        for start in range(0, len(users), rows):
            near = self._near(users.rows(slice(start, start + rows)))
            scores[start : start + rows] = self._votes.product(nearest_overall(near, self.neighbours))
        return scores

    def _sums(self, block: Histories) -> Sums:
        if block.ratings is None and self.similarity in COMPARES_RATINGS:
            raise ValueError(
                f"neighbours: the similarity {self.similarity!r} compares ratings, and these histories have none: "
                "give histories with ratings, or fit with similarity: history_cosine"
            )
        if self.film_similarity is not None:
            return self._sums_over_films(self.film_similarity, block.rating_matrix().T).transposed()
        near = self._near(block)
        if self.overall:
            return sums_over_nearest_overall(nearest_overall(near, self.neighbours), self.ratings)
        return sums_over_nearest(near, self._by_film, self.neighbours)

    def _sums_over_films(self, similarity: FloatArray, given: sparse.csc_matrix) -> Sums:
        if self.overall:
            return sums_over_nearest_overall(self._near_films, given.tocsr())
        return sums_over_nearest(similarity, given, self.neighbours)

    def _near(self, block: Histories) -> FloatArray:
        """float32 [rows × training users]."""
        if isinstance(self.similarity, Comparison):
            given = self.similarity.weighed(block.matrix(), self._counts)
            near = self._with_all(given).astype(np.float32)
        else:
            near = similarities(block.rating_matrix(), self.ratings, self.similarity)
        known = np.flatnonzero(block.users != NEWCOMER)
        near[known, block.users[known]] = 0.0  # nobody is a neighbour of themselves
        return near

    @cached_property
    def _where_too_few(self) -> FloatArray:
        """float32 [n_items]: what a film with too few neighbours is scored."""
        share = self.ratings.getnnz(axis=0) / max(1, self.ratings.shape[0])
        below_all: FloatArray = (share - 1.0 + min(0.0, float(self.ratings.data.min(initial=0.0)))).astype(np.float32)
        return below_all

    @cached_property
    def _by_film(self) -> sparse.csc_matrix:
        return self.ratings.tocsc()

    @cached_property
    def _near_films(self) -> sparse.csr_matrix:
        assert self.film_similarity is not None
        return nearest_overall(self.film_similarity, self.neighbours)

    @cached_property
    def _counts(self) -> Counts:
        return Counts.of(self.ratings)

    @cached_property
    def _with_all(self) -> Callable[[sparse.csr_matrix], Doubles]:
        """Compares weighed histories with those of all training users."""
        assert isinstance(self.similarity, Comparison)
        return self.similarity.with_all(self.similarity.weighed(self.ratings, self._counts).T.tocsr())

    @cached_property
    def _votes(self) -> RightFactor:
        return RightFactor(self.ratings)

    def _enough(self, counts: NDArray[np.int32], weights: FloatArray) -> NDArray[np.bool_]:
        return (counts >= self.min_neighbours) & (weights > 0)

    def arrays(self) -> dict[str, Any]:
        """The ratings, the numbers, the measure as bytes, and the films' similarities where there are any."""
        name = self.similarity if isinstance(self.similarity, str) else json.dumps(asdict(self.similarity))
        films = {} if self.film_similarity is None else {"film_similarity": self.film_similarity}
        return {
            "ratings": self.ratings,
            "similarity": np.frombuffer(name.encode(), dtype=np.uint8),
            "neighbours": np.array(self.neighbours),
            "min_neighbours": np.array(self.min_neighbours),
            "shrinkage": np.array(self.shrinkage, dtype=np.float64),
            "overall": np.array(self.overall),
            **films,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        name = arrays["similarity"].tobytes().decode()
        return cls(
            arrays["ratings"],
            Comparison(**json.loads(name)) if name.startswith("{") else name,
            int(arrays["neighbours"]),
            int(arrays["min_neighbours"]),
            float(arrays["shrinkage"]),
            bool(arrays["overall"]),
            arrays.get("film_similarity"),
        )
