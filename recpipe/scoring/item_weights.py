"""Films vote for films: EASE, SLIM, item kNN and all that end in one matrix from film to film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from recpipe.data.interactions import FloatArray, Histories, IntArray
from recpipe.recipe import Recipe
from recpipe.scoring.products import row_by_row


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """score[user, i] = Σ_j h[j] weights[j, i] over the films j of the user's history, + item_biases[i].

    weights: float32 [n_items × n_items], dense or CSR; row: the film watched, column: the film scored. Histories count
    each film once. item_biases: float32 [n_items] or None. half_life: None, and h is 1; or h[j] = 2^(−age_j /
    half_life), see `Histories.recency_matrix`.
    right: float32 [rank × n_items] or None. Where it is given, weights is float32 [n_items × rank], and their product
    stands for the square matrix, which is never formed.
    pairs: int32 [m × 2] or None, and pair_weights: float32 [m × n_items]: pairs of films vote too, and for each pair
    (j, k) h[j] h[k] pair_weights[pair] is added.
    Nobody's row number is used, so newcomers are served; an empty history scores the biases, or zero everywhere.
    """

    weights: FloatArray | sparse.csr_matrix
    item_biases: FloatArray | None = None
    half_life: float | None = None
    right: FloatArray | None = None
    pairs: IntArray | None = None
    pair_weights: FloatArray | None = None

    serves_newcomers: ClassVar[bool] = True
    optional: ClassVar[tuple[str, ...]] = ("item_biases", "right", "pairs", "pair_weights")

    def __post_init__(self) -> None:
        rows, columns = self.weights.shape
        if self.right is None and rows != columns:
            raise ValueError(f"item weights: a square matrix was wanted, one of {rows} × {columns} came")
        if self.right is not None and self.right.shape != (columns, rows):
            raise ValueError(
                f"item weights: beside a left part of {rows} × {columns} a right one of {columns} × {rows} was wanted, "
                f"one of {' × '.join(map(str, self.right.shape))} came"
            )
        if (self.pairs is None) != (self.pair_weights is None):
            raise ValueError("item weights: pairs and pair_weights belong together, and one of them is missing")

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]. Row by row: a user's scores depend on nobody else, to the last bit."""
        watched = users.matrix() if self.half_life is None else users.recency_matrix(self.half_life)
        voted = watched @ self.weights
        dense = np.asarray(voted.toarray() if sparse.issparse(voted) else voted, dtype=np.float32)
        scores = dense if self.right is None else row_by_row(dense, self.right)
        if self.pairs is not None:
            scores = scores + pairs_watched(watched, self.pairs) @ self.pair_weights
        return scores if self.item_biases is None else scores + self.item_biases

    def arrays(self) -> dict[str, Any]:
        """The matrix, and what else there is."""
        forgets = {} if self.half_life is None else {"half_life": np.array(self.half_life, dtype=np.float64)}
        parts = {name: getattr(self, name) for name in self.optional if getattr(self, name) is not None}
        return {"weights": self.weights, **parts, **forgets}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        half_life = float(arrays["half_life"]) if "half_life" in arrays else None
        parts = {name: arrays.get(name) for name in cls.optional}
        return cls(arrays["weights"], half_life=half_life, **parts)


def pairs_watched(watched: sparse.csr_matrix, pairs: IntArray) -> sparse.csr_matrix:
    """CSR [rows × m]: the product of both films' entries, which is 1 where both were watched."""
    by_film = watched.tocsc()
    return by_film[:, pairs[:, 0]].multiply(by_film[:, pairs[:, 1]]).tocsr()


def compact(weights: sparse.csr_matrix) -> FloatArray | sparse.csr_matrix:
    """The matrix as it stands where that is smaller than a dense one: a cell that is not zero takes a number and an
    index.
    """
    return weights if 2 * weights.nnz < weights.shape[0] * weights.shape[1] else weights.toarray()
