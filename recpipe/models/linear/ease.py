"""EASE: a linear autoencoder without hidden layer, its diagonal held at zero, in closed form (Steck 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recpipe.costs import BLAS, DOUBLE, FLOAT, Cost, Shape
from recpipe.data.interactions import FloatArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights
from recpipe.training.gram import damped, lower_gram, lower_inverse, lower_tiles, whole


class Ease(Recipe):
    """score[u, i] = Σ_j X[u, j] B[j, i], with X binary [users × films] and B [films × films].

    Loss: Σ_u w_u ‖x_u − x_u B‖² + regularization · ‖B‖², subject to diag(B) = 0, with w_u = (n_u / median n)^−damping
    for a user of n_u films. Solution, with W = diag(w): P = (XᵀWX + regularization · I)⁻¹, B[j, i] = −P[j, i] / P[i, i]
    for j ≠ i, and B[i, i] = 0. A pair of films in a long history says less than one in a short one; damping 0 is the
    paper, 1 gives every user the same say.

    half_life: the scored history forgets: score[u, i] = Σ_j 2^(−age_j / half_life) B[j, i], with age 0 for the newest
    film; B is learned from whole histories all the same. For what comes next, the latest films tell most (leave-one-out
    on MovieLens-1M: twice the NDCG); for films hidden at random they tell no more than others, so None is the paper.

    Memory: one matrix n_items² in `precision`, filled from the interactions a block of films at a time, inverted where
    it stands by Cholesky's factors (LAPACK potrf and potri), and the float32 weights, which take its place where it is
    float32: 4 bytes · n_items² in float32, 12 in float64; for 10,000 films 0.4 and 1.2 GB. Time grows with n_items³.
    Beyond memory there is no exact way: keep films with more users (k-core in conf/dataset.yaml), or fit item_knn,
    whose weights are sparse; Steck 2019, "Markov Random Fields for Collaborative Filtering", inverts sparse blocks of
    the Gram matrix instead.

    Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW. Departures: none where
    damping is 0 and half_life None; `damping`, `half_life` and `precision` are the program's own.
    """

    regularization: float = Field(default=500.0, gt=0.0)
    damping: float = Field(default=0.0, ge=0.0, le=1.0, description="how much less a user of many films weighs")
    half_life: float | None = Field(default=None, gt=0.0)
    precision: Literal["float32", "float64"] = "float64"

    memory_hint: ClassVar[str] = (
        "set precision: float32, keep fewer films (k-core in conf/dataset.yaml), or use item_knn"
    )

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Dense weights float32 [n_items × n_items]."""
        watched = train.interactions.matrix().astype(self.precision)
        weighted = damped(watched, np.diff(watched.indptr), self.damping)
        gram = lower_gram(watched, weighted)
        gram[np.diag_indices_from(gram)] += self.regularization
        return ItemWeights(_weights(lower_inverse(gram)), half_life=self.half_life)

    def cost(self, shape: Shape) -> Cost:
        """The dense inverse, beside the float32 weights where it is float64, and three sparse copies of the
        interactions. Time: n_items³, and the pairs in histories.
        """
        size = FLOAT if self.precision == "float32" else DOUBLE
        watched = BLAS + 3 * (size + FLOAT) * shape.n_events
        memory = watched + (FLOAT if size == FLOAT else DOUBLE + FLOAT) * shape.n_items**2
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(int(memory), size / DOUBLE * 3e-11 * shape.n_items**3 + 1e-9 * pairs)


def _weights(inverse: np.ndarray) -> FloatArray:
    """B from P, of which the lower triangle alone is read; where P is float32, B takes its place."""
    divisors = -np.diagonal(inverse)
    weights = inverse.T if inverse.dtype == np.float32 else np.empty(inverse.shape, dtype=np.float32)
    for rows, columns in lower_tiles(len(inverse)):
        square = whole(inverse[rows, columns]) if rows == columns else inverse[rows, columns]
        below, beside = square / divisors[columns], (square / divisors[rows, None]).T
        weights[rows, columns], weights[columns, rows] = below, beside
    np.fill_diagonal(weights, 0.0)
    return weights
