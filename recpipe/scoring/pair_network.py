"""A network over pairs of a user and a film: NeuMF and its kin, the factorisation machines."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Self

import numpy as np
import torch

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import ROWS_A_CALL, Recipe, UnknownUsers
from recpipe.scoring.networks import device_of, network_from, score_in_blocks, weights_of

PAIRS = 2**17
"""Pairs in one block at most: with 256 units a pair, 128 MiB a layer."""


@dataclass(frozen=True, eq=False)
class PairNetwork:
    """score = net(user, film), for all films.

    network: a module with `scores(users: int64 [rows]) -> [rows × n_items]`; where a pair takes more than some hundred
    numbers, with `pairs_at_once` too, how many of them one call should be about.
    """

    network: Any
    n_users: int
    n_items: int

    serves_newcomers: ClassVar[bool] = False

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items], in blocks into which `ROWS_A_CALL` rows go evenly; raises `UnknownUsers` for
        newcomers, whose embedding was never learned.
        """
        unknown = int((users.users == NEWCOMER).sum() + (users.users >= self.n_users).sum())
        if unknown:
            raise UnknownUsers(
                f"{unknown} of {len(users)} users were not seen at training, and this model knows users by their "
                "number alone; ask a model that serves newcomers for them"
            )
        device = device_of(self.network)
        pairs = getattr(self.network, "pairs_at_once", PAIRS)

        def score(rows: Histories) -> torch.Tensor:
            return self.network.scores(torch.from_numpy(rows.users.astype(np.int64)).to(device))

        n_blocks = ceil(ROWS_A_CALL / max(1, pairs // self.n_items))
        return score_in_blocks(self.network, score, users, ceil(ROWS_A_CALL / n_blocks))

    def arrays(self) -> dict[str, Any]:
        """The sizes and the network's state."""
        return {"n_users": np.array(self.n_users), "n_items": np.array(self.n_items), **weights_of(self.network)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe builds the network again."""
        return cls(network_from(arrays, recipe), int(arrays["n_users"]), int(arrays["n_items"]))
