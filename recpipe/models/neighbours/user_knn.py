"""User kNN on what was watched: films of the users whose histories are most like one's own (Sarwar et al. 2000)."""

from __future__ import annotations

from typing import ClassVar, Self, final

import numpy as np
from pydantic import Field, model_validator

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.comparing import Comparison, Similarity, Weighting
from recpipe.scoring.user_neighbours import UserNeighbours


@final
class UserKnn(Recipe):
    """score[u, i] = Σ_v s(u, v) x[v, i] / c_i^beta over the `neighbours` users v whose histories are most like u's.

    x is binary, and c_i the users of film i: above 0, beta holds popular films back.

    With x_u the weighed row of user u and c its number of films: cosine s = x_u·x_v / (‖x_u‖ ‖x_v‖ + shrinkage);
    asymmetric_cosine s = x_u·x_v / (‖x_u‖^(2·alpha) ‖x_v‖^(2·(1−alpha)) + shrinkage), users of few films first below
    0.5; jaccard s = n_uv / (c_u + c_v − n_uv + shrinkage), n_uv the films of both; dot s = x_u·x_v / (1 + shrinkage).
    weighting: none, ones; tfidf, an entry is log(n_users / users of the film), so that films which everybody watched
    tell less; bm25, tfidf times 2.2 / (1 + 1.2 · (0.25 + 0.75 · c / mean c)), which damps users of many films.

    There is no loss, and nothing is random. Users are compared when scores are asked for, by the histories given then:
    newcomers are served, and nobody is a neighbour of themselves. Those who tie at the last place share it, so that the
    result depends on no order. Work: sparse products of a block of users with all, at most 8 MiB of similarities.

    Source: Sarwar, Karypis, Konstan and Riedl 2000, "Analysis of Recommendation Algorithms for E-Commerce", EC, for
    counts of what neighbours bought; asymmetric_cosine is of Aiolli 2013, "Efficient Top-N Recommendation for Very
    Large Scale Binary Rated Datasets", RecSys. Departures: neighbours count by their similarity, not each as one;
    shrinkage (Bell and Koren 2007), the weightings and beta (that of RP3beta) are added.
    """

    neighbours: int = Field(default=100, ge=1)
    similarity: Similarity = "cosine"
    weighting: Weighting = "none"
    shrinkage: float = Field(default=0.0, ge=0.0)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    beta: float = Field(default=0.0, ge=0.0)

    memory_hint: ClassVar[str] = "keep fewer users (k-core in conf/dataset.yaml)"

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        self._comparison()
        return self

    def fit(self, train: TrainingSet, run: Run) -> UserNeighbours:
        """Keeps who watched what, and what each vote is worth: all else depends on who is asked about."""
        votes = train.interactions.matrix()
        worth = np.maximum(votes.getnnz(axis=0), 1.0) ** -self.beta
        votes.data *= worth.astype(np.float32)[votes.indices]
        return UserNeighbours(votes, self._comparison(), self.neighbours)

    def _comparison(self) -> Comparison:
        return Comparison(self.similarity, self.weighting, self.shrinkage, self.alpha)

    def cost(self, shape: Shape) -> Cost:
        """The matrix of users and films, CSR float32, twice while it is made, and its columns sorted."""
        return Cost(5 * FLOAT * shape.n_events, 4e-8 * shape.n_events)
