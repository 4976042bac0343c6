"""Neighbours vote with their ratings: kNN between users, or between films, on ratings or on what was watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import Recipe
from recpipe.scoring.nearest import (
    COMPARES_RATINGS,
    SIMILARITIES,
    Sums,
    similarities,
    sums_over_nearest,
    sums_over_nearest_overall,
)

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
    """

    ratings: sparse.csr_matrix
    similarity: str
    neighbours: int
    min_neighbours: int
    shrinkage: float
    overall: bool = False
    film_similarity: FloatArray | None = None

    serves_newcomers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise ValueError(f"neighbours: no similarity is called {self.similarity!r}; there are {SIMILARITIES}")

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]."""
        share = np.diff(self.ratings.tocsc().indptr) / max(1, self.ratings.shape[0])
        scores = np.tile((share - 1.0 + min(0.0, self._lowest)).astype(np.float32), (len(users), 1))
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

    def _sums(self, block: Histories) -> Sums:
        if block.ratings is None and self.similarity in COMPARES_RATINGS:
            raise ValueError(
                f"neighbours: the similarity {self.similarity!r} compares ratings, and these histories have none: "
                "give histories with ratings, or fit with similarity: history_cosine"
            )
        add_up = sums_over_nearest_overall if self.overall else sums_over_nearest
        given = block.rating_matrix()
        if self.film_similarity is not None:
            return add_up(self.film_similarity, given.T.tocsc(), self.neighbours).transposed()
        near = similarities(given, self.ratings, self.similarity)
        known = np.flatnonzero(block.users != NEWCOMER)
        near[known, block.users[known]] = 0.0  # nobody is a neighbour of themselves
        return add_up(near, self.ratings.tocsc(), self.neighbours)

    def _enough(self, counts: NDArray[np.int32], weights: FloatArray) -> NDArray[np.bool_]:
        return (counts >= self.min_neighbours) & (weights > 0)

    @property
    def _lowest(self) -> float:
        return float(self.ratings.data.min(initial=0.0))

    def arrays(self) -> dict[str, Any]:
        """The ratings, the numbers, the measure's name as bytes, and the films' similarities where there are any."""
        films = {} if self.film_similarity is None else {"film_similarity": self.film_similarity}
        return {
            "ratings": self.ratings,
            "similarity": np.frombuffer(self.similarity.encode(), dtype=np.uint8),
            "neighbours": np.array(self.neighbours),
            "min_neighbours": np.array(self.min_neighbours),
            "shrinkage": np.array(self.shrinkage, dtype=np.float64),
            "overall": np.array(self.overall),
            **films,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        return cls(
            arrays["ratings"],
            arrays["similarity"].tobytes().decode(),
            int(arrays["neighbours"]),
            int(arrays["min_neighbours"]),
            float(arrays["shrinkage"]),
            bool(arrays["overall"]),
            arrays.get("film_similarity"),
        )
