"""A network over the whole history as one dense row: the autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import Recipe
from recpipe.scoring.networks import device_of, network_from, score_in_blocks, weights_of

BLOCK = 256


@dataclass(frozen=True, eq=False)
class HistoryNetwork:
    """score = net(history), or net(history, user) for a network with a part of its own for each user.

    network: a module with `scores(history: float32 [rows × n_items], binary) -> [rows × n_items]`. Where its class says
    `knows_users`, scores takes users as well, int64 [rows]: their row numbers at training, `n_users` for newcomers.
    """

    network: Any
    n_items: int
    n_users: int = 0

    serves_newcomers: ClassVar[bool] = True

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; a row without films is asked with a row of zeros."""
        device = device_of(self.network)
        knows_users = getattr(self.network, "knows_users", False)

        def score(rows: Histories) -> torch.Tensor:
            history = torch.from_numpy(rows.matrix().toarray()).to(device)
            if knows_users:
                return self.network.scores(history, self._numbers(rows).to(device))
            return self.network.scores(history)

        return score_in_blocks(self.network, score, users, BLOCK)

    def _numbers(self, users: Histories) -> torch.Tensor:
        known = (users.users != NEWCOMER) & (users.users < self.n_users)
        return torch.from_numpy(np.where(known, users.users, self.n_users).astype(np.int64))

    def arrays(self) -> dict[str, Any]:
        """The sizes and the network's state."""
        return {"n_users": np.array(self.n_users), "n_items": np.array(self.n_items), **weights_of(self.network)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe builds the network again."""
        return cls(network_from(arrays, recipe), int(arrays["n_items"]), int(arrays["n_users"]))
