"""Two sets of weights, and which user gets which: by how long a history is, or how much of it lies close together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Histories, LongArray

BUSY_DAYS = 30
SECONDS_A_DAY = 86_400
WORDS = {"length": "films watched", "recent": f"films watched in the {BUSY_DAYS} days up to the last one"}
"""What users are told apart by, as it is said to people."""


@dataclass(frozen=True)
class Switch:
    """Users whose activity is above `limit` get `weights`; the others keep the blend's.

    by: a key of `WORDS`. share: of the validation users, those above.
    """

    by: str
    limit: int
    share: float
    weights: Mapping[str, float]

    def above(self, histories: Histories) -> NDArray[np.bool_]:
        """bool [users]."""
        return activity(histories, self.by) > self.limit

    @property
    def told(self) -> str:
        """Who gets these weights, in words."""
        return f"more than {self.limit} {WORDS[self.by]}"


def activity(histories: Histories, by: str) -> LongArray:
    """int64 [users]: how active each is by their own history alone, so that it does not depend on who else is asked."""
    if by == "length":
        return histories.lengths
    if by == "recent":
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        lasts = histories.times[np.maximum(histories.offsets[1:] - 1, 0)] if len(histories.times) else histories.lengths
        close = histories.times > lasts[owners] - BUSY_DAYS * SECONDS_A_DAY
        return np.bincount(owners[close], minlength=len(histories)).astype(np.int64)
    raise ValueError(f"switching: users cannot be told apart by {by!r}; known are {', '.join(WORDS)}")
