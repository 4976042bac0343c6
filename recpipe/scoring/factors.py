"""One vector a user and one a film: MF, BPR, iALS, and every graph model once its propagation is done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import Recipe, UnknownUsers
from recpipe.scoring.folding import FoldIn
from recpipe.scoring.products import row_by_row


@dataclass(frozen=True, eq=False)
class Factors:
    """score[user, i] = user_factors[user] · item_factors[i] + item_biases[i].

    user_factors: float32 [n_users × embedding]. item_factors: float32 [n_items × embedding]. item_biases: float32
    [n_items] or None. newcomer_factors: float32 [embedding], the vector that stands for everybody unknown. fold_in: how
    the vector of somebody unknown follows from the history at hand. Without either, newcomers are refused.
    """

    user_factors: FloatArray
    item_factors: FloatArray
    item_biases: FloatArray | None = None
    newcomer_factors: FloatArray | None = None
    fold_in: FoldIn | None = None

    optional: ClassVar[tuple[str, ...]] = ("item_biases", "newcomer_factors")

    def __post_init__(self) -> None:
        if self.user_factors.shape[1] != self.item_factors.shape[1]:
            raise ValueError(
                f"factors: users have vectors of length {self.user_factors.shape[1]}, "
                f"films of length {self.item_factors.shape[1]}"
            )

    @property
    def serves_newcomers(self) -> bool:
        """Whether there is a vector that stands for them, or a way to one."""
        return self.newcomer_factors is not None or self.fold_in is not None

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; raises `UnknownUsers` for newcomers where they are not served."""
        scores = row_by_row(self._vectors(users), self._columns)
        return scores if self.item_biases is None else scores + self.item_biases

    @cached_property
    def _columns(self) -> FloatArray:
        """float32 [embedding × n_items], laid out as the product reads it: a sixth faster than a transposed view."""
        return np.ascontiguousarray(self.item_factors.T)

    def _vectors(self, users: Histories) -> FloatArray:
        unknown = (users.users == NEWCOMER) | (users.users >= len(self.user_factors))
        if not unknown.any():
            return self.user_factors[users.users]
        known = self.user_factors[np.where(unknown, 0, users.users)]
        if self.fold_in is not None:
            known[unknown] = self.fold_in.vectors(users.rows(np.flatnonzero(unknown)).matrix(), self.item_factors)
            return known
        if self.newcomer_factors is None:
            raise UnknownUsers(
                f"{int(unknown.sum())} of {len(users)} users were not seen at training, and this model has a "
                "vector for each user that it was trained on and for nobody else: fit again with their histories in "
                "the training part, or ask a model that scores from histories (ease, item_knn, multi_vae)"
            )
        return np.where(unknown[:, None], self.newcomer_factors, known)

    def arrays(self) -> dict[str, Any]:
        """The factors, and the optional vectors where there are any."""
        given = {name: getattr(self, name) for name in self.optional if getattr(self, name) is not None}
        if self.fold_in is not None:
            given["fold_in"] = self.fold_in.array()
        return {"user_factors": self.user_factors, "item_factors": self.item_factors, **given}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe is not needed."""
        ways = {"fold_in": FoldIn.from_array(arrays["fold_in"])} if "fold_in" in arrays else {}
        return cls(**arrays | ways)
