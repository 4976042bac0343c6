"""ADMM SLIM: SLIM's problem by alternating directions, one matrix inverted once (Steck et al. 2020)."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field
from scipy import sparse

from recpipe.costs import BLAS, DOUBLE, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights, compact
from recpipe.training.gram import gram_matrix, lower_inverse, mirror_lower

_MOST_ROUNDS = 1000


@final
class AdmmSlim(Recipe):
    """score[u, i] = Σ_j (X[u, j] − m[j]) B[j, i] + m[i], with X binary [users × films] and B [films × films].

    Loss, subject to diag(B) = 0 where `zero_diagonal` and B ≥ 0 where `non_negative`:

        ½ ‖X̄ − X̄ B‖² + regularization · (l1_share · ‖B‖₁ + (1 − l1_share) / 2 · Σ_j m_j^alpha ‖B[j, :]‖²).

    `centred`: X̄ = X − m, m_i the share of users who watched film i; else X̄ = X, and m is 0 in the score. The paper's λ₁
    and λ₂ are regularization · l1_share and regularization · (1 − l1_share); alpha 0 is plain, above it popular films
    pay more. With P = (X̄ᵀX̄ + λ₂ diag(m^alpha) + ρI)⁻¹, dual variables Γ and C the copy of B that L1 acts on, a round is

        B̃ = P (X̄ᵀX̄ + ρC − Γ),  B = B̃ − P diag(γ) with γ_i = B̃_ii / P_ii for diag(B) = 0,
        C = soft(B + Γ/ρ, λ₁/ρ), no less than 0 where so wished,  Γ += ρ (B − C);

    C is the result, once a round moves none of its entries by more than `tolerance` and B differs from it by no more.
    ρ is `coupling` times the mean of the diagonal of XᵀX: the number of rounds depends on it, the solution does not.
    Memory: eight matrices n_items² in `precision`. Time: n_items³ a round, and twice that for P.

    Source: Steck, Dimakopoulou, Riabov and Jebara 2020, "ADMM SLIM: Sparse Recommendations for Many Users", WSDM.
    Departures: λ₁ and λ₂ written as strength and share; the rounds end by tolerance, not after a fixed number, with
    which the result would depend on ρ.
    """

    regularization: float = Field(default=200.0, gt=0.0)
    l1_share: float = Field(default=0.01, ge=0.0, lt=1.0)
    alpha: float = Field(default=0.0, ge=0.0)
    centred: bool = False
    non_negative: bool = True
    zero_diagonal: bool = True
    coupling: float = Field(default=20.0, gt=0.0)
    tolerance: float = Field(default=1e-3, gt=0.0)
    precision: Literal["float32", "float64"] = "float32"

    memory_hint: ClassVar[str] = (
        "set precision: float32, keep fewer films (k-core in conf/dataset.yaml), or use slim_elastic or item_knn"
    )

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Weights [n_items × n_items], and biases where `centred`."""
        watched = train.interactions.matrix().astype(self.precision)
        means = np.asarray(watched.mean(axis=0)).ravel()
        gram = gram_matrix(watched)
        coupling = self.coupling * max(float(gram.diagonal().mean()), 1.0)
        if self.centred:
            gram -= train.n_users * np.outer(means, means)
        weights, done = self._alternate(gram, means, coupling)
        if not done:
            run.report(note=f"the weights were still changing after {_MOST_ROUNDS} rounds: raise tolerance or coupling")
        compacted = compact(sparse.csr_matrix(weights.astype(np.float32)))
        return ItemWeights(compacted, (means - means @ weights).astype(np.float32) if self.centred else None)

    def cost(self, shape: Shape) -> Cost:
        """Eight dense matrices of the Gram matrix's size: P, PG, B, C, the dual variables and what a round makes
        between them. Time: P and 25 rounds.
        """
        size = FLOAT if self.precision == "float32" else DOUBLE
        watched = BLAS + 2 * (size + FLOAT) * shape.n_events
        memory = watched + 8 * size * shape.n_items**2
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(int(memory), size / FLOAT * 6e-10 * shape.n_items**3 + 1e-9 * pairs)

    def _alternate(self, gram: np.ndarray, means: np.ndarray, coupling: float) -> tuple[np.ndarray, bool]:
        """C, and whether the rounds ended by tolerance. `gram` is overwritten. The dual variables are kept as Γ/ρ."""
        squares = self.regularization * (1.0 - self.l1_share) * means**self.alpha + coupling
        threshold = self.regularization * self.l1_share / coupling
        inverse = _inverse(gram, squares.astype(gram.dtype))
        reached = np.diag(np.ones_like(means)) - inverse * squares  # P XᵀX
        sparse_copy, dual = np.zeros_like(gram), np.zeros_like(gram)
        for _ in range(_MOST_ROUNDS):
            weights = inverse @ (sparse_copy - dual)
            weights *= coupling
            weights += reached
            if self.zero_diagonal:
                weights -= inverse * (weights.diagonal() / inverse.diagonal())
            before = sparse_copy
            sparse_copy = self._shrunk(weights + dual, threshold)
            weights -= sparse_copy
            dual += weights
            if max(_largest(weights), _largest(before - sparse_copy)) <= self.tolerance:
                return sparse_copy, True
        return sparse_copy, False

    def _shrunk(self, values: np.ndarray, threshold: float) -> np.ndarray:
        """Nearer to zero by the threshold; overwritten."""
        if self.non_negative:
            values -= threshold
            return np.maximum(values, 0.0, out=values)
        values -= np.clip(values, -threshold, threshold)
        return values


def _inverse(gram: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """(gram + diag)⁻¹ of a symmetric matrix; `gram` is overwritten."""
    gram[np.diag_indices_from(gram)] += diagonal
    inverse = lower_inverse(gram.T)  # symmetric: its transpose is itself, in the order that LAPACK wants
    mirror_lower(inverse)
    return inverse.T


def _largest(values: np.ndarray) -> float:
    return float(max(values.max(initial=0.0), -values.min(initial=0.0)))
