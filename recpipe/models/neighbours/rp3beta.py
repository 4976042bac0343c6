"""RP3beta: a walk of three steps from the user over films and users, popular films held back (Paudel et al. 2017)."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field
from scipy import sparse

from recpipe.costs import DOUBLE, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.comparing import CELLS, Doubles, nearest_of_each
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.sparse_products import RightFactor


@final
class Rp3beta(Recipe):
    """score[u, i] = Σ_j W[j, i] over the films j of u's history; no loss, nothing random.

    W[j, i] = Σ_v p(v | j)^alpha · p(i | v)^alpha / c_i^beta for i ≠ j, W[j, j] = 0. p(v | j) = 1 / c_j is the chance to
    step from film j to one of its c_j users, p(i | v) = 1 / n_v from a user to one of the n_v films watched. The
    exponent is taken of each chance, not of the sum: paths over users of many films count less the larger alpha is.
    beta 0 is P3alpha.

    nearest_of: "watched" keeps the `neighbours` largest of each row, after the division; "scored" those of each column,
    so that every film has as many that can bring it up. Ties go to the lower row number. The weights are CSR float32
    [n_items × n_items], worked out for a block of films at a time: 12 bytes · n_items · neighbours and a few blocks of
    8 MiB.

    Source: Paudel, Christoffel, Newell and Bernstein 2017, "Updatable, Accurate, Diverse, and Scalable Recommendations
    for Interactive Applications", TiiS 7; P3alpha is of Cooper, Lee, Radinsky and Kleinberg 2014, "Random Walks in
    Recommender Systems: Exact Computation and Simulations", WWW. Departures: the walk's first step, p(j | u)^alpha, is
    the same for all films of u and orders nothing, so it is left out, and newcomers are served; the walk back to
    the film it came over is left out, since that film was seen; only the nearest are kept, of each film watched as in
    Ferrari Dacrema et al. 2019, "Are We Really Making Much Progress?", or of each film scored.
    """

    neighbours: int = Field(default=100, ge=1)
    alpha: float = Field(default=1.0, ge=0.0)
    beta: float = Field(default=0.5, ge=0.0)
    nearest_of: Literal["watched", "scored"] = "scored"

    memory_hint: ClassVar[str] = "set fewer neighbours, or keep fewer films (k-core in conf/dataset.yaml)"

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Sparse weights [n_items × n_items]."""
        watched = train.interactions.matrix().astype(np.float64)
        counts = np.maximum(watched.getnnz(axis=0), 1.0)
        to_films, to_users = self._steps(watched), self._steps(watched.T.tocsr())
        to_films = (to_films @ sparse.diags(counts**-self.beta)).tocsr()
        back = self.nearest_of == "scored"
        first, second = (to_films.T.tocsr(), to_users.T.tocsr()) if back else (to_users, to_films)
        right = RightFactor(second)

        def walks(start: int, stop: int) -> Doubles:
            reached = right.product(first[start:stop])
            reached[np.arange(stop - start), np.arange(start, stop)] = 0.0
            return reached

        nearest = nearest_of_each(train.n_items, train.n_items, walks, self.neighbours)
        return ItemWeights(nearest if self.nearest_of == "watched" else nearest.T.tocsr())

    def _steps(self, edges: sparse.csr_matrix) -> sparse.csr_matrix:
        """The chance of each step from a row, to the power of alpha. edges: ones, CSR [from × to]."""
        lengths = np.maximum(edges.getnnz(axis=1), 1.0)
        return (sparse.diags(lengths**-self.alpha) @ edges).tocsr()

    def cost(self, shape: Shape) -> Cost:
        """Five sparse copies of the interactions in float64, two of the weights kept, and a block of walks beside what
        of it is looked at.
        """
        block = min(shape.n_items**2, max(shape.n_items, CELLS))
        kept = 2 * 2 * FLOAT * shape.n_items * min(self.neighbours, shape.n_items)
        interactions = 5 * (DOUBLE + FLOAT) * shape.n_events
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(interactions + kept + 2 * DOUBLE * block, 3e-9 * pairs + 1e-8 * shape.n_items**2)
