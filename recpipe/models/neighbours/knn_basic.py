"""Basic kNN on ratings: a rating is the mean of the nearest neighbours' ratings, weighted by similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recpipe.costs import DOUBLE, FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.nearest import CHUNK, COMPARES_RATINGS, similarities
from recpipe.scoring.user_neighbours import UserNeighbours


class KnnBasic(Recipe):
    """r̂[u, i] = Σ_v s(u, v) r(v, i) / Σ_v s(u, v) over the `neighbours` users v most similar to u who rated i.

    based_on: users as above, or items: v then runs over the films that u rated, s(i, v) their similarity to i, and
    r(u, v) is averaged. similarity: msd, cosine and pearson compare two rows on what both rated (formulas in
    `scoring/nearest.py`) and need data with ratings; history_cosine is the cosine of the whole rows, a film not rated
    being a zero, and takes ones where there are no ratings. Only positive similarities count. Fewer than
    `min_neighbours` of them: the mean of all ratings. There is no loss; nothing is random.

    The scorer offers two things. `predict` is r̂, the rating (RMSE). `scores` is for ranking: Σ s r / (Σ s + shrinkage),
    and films with too few neighbours come last, by popularity. With shrinkage 0 and min_neighbours 1 the lists are
    topped by films that one like-minded user gave five stars; the larger the shrinkage, the more it counts how many
    neighbours watched a film. Without ratings every mean is 1, and shrinkage must be positive to rank at all.

    Memory: the ratings, and for items 4 bytes · n_items². Source: Herlocker et al. 1999, "An Algorithmic Framework for
    Performing Collaborative Filtering"; the variant and its defaults (40 neighbours, at least 1, msd between users) are
    KNNBasic of Hug 2020, "Surprise: A Python library for recommender systems". Departure: neighbours that tie at the
    last place share it, where Surprise takes those that come first in its table.
    """

    neighbours: int = Field(default=40, ge=1)
    min_neighbours: int = Field(default=1, ge=1)
    similarity: Literal["msd", "cosine", "pearson", "history_cosine"] = "msd"
    based_on: Literal["users", "items"] = "users"
    nearest: Literal["per_film", "overall"] = "per_film"
    shrinkage: float = Field(default=0.0, ge=0.0)

    memory_hint: ClassVar[str] = "set based_on: users, or use item_knn, which keeps the nearest alone"

    def fit(self, train: TrainingSet, run: Run) -> UserNeighbours:
        """Keeps the ratings; between films, works out their similarities too."""
        events = train.interactions
        if events.ratings is None:
            self._check_without_ratings()
        ratings = events.matrix() if events.ratings is None else events.rating_matrix()
        between = None
        if self.based_on == "items":
            between = similarities(ratings.T.tocsr(), ratings.T.tocsr(), self.similarity)
        return UserNeighbours(
            ratings.astype(np.float32),
            self.similarity,
            self.neighbours,
            self.min_neighbours,
            self.shrinkage,
            self.nearest == "overall",
            between,
        )

    def _check_without_ratings(self) -> None:
        if self.similarity in COMPARES_RATINGS:
            raise ValueError(
                f"knn_basic: similarity {self.similarity} compares ratings, and this training set has none: "
                "set similarity: history_cosine"
            )
        if self.shrinkage == 0.0:
            raise ValueError("knn_basic: without ratings every mean is 1 and ranks nothing: set shrinkage above 0")

    def cost(self, shape: Shape) -> Cost:
        """The ratings and the sort that finds the latest; between films, the dense similarities, the block of films
        that is compared, and its sums in float64.
        """
        ratings = (8 * LONG if shape.rated else 5 * FLOAT) * shape.n_events
        seconds = 2e-7 * shape.n_events
        if self.based_on == "users":
            return Cost(ratings, seconds)
        compared = 1 if self.similarity == "history_cosine" else 4 if self.similarity != "pearson" else 6
        block = min(CHUNK, shape.n_items)
        between = FLOAT * shape.n_items**2 + block * (DOUBLE * shape.n_users + (compared + 2) * DOUBLE * shape.n_items)
        return Cost(ratings + between, seconds + compared * 7e-10 * shape.n_events * shape.n_items)
