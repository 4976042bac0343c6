"""A network over the whole history as one dense row: the autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import ROWS_A_CALL, Recipe
from recpipe.scoring.networks import device_of, network_from, score_in_blocks, weights_of


@dataclass(frozen=True, eq=False)
class HistoryNetwork:
    """score = net(history), or net(history, user).

    network: a module with `scores(history: float32 [rows × n_items], binary) -> [rows × n_items]`. Where it has
    `knows_users = True` it is given users as well, int64 [rows], `NEWCOMER` for all that training has not seen. Where
    it has `reads_ratings = True` the row holds the latest rating of each film.
    """

    network: Any
    n_items: int
    n_users: int = 0

    serves_newcomers: ClassVar[bool] = True

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; a row without films is asked with a row of zeros."""
        device = device_of(self.network)
        reads_ratings = getattr(self.network, "reads_ratings", False)

        def score(rows: Histories) -> torch.Tensor:
            watched = rows.rating_matrix() if reads_ratings else rows.matrix()
            history = torch.from_numpy(watched.toarray()).to(device)
            if not getattr(self.network, "knows_users", False):
                return self.network.scores(history)
            known = np.where(rows.users < self.n_users, rows.users, NEWCOMER).astype(np.int64)
            return self.network.scores(history, torch.from_numpy(known).to(device))

        return score_in_blocks(self.network, score, users, ROWS_A_CALL)

    def arrays(self) -> dict[str, Any]:
        """The sizes and the network's state."""
        return {"n_users": np.array(self.n_users), "n_items": np.array(self.n_items), **weights_of(self.network)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe builds the network again."""
        return cls(network_from(arrays, recipe), int(arrays["n_items"]), int(arrays["n_users"]))
