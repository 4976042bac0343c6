"""Gram matrices of what was watched, and their inverses: what the closed forms of linear models share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from recpipe.scoring.sparse_products import RightFactor

_CELLS = 2**18
"""Cells of the Gram matrix that are worked out at once: 2 MiB of doubles at most."""
_CUTS = 16
"""How often the columns that are done are cut off; each cut copies what is left of the interactions."""
_TILE = 256
"""Rows and columns of what is moved over the diagonal at once: two such squares stay in the processor's cache."""


def damped(features: sparse.csr_matrix, lengths: np.ndarray, damping: float) -> sparse.csr_matrix:
    """Rows weighed by (length / median length)^−damping. lengths: [rows], films of each user; no film counts as one."""
    if not damping:
        return features
    weights = (np.maximum(lengths, 1) / np.median(lengths[lengths > 0])) ** -damping
    return features.multiply(weights[:, None].astype(features.dtype)).tocsr()


def lower_gram(features: sparse.csr_matrix, weighted: sparse.csr_matrix) -> np.ndarray:
    """The lower triangle of featuresᵀ · weighted, dense [columns × columns] in Fortran order, in the features' type.

    weighted: as `damped` makes it, so that the product is symmetric. What stands above the diagonal means nothing.
    """
    n_columns = features.shape[1]
    upper = np.empty((n_columns, n_columns), dtype=features.dtype)
    by_column, right, cut = features.T.tocsr(), RightFactor(weighted), 0
    rows = max(1, _CELLS // max(1, n_columns))
    for start in range(0, n_columns, rows):
        if start - cut >= max(rows, n_columns // _CUTS):
            right, cut = RightFactor(right.matrix[:, start - cut :]), start
        upper[start : start + rows, cut:] = right.product(by_column[start : start + rows])
    return upper.T


def gram_matrix(features: sparse.csr_matrix) -> np.ndarray:
    """featuresᵀ · features, dense [columns × columns], C order, in the features' type."""
    gram = lower_gram(features, features)
    mirror_lower(gram)
    return gram.T


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
    """Write the lower triangle over the upper one, in place."""
    for rows, columns in lower_tiles(len(matrix)):
        if rows == columns:
            matrix[rows, rows] = whole(matrix[rows, rows])
        else:
            matrix[columns, rows] = matrix[rows, columns].T


def lower_tiles(n_rows: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the squares of which the lower triangle consists, those on the diagonal among them."""
    folds = [slice(start, min(start + _TILE, n_rows)) for start in range(0, n_rows, _TILE)]
    return ((rows, columns) for place, columns in enumerate(folds) for rows in folds[place:])


def whole(square: np.ndarray) -> np.ndarray:
    """The symmetric matrix of which this has the lower triangle."""
    lower = np.tril(square)
    return lower + np.tril(square, -1).T
