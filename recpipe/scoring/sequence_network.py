"""A network over the latest films in order: the sequential models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from recpipe.data.interactions import NEWCOMER, FloatArray, Histories
from recpipe.recipe import ROWS_A_CALL, Recipe
from recpipe.scoring.networks import device_of, network_from, score_in_blocks, weights_of


@dataclass(frozen=True, eq=False)
class SequenceNetwork:
    """score = net(last films, in order), or net(last films, user).

    network: a module with `scores(films: int64 [rows × max_length]) -> [rows × n_items]`; films are padded on the left
    with `n_items`, the newest is in the last column. Where it has `knows_users = True` it is given users as well, int64
    [rows], `n_users` for all that training has not seen.
    """

    network: Any
    max_length: int
    n_items: int
    n_users: int = 0

    serves_newcomers: ClassVar[bool] = True

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; a row without films is asked with nothing but padding."""
        device = device_of(self.network)

        def score(rows: Histories) -> torch.Tensor:
            films = torch.from_numpy(rows.last(self.max_length)).to(device)
            if not getattr(self.network, "knows_users", False):
                return self.network.scores(films)
            known = (rows.users != NEWCOMER) & (rows.users < self.n_users)
            users = np.where(known, rows.users, self.n_users).astype(np.int64)
            return self.network.scores(films, torch.from_numpy(users).to(device))

        return score_in_blocks(self.network, score, users, ROWS_A_CALL)

    def arrays(self) -> dict[str, Any]:
        """The sizes and the network's state."""
        sizes = {"n_users": self.n_users, "n_items": self.n_items, "max_length": self.max_length}
        return {name: np.array(size) for name, size in sizes.items()} | weights_of(self.network)

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe builds the network again."""
        network = network_from(arrays, recipe)
        return cls(network, int(arrays["max_length"]), int(arrays["n_items"]), int(arrays["n_users"]))
