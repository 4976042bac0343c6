"""A vector for people that a factor model has not seen: least squares over their history, the films' vectors held."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import FloatArray

_CELLS = 2**22
"""Numbers held at once: 32 MiB."""


@dataclass(frozen=True)
class FoldIn:
    """p = (Q_Sᵀ Q_S + alpha · QᵀQ + λ (|S| + alpha · n_items)^ν I)⁻¹ Q_Sᵀ 1, with S the films of the history.

    What iALS solves for its own users in every round (Hu, Koren and Volinsky 2008). regularization: λ. scaling: ν.
    """

    alpha: float
    regularization: float
    scaling: float

    def vectors(self, watched: sparse.csr_matrix, item_factors: FloatArray) -> FloatArray:
        """watched: binary [rows × n_items]; item_factors [n_items × size] → float32 [rows × size], in float64 between.

        Zeros for an empty history. Rows are padded to the next power of two, so that one row's vector does not depend
        on the others'.
        """
        n_items, size = item_factors.shape
        factors = np.vstack((item_factors, np.zeros((1, size)))).astype(np.float64)
        of_all = self.alpha * (factors.T @ factors)
        lengths = np.diff(watched.indptr)
        widths = 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
        vectors = np.zeros((len(lengths), size), dtype=np.float32)
        for width in np.unique(widths[lengths > 0]).tolist():
            alike = np.flatnonzero(widths == width)
            for rows in np.split(alike, range(_rows(width, size), len(alike), _rows(width, size))):
                near = factors[padded(watched, rows, width)]  # [rows × width × size]
                scales = (lengths[rows] + self.alpha * n_items) ** self.scaling
                matrices = near.swapaxes(1, 2) @ near + of_all
                matrices += (self.regularization * scales)[:, None, None] * np.eye(size)
                vectors[rows] = np.linalg.solve(matrices, near.sum(axis=1)[..., None])[..., 0]
        return vectors

    def array(self) -> NDArray[np.float64]:
        """As it is stored: alpha, regularization, scaling."""
        return np.array(astuple(self))

    @classmethod
    def from_array(cls, stored: NDArray[np.float64]) -> Self:
        """What `array` gave."""
        return cls(*stored.tolist())


def _rows(width: int, size: int) -> int:
    return max(1, _CELLS // (size * (width + size)))


def padded(watched: sparse.csr_matrix, rows: NDArray[np.integer], width: int) -> NDArray[np.int64]:
    """The films of these rows, none of which has more than `width`: int64 [rows × width], filled up with the number of
    films."""
    lengths = np.diff(watched.indptr)[rows]
    inside = np.arange(width)[None, :] < lengths[:, None]
    places = np.where(inside, watched.indptr[rows].astype(np.int64)[:, None] + np.arange(width), 0)
    return np.where(inside, watched.indices[places], watched.shape[1]).astype(np.int64)
