"""The films of each user where the network is, so that a batch names users and carries no histories."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recpipe.data.interactions import Interactions


class Watched(nn.Module):
    """Each user's films, each once, as a CSR matrix has them: int64 `starts` [n_users + 1] into `films`. Not learned
    and not stored."""

    starts: Tensor
    films: Tensor

    def __init__(self, interactions: Interactions) -> None:
        super().__init__()
        matrix = interactions.matrix()
        self.register_buffer("starts", torch.from_numpy(matrix.indptr.astype(np.int64)), persistent=False)
        self.register_buffer("films", torch.from_numpy(matrix.indices.astype(np.int64)), persistent=False)

    def lengths(self, users: Tensor) -> Tensor:
        """How many films each of these users watched, int64 [rows]."""
        return self.starts[users + 1] - self.starts[users]

    def pairs(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """What these users watched: row of `users`, ascending, and film, int64 [pairs] each."""
        lengths = self.lengths(users)
        rows = torch.repeat_interleave(torch.arange(len(users), device=users.device), lengths)
        firsts = self.starts[users] - (lengths.cumsum(dim=0) - lengths)
        return rows, self.films[firsts[rows] + torch.arange(len(rows), device=users.device)]
