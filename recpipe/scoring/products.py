"""Dense products whose every row is the same whatever else is in the batch."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import FloatArray

BLOCK = 128
"""Rows in one matrix product: always as many, since products of another shape may round otherwise; and as many as a
ranking asks about at once, so that none are zeros."""


def row_by_row(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """float32 [rows × columns] = rows @ matrix, in blocks of exactly `BLOCK` rows, the last filled up with zeros."""
    product = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    whole = len(rows) - len(rows) % BLOCK
    for start in range(0, whole, BLOCK):
        np.matmul(rows[start : start + BLOCK], matrix, out=product[start : start + BLOCK])
    if whole < len(rows):
        last = np.zeros((BLOCK, rows.shape[1]), dtype=np.float32)
        last[: len(rows) - whole] = rows[whole:]
        product[whole:] = (last @ matrix)[: len(rows) - whole]
    return product
