"""One score a film, the same for everybody: popularity and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import Recipe


@dataclass(frozen=True, eq=False)
class SameForAll:
    """score[user, i] = film_scores[i]. film_scores: float32 [n_items]."""

    film_scores: FloatArray

    serves_newcomers: ClassVar[bool] = True

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]: the same row for everybody."""
        return np.tile(self.film_scores, (len(users), 1))

    def arrays(self) -> dict[str, Any]:
        """The vector."""
        return {"film_scores": self.film_scores}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        return cls(arrays["film_scores"])
