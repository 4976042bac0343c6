"""Products whose rows do not depend on each other."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.recipe import ROWS_A_CALL
from recpipe.scoring.products import row_by_row


@pytest.mark.parametrize("n_rows", [0, 1, ROWS_A_CALL - 1, ROWS_A_CALL, ROWS_A_CALL + 1, 3 * ROWS_A_CALL])
def test_a_row_is_the_same_to_the_last_bit_whatever_is_beside_it(n_rows):
    random = np.random.default_rng(0)
    rows = random.standard_normal((n_rows, 24), dtype=np.float32)
    matrix = random.standard_normal((24, 301), dtype=np.float32)
    product = row_by_row(rows, matrix)
    assert product.shape == (n_rows, 301) and product.dtype == np.float32
    np.testing.assert_allclose(product, rows @ matrix, rtol=1e-4, atol=1e-4)
    for row in range(0, n_rows, 50):
        np.testing.assert_array_equal(row_by_row(rows[row : row + 1], matrix)[0], product[row])
