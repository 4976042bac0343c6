"""Gram matrices of what was watched, and their inverses: what the closed forms of linear models share."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

_FOLD = 2048


def damped(features: sparse.csr_matrix, lengths: np.ndarray, damping: float) -> sparse.csr_matrix:
    """Rows weighed by (length / median length)^−damping. lengths: [rows], films of each user; no film counts as one."""
    if not damping:
        return features
    weights = (np.maximum(lengths, 1) / np.median(lengths[lengths > 0])) ** -damping
    return features.multiply(weights[:, None].astype(features.dtype)).tocsr()


def lower_inverse(gram: np.ndarray) -> np.ndarray:
    """The lower triangle of the inverse of a symmetric positive definite matrix in Fortran order, in its own memory.

    By Cholesky's factors: LAPACK's potrf and potri. What stands above the diagonal afterwards means nothing.
    """
    factor, invert = lapack.get_lapack_funcs(("potrf", "potri"), (gram,))
    triangle, failed = factor(gram, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise ValueError(
            f"the Gram matrix is not positive definite in {gram.dtype}: raise regularization, or use float64"
        )
    inverse, _ = invert(triangle, lower=1, overwrite_c=1)
    return np.asarray(inverse)


def mirror_lower(matrix: np.ndarray) -> None:
    """Write the lower triangle over the upper one, in place, in folds of rows."""
    for start in range(0, len(matrix), _FOLD):
        stop = min(start + _FOLD, len(matrix))
        square = np.tril(matrix[start:stop, start:stop])
        matrix[start:stop, start:stop] = square + np.tril(square, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
