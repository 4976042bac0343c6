"""Item kNN: films alike are films that the same users watched (Deshpande and Karypis 2004)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from recpipe.costs import DOUBLE, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.comparing import CELLS, Comparison, Counts, Doubles, Similarity, Weighting, nearest_of_each
from recpipe.scoring.item_weights import ItemWeights


class ItemKnn(Recipe):
    """score[u, i] = Σ_j s(j, i) over the films j of u's history for which i is among j's nearest, or j among i's.

    With x_i the column of film i in the weighted matrix of users by films, and c its number of users:
    cosine s = x_j·x_i / (‖x_j‖ ‖x_i‖ + shrinkage);
    asymmetric_cosine s = x_j·x_i / (‖x_j‖^(2·alpha) ‖x_i‖^(2·(1−alpha)) + shrinkage), popular films first above 0.5;
    jaccard s = n_ji / (c_j + c_i − n_ji + shrinkage), n_ji the users of both; dot s = x_j·x_i / (1 + shrinkage).
    weighting: none, ones; tfidf, a user's entry is log(n_items / films of the user), so that those who watch everything
    tell less; bm25, tfidf times 2.2 / (1 + 1.2 · (0.25 + 0.75 · c / mean c)), which damps films with many users.

    nearest_of: "watched" keeps the `neighbours` nearest films i of each watched film j, as the paper; "scored" keeps
    the nearest j of each scored film i, as most programs do. Ties go to the lower row number. The weights are CSR
    float32 [n_items × n_items]; similarities are worked out for a block of films at a time, so memory stays at
    12 bytes · n_items · neighbours and a few blocks of 8 MiB.

    Source: Deshpande and Karypis 2004, "Item-Based Top-N Recommendation Algorithms", TOIS 22. Departures: the paper's
    conditional probability is asymmetric_cosine with other exponents (Aiolli 2013 has the general form); jaccard,
    shrinkage (Bell and Koren 2007) and the weightings are added; neighbours' columns are not scaled to length 1.
    """

    neighbours: int = Field(default=100, ge=1)
    similarity: Similarity = "cosine"
    weighting: Weighting = "none"
    shrinkage: float = Field(default=0.0, ge=0.0)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    nearest_of: Literal["watched", "scored"] = "scored"

    memory_hint: ClassVar[str] = "set fewer neighbours, or keep fewer films (k-core in conf/dataset.yaml)"

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        self._comparison()
        return self

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Sparse weights [n_items × n_items]."""
        comparison = self._comparison()
        by_film = train.interactions.matrix().T.tocsr()
        by_film = comparison.weighed(by_film, Counts.of(by_film))
        with_all = comparison.with_all(by_film.T.tocsr())

        def similarities(start: int, stop: int) -> Doubles:
            found = with_all(by_film[start:stop])
            found[np.arange(stop - start), np.arange(start, stop)] = 0.0  # no film is its own neighbour
            return found

        nearest = nearest_of_each(train.n_items, train.n_items, similarities, self.neighbours)
        return ItemWeights(nearest if self.nearest_of == "watched" else nearest.T.tocsr())

    def _comparison(self) -> Comparison:
        """Rows: the films whose nearest are kept."""
        alpha = self.alpha if self.nearest_of == "watched" else 1.0 - self.alpha
        return Comparison(self.similarity, self.weighting, self.shrinkage, alpha)

    def cost(self, shape: Shape) -> Cost:
        """Two sparse copies of the interactions in float64, two of the weights kept, and a block of similarities beside
        what it is divided by.
        """
        block = min(shape.n_items**2, max(shape.n_items, CELLS))
        kept = 2 * 2 * FLOAT * shape.n_items * min(self.neighbours, shape.n_items)
        interactions = 2 * (DOUBLE + FLOAT) * shape.n_events
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(int(interactions + kept + 2.5 * DOUBLE * block), 1.5e-9 * pairs + 1e-8 * shape.n_items**2)
