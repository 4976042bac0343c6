"""A network over the whole history as one dense row: the autoencoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import Recipe
from recpipe.scoring.networks import device_of, network_from, score_in_blocks, weights_of

BLOCK = 256


@dataclass(frozen=True, eq=False)
class HistoryNetwork:
    """score = net(history).

    network: a module with `scores(history: float32 [rows × n_items], binary) -> [rows × n_items]`.
    """

    network: Any
    n_items: int
    n_users: int = 0

    serves_newcomers: ClassVar[bool] = True

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; a row without films is asked with a row of zeros."""
        device = device_of(self.network)

        def score(rows: Histories) -> torch.Tensor:
            return self.network.scores(torch.from_numpy(rows.matrix().toarray()).to(device))

        return score_in_blocks(self.network, score, users, BLOCK)

    def arrays(self) -> dict[str, Any]:
        """The sizes and the network's state."""
        return {"n_users": np.array(self.n_users), "n_items": np.array(self.n_items), **weights_of(self.network)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe builds the network again."""
        return cls(network_from(arrays, recipe), int(arrays["n_items"]), int(arrays["n_users"]))
