"""SLIM: each film is a sparse sum of other films, by elastic-net regression (Ning and Karypis 2011)."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from recpipe.costs import BLAS, DOUBLE, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights, compact
from recpipe.training.gram import gram_matrix

_TARGETS, _ROWS = 1024, 64
"""Films solved for at once, and weights of each that are changed between two products with the Gram matrix."""
_MOST_SWEEPS = 1000


@final
class SlimElastic(Recipe):
    """score[u, i] = Σ_j X[u, j] W[j, i], with X binary [users × films] and W [films × films].

    Loss of film i, with n users, w = W[:, i] and w[i] = 0, and w ≥ 0 where `non_negative`:

        ‖x_i − X w‖² / (2 n) + regularization · (l1_share · ‖w‖₁ + (1 − l1_share) / 2 · ‖w‖²).

    So `regularization` is scikit-learn's `alpha` and `l1_share` its `l1_ratio`; the paper's λ and β are n times
    regularization · l1_share and regularization · (1 − l1_share). Solved by cyclic coordinate descent on G = XᵀX: with
    everything else held, W[j, i] = soft(G[j, i] − Σ_{k≠j} G[j, k] W[k, i], λ) / (G[j, j] + β), for all films i at once.
    A film is done when a sweep over j changes no weight of its by more than `tolerance`.

    neighbours: only so many films j, the nearest to i by cosine, may have a weight (the paper's fsSLIM); None: all.

    Memory: n_items² numbers in `precision`, and the weights, CSR where that is the smaller. Time: n_items³ a
    sweep; there are about eight to a `tolerance` of 0.001, twice as many to a tenth of that.

    Source: Ning and Karypis 2011, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM. Departures: the
    means over users, so that settings carry over to data of another size; weights below zero can be allowed.
    """

    regularization: float = Field(default=0.1, ge=0.0)
    l1_share: float = Field(default=0.02, ge=0.0, le=1.0)
    non_negative: bool = True
    neighbours: int | None = Field(default=None, ge=1)
    tolerance: float = Field(default=1e-3, gt=0.0)
    precision: Literal["float32", "float64"] = "float32"

    memory_hint: ClassVar[str] = (
        "set precision: float32, keep fewer films (k-core in conf/dataset.yaml), or use item_knn"
    )

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Weights [n_items × n_items]."""
        watched = train.interactions.matrix().astype(self.precision)
        gram = gram_matrix(watched)
        solved, unfinished = [], 0
        for start in range(0, train.n_items, _TARGETS):
            targets = np.arange(start, min(start + _TARGETS, train.n_items))
            weights, left = self._solve(gram, targets, train.n_users)
            solved.append(sparse.csc_matrix(weights.astype(np.float32)))
            unfinished += left
        if unfinished:
            run.report(note=f"{unfinished} films were still changing after {_MOST_SWEEPS} sweeps: raise tolerance")
        return ItemWeights(compact(sparse.hstack(solved, format="csr")))

    def cost(self, shape: Shape) -> Cost:
        """The dense Gram matrix beside a block of films (five matrices of all films by 1024) and the weights, a tenth
        of which are not zero. Time: eight sweeps of n_items³.
        """
        size = FLOAT if self.precision == "float32" else DOUBLE
        cells = shape.n_items**2
        block = (5 * size + 1) * shape.n_items * min(_TARGETS, shape.n_items)
        watched = BLAS + 2 * (size + FLOAT) * shape.n_events
        memory = watched + size * cells + block + 0.1 * 2 * FLOAT * cells
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(int(memory), size / FLOAT * 2.5e-10 * shape.n_items**3 + 1e-9 * pairs)

    def _solve(self, gram: np.ndarray, targets: NDArray[np.integer], n_users: int) -> tuple[np.ndarray, int]:
        """Weights [n_items × targets] in `precision`, and how many targets were left unfinished."""
        sums, allowed = gram[:, targets], self._allowed(gram, targets)
        weights, solved = np.zeros_like(sums), np.zeros_like(sums)
        active = np.arange(len(targets))
        for _ in range(_MOST_SWEEPS):
            changed = self._sweep(gram, sums, allowed, weights, n_users)
            left = changed > self.tolerance
            if not left.all():  # what is done takes no part in the next sweeps
                solved[:, active[~left]] = weights[:, ~left]
                sums, allowed, weights, active = sums[:, left], allowed[:, left], weights[:, left], active[left]
            if not len(active):
                break
        solved[:, active] = weights
        return solved, len(active)

    def _sweep(
        self, gram: np.ndarray, sums: np.ndarray, allowed: NDArray[np.bool_], weights: np.ndarray, n_users: int
    ) -> np.ndarray:
        """Change `weights` in place, row by row; returns each target's largest change.

        Within a block of rows the residuals follow the changes row by row; those of the next block come from one
        product of matrices. sums, allowed, weights: [n_items × targets].
        """
        absolute = gram.dtype.type(n_users * self.regularization * self.l1_share)
        curvature = gram.diagonal() + gram.dtype.type(n_users * self.regularization * (1.0 - self.l1_share))
        curvature[curvature == 0.0] = 1.0  # a film that nobody watched has no correlations either
        largest = np.zeros(weights.shape[1], dtype=gram.dtype)
        for start in range(0, len(gram), _ROWS):
            stop = min(start + _ROWS, len(gram))
            residuals = sums[start:stop] - gram[start:stop] @ weights
            changes = np.zeros_like(residuals)
            for row in range(start, stop):
                best = residuals[row - start]
                best -= gram[row, start:row] @ changes[: row - start]
                best += gram[row, row] * weights[row]
                best -= absolute if self.non_negative else np.clip(best, -absolute, absolute)
                if self.non_negative:
                    np.maximum(best, 0.0, out=best)
                best *= allowed[row] / curvature[row]
                np.subtract(best, weights[row], out=changes[row - start])
                weights[row] = best
            np.maximum(largest, np.abs(changes).max(axis=0), out=largest)
        return largest

    def _allowed(self, gram: np.ndarray, targets: NDArray[np.integer]) -> NDArray[np.bool_]:
        """[n_items × targets]: which weights may differ from zero. Films that tie at the last place are all kept."""
        allowed = np.ones((len(gram), len(targets)), dtype=np.bool_)
        if self.neighbours is not None and self.neighbours < len(gram) - 1:
            lengths = np.sqrt(np.maximum(gram.diagonal(), 1.0))
            near = gram[:, targets] / lengths[:, None]
            near[targets, np.arange(len(targets))] = -1.0
            allowed = near >= np.partition(near, -self.neighbours, axis=0)[-self.neighbours]
        allowed[targets, np.arange(len(targets))] = False
        return allowed
