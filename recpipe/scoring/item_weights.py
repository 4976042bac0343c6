"""Films vote for films: EASE, SLIM, item kNN and all that end in one matrix from film to film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import Recipe


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """score[user, i] = Σ_j weights[j, i] over the films j of the user's history, + item_biases[i].

    weights: float32 [n_items × n_items], dense or CSR; row: the film watched, column: the film scored. item_biases:
    float32 [n_items] or None. Histories count each film once. Nobody's row number is used, so newcomers are served; an
    empty history scores the biases, or zero everywhere.
    """

    weights: FloatArray | sparse.csr_matrix
    item_biases: FloatArray | None = None

    serves_newcomers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        rows, columns = self.weights.shape
        if rows != columns:
            raise ValueError(f"item weights: a square matrix was wanted, one of {rows} × {columns} came")

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]. Row by row: a user's scores depend on nobody else, to the last bit."""
        voted = users.matrix() @ self.weights
        dense = voted.toarray() if sparse.issparse(voted) else voted
        scores = np.asarray(dense, dtype=np.float32)
        return scores if self.item_biases is None else scores + self.item_biases

    def arrays(self) -> dict[str, Any]:
        """The matrix, and the biases where there are any."""
        biases = {} if self.item_biases is None else {"item_biases": self.item_biases}
        return {"weights": self.weights, **biases}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        return cls(**arrays)


def compact(weights: sparse.csr_matrix) -> FloatArray | sparse.csr_matrix:
    """The matrix as it stands where that is smaller than a dense one: a cell that is not zero takes a number and an
    index.
    """
    return weights if 2 * weights.nnz < weights.shape[0] * weights.shape[1] else weights.toarray()
