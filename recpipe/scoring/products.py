"""Dense products whose every row is the same whatever else is in the batch."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import FloatArray
from recpipe.recipe import ROWS_A_CALL


def row_by_row(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """float32 [rows × columns] = rows @ matrix, in blocks of exactly `ROWS_A_CALL` rows, the last filled up with zeros:
    products of another shape may round otherwise.
    """
    product = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    whole = len(rows) - len(rows) % ROWS_A_CALL
    for start in range(0, whole, ROWS_A_CALL):
        np.matmul(rows[start : start + ROWS_A_CALL], matrix, out=product[start : start + ROWS_A_CALL])
    if whole < len(rows):
        last = np.zeros((ROWS_A_CALL, rows.shape[1]), dtype=np.float32)
        last[: len(rows) - whole] = rows[whole:]
        product[whole:] = (last @ matrix)[: len(rows) - whole]
    return product
