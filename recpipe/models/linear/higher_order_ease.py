"""EASE with pairs of films as further inputs: who watched both says more than each alone (Steck and Liang 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field
from scipy import linalg, sparse

from recpipe.costs import BLAS, DOUBLE, FLOAT, Cost, Shape
from recpipe.data.interactions import FloatArray, IntArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights, pairs_watched
from recpipe.training.gram import damped, lower_gram, lower_inverse, mirror_lower


@final
class HigherOrderEase(Recipe):
    """score[u, i] = Σ_j X[u, j] B[j, i] + Σ_p Z[u, p] C[p, i], with Z[u, p] = X[u, j] X[u, k] for the pair p = (j, k).

    X is binary [users × films]; the `pairs` pairs of films with most users in common are the columns of Z, of equal
    ones those of lower row numbers. B is [films × films], C [pairs × films].
    Loss: Σ_u w_u ‖x_u − x_u B − z_u C‖² + regularization · ‖B‖² + pair_regularization · ‖C‖², with w_u as in ease,
    subject to B[i, i] = 0 and C[p, i] = 0 where pair p contains film i: no film may predict itself, by a pair neither.

    Solution, for each film exact: with F = [X Z], P = (FᵀWF + Λ)⁻¹, Λ the two penalties on the diagonal, and S the
    inputs that film i is barred from (itself first, then its pairs), the column of i in [B; C] is
    −P[:, S] (P[S, S])⁻¹ e_1, and 0 in S. Without pairs S is i alone, and this is ease.

    Memory: (films + pairs)² numbers in `precision`, and the float32 weights; time grows with (films + pairs)³.

    Source: Steck and Liang 2021, "Negative Interactions for Improved Collaborative Filtering: Don't go Deeper, go
    Higher", RecSys. Departures: the constraint is met exactly, by the formula above, where the paper alternates between
    B and C and uses ADMM for C, so there are no rounds and no penalty parameter to set; triples are left
    out; `damping` and `precision` are the program's own.
    """

    pairs: int = Field(default=1000, ge=0)
    regularization: float = Field(default=500.0, gt=0.0)
    pair_regularization: float = Field(default=5000.0, gt=0.0)
    damping: float = Field(default=0.0, ge=0.0, le=1.0)
    precision: Literal["float32", "float64"] = "float64"

    memory_hint: ClassVar[str] = "set fewer pairs or precision: float32, or keep fewer films (k-core in dataset.yaml)"

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Dense weights float32 [n_items × n_items], and those of the pairs."""
        watched = train.interactions.matrix().astype(self.precision)
        pairs = most_frequent_pairs(watched, self.pairs)
        inputs = sparse.hstack((watched, pairs_watched(watched, pairs)), format="csr")
        gram = lower_gram(inputs, damped(inputs, np.diff(watched.indptr), self.damping))
        penalties = np.repeat((self.regularization, self.pair_regularization), (train.n_items, len(pairs)))
        gram[np.diag_indices_from(gram)] += penalties.astype(gram.dtype)
        inverse = lower_inverse(gram)
        mirror_lower(inverse)
        weights = _weights(inverse, pairs, train.n_items)
        return ItemWeights(weights[: train.n_items], pairs=pairs, pair_weights=weights[train.n_items :])

    def cost(self, shape: Shape) -> Cost:
        """The Gram matrix of films and pairs, dense, beside the weights in float32; before it the counts of pairs,
        sparse, and their order. Time: the matrix inverted, and the inputs' products.
        """
        size = FLOAT if self.precision == "float32" else DOUBLE
        n_pairs = min(self.pairs, shape.co_watched // 2)
        inputs = shape.n_items + n_pairs
        counted = (size + FLOAT + 2 * DOUBLE) * shape.co_watched
        memory = max(counted, size * inputs**2 + FLOAT * inputs * shape.n_items)
        products = float((shape.lengths.astype(np.float64) ** 2).sum())
        seconds = size / DOUBLE * 3e-11 * inputs**3 + 3e-9 * products + 1e-7 * shape.co_watched
        return Cost(int(BLAS + 2 * (size + FLOAT) * shape.n_events + memory), seconds)


def most_frequent_pairs(watched: sparse.csr_matrix, n_pairs: int) -> IntArray:
    """int32 [pairs × 2], the lower film first: the pairs with most users in common, at most as many as there are."""
    together = sparse.triu(watched.T @ watched, k=1, format="csr")
    together.sort_indices()
    cells = together.tocoo()
    first = np.argsort(-cells.data, kind="stable")[:n_pairs]
    return np.stack((cells.row[first], cells.col[first]), axis=1).astype(np.int32)


def _weights(inverse: np.ndarray, pairs: IntArray, n_items: int) -> FloatArray:
    """[B; C] from P, [inputs × films]; overwrites it. Most films are in no pair: they are done at once."""
    films = np.unique(pairs)
    barred = [np.concatenate(([film], n_items + np.flatnonzero((pairs == film).any(axis=1)))) for film in films]
    columns = [-inverse[:, inputs] @ _first_of_inverse(inverse[np.ix_(inputs, inputs)]) for inputs in barred]
    inverse[:, :n_items] /= -np.diagonal(inverse)[:n_items].copy()
    np.fill_diagonal(inverse, 0.0)
    weights = np.ascontiguousarray(inverse[:, :n_items], dtype=np.float32)
    for film, inputs, column in zip(films, barred, columns, strict=True):
        weights[:, film] = column
        weights[inputs, film] = 0.0
    return weights


def _first_of_inverse(square: np.ndarray) -> np.ndarray:
    """The first column of the inverse of a symmetric positive definite matrix."""
    first = np.zeros(len(square), dtype=square.dtype)
    first[0] = 1.0
    return np.asarray(linalg.solve(square, first, assume_a="pos"))
