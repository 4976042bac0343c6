"""Dense products whose every row is the same whatever else is in the batch."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import FloatArray

BLOCK = 256
"""Rows in one matrix product: always as many, since products of another shape may round otherwise."""


def row_by_row(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """float32 [rows × columns] = rows @ matrix, in blocks of exactly `BLOCK` rows, the last filled up with zeros."""
    product = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        full = np.concatenate((block, np.zeros((BLOCK - len(block), block.shape[1]), dtype=np.float32)))
        product[start : start + BLOCK] = (full @ matrix)[: len(block)]
    return product
