"""NCE-PLRec: films embedded by noise-contrastive estimation in closed form, then a linear map back (Wu et al. 2019)."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import linalg, sparse

from recpipe.costs import DOUBLE, FLOAT, MIB, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights

_OVERSAMPLED = 10
_POWERS = 4
"""Vectors beyond the rank, and power iterations, of the randomised SVD; the authors' program has as many iterations."""


@final
class NceplRec(Recipe):
    """score[u, i] = Σ_j Q[j] · W[:, i] over the films j of u's history, with Q [n_items × embedding] the films' vectors
    and W [embedding × n_items]; the two are kept apart, and no matrix of films by films is formed.

    Vectors: the embeddings a_u, b_i that make Σ_(u, i watched) [ln σ(a_u · b_i) + E_(j ~ popularity^beta)
    ln σ(−a_u · b_j)] largest have, were their rank full, the products D[u, i] = max(0, ln(n_users / c_i^beta)) where u
    watched i, c_i the users of i, and 0 elsewhere (the logarithm's constant as in the authors' program). With the
    truncated SVD D ≈ U Σ Vᵀ, Q = V Σ^½. The larger beta, the less popular films shape the vectors.
    Map: W minimises ‖X − X Q W‖² + regularization · ‖W‖², so W = (QᵀXᵀX Q + regularization · I)⁻¹ QᵀXᵀX, X binary.

    Source: Wu, Volkovs, Soon, Sanner and Rai 2019, "Noise Contrastive Estimation for One-Class Collaborative
    Filtering", SIGIR. Departures: none in the mathematics. The randomised SVD is of Halko, Martinsson and Tropp
    2011, "Finding Structure with Randomness"; all is worked out in float64 and kept in float32. A rank above the
    number of users or films is cut to it.
    """

    embedding_size: int = Field(default=100, ge=1)
    beta: float = Field(default=1.0, ge=0.0)
    regularization: float = Field(default=100.0, gt=0.0)

    memory_hint: ClassVar[str] = "set a smaller embedding_size"

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """A left part, the vectors, and a right one, the map; both float32."""
        watched = train.interactions.matrix().astype(np.float64)
        lengths, axes = truncated_svd(self.contrasted(watched), self.embedding_size, run.random())
        vectors = axes.T * np.sqrt(lengths)
        projected = watched @ vectors
        gram = projected.T @ projected
        gram[np.diag_indices_from(gram)] += self.regularization
        back = linalg.solve(gram, (watched.T @ projected).T, assume_a="pos", overwrite_a=True, overwrite_b=True)
        return ItemWeights(vectors.astype(np.float32), right=np.ascontiguousarray(back, dtype=np.float32))

    def contrasted(self, watched: sparse.csr_matrix) -> sparse.csr_matrix:
        """D, [n_users × n_items], from ones."""
        counts = np.maximum(watched.getnnz(axis=0), 1.0)
        return (watched @ sparse.diags(np.maximum(0.0, np.log(watched.shape[0] / counts**self.beta)))).tocsr()

    def cost(self, shape: Shape) -> Cost:
        """Two sparse copies of the interactions in float64, three matrices of vectors of users and films beside what
        the linear algebra allocates. Time: the products with the interactions, and the factorisations of the vectors.
        """
        width = min(self.embedding_size, shape.n_users, shape.n_items) + _OVERSAMPLED
        rows, passes = shape.n_users + shape.n_items, 2 * _POWERS + 4
        memory = 8 * MIB + 2 * (DOUBLE + FLOAT) * shape.n_events + 3 * DOUBLE * width * rows
        return Cost(memory, passes * width * (5e-10 * shape.n_events + 1.5e-10 * width * rows))


def truncated_svd(
    matrix: sparse.csr_matrix, rank: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest singular values [rank] and their right vectors [rank × columns], of a random sketch of the range."""
    rank = min(rank, *matrix.shape)
    basis = matrix @ random.standard_normal((matrix.shape[1], min(rank + _OVERSAMPLED, matrix.shape[0])))
    for _ in range(_POWERS):
        basis = matrix @ _orthonormal(matrix.T @ _orthonormal(basis))
    small = (matrix.T @ _orthonormal(basis)).T
    _, lengths, axes = linalg.svd(small, full_matrices=False, overwrite_a=True)
    return lengths[:rank], axes[:rank]


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of [n × k], an orthonormal basis [n × min(n, k)] of what the columns span."""
    return np.asarray(linalg.qr(columns, mode="economic", overwrite_a=True)[0])
