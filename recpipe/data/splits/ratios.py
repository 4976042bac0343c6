"""Shares of a user's films as whole numbers, by RecBole's convention, so that its published figures compare.

Sizes are rounded down and the training part gets the rest; but where a later part would come out empty although its
share is not, it gets one film, the test part first, as long as more than one is left for training.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recpipe.data.interactions import LongArray

Share = Annotated[float, Field(gt=0, lt=1)]


def ratio_sizes(films: LongArray, train: float, valid: float) -> tuple[LongArray, LongArray]:
    """Films that go to validation and to test, for users with so many films; 1 - train - valid is the test share."""
    n_test, wants_test = _rounded_down(films, 1 - train - valid)
    n_valid, wants_valid = _rounded_down(films, valid)
    n_test = n_test + (wants_test & (films - n_valid - n_test > 1))
    n_valid = n_valid + (wants_valid & (films - n_valid - n_test > 1))
    return n_valid, n_test


def share_sizes(films: LongArray, share: float) -> LongArray:
    """This share of each user's films, rounded down; one film at least of users with more than one."""
    size, below_one = _rounded_down(films, share)
    return size + (below_one & (films > 1))


def wanted_remainder(strategy: str, train: float, valid: float) -> None:
    """Raise where the shares leave nothing for the test part."""
    if train + valid > 1 - 1e-6:
        raise ValueError(f"{strategy}: train + valid is {train + valid:g}; wanted below 1, the rest is the test part")


def _rounded_down(films: LongArray, share: float) -> tuple[LongArray, NDArray[np.bool_]]:
    exact = films * share + 1e-9  # 0.1 of 10 is 1, whatever binary fractions make of 1 - 0.8 - 0.1
    return np.floor(exact).astype(np.int64), (films > 0) & (exact < 1)
