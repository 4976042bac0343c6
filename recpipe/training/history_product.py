"""Histories times a table of films: of thousands of films a user watched a hundred, and those alone are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recpipe.training.dropout import dropout as dropped


class FromHistories(nn.Module):
    """dropout(x) W + b of histories x, the first layer of a network that reads them. W [n_items × outputs], b
    [outputs]; normal weights after Glorot, biases 0.

    dropout: the share of the films that is left out while learning, where the call names no other; those kept are
    scaled by 1 / (1 − dropout).
    """

    def __init__(self, n_items: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(n_items, outputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.dropout = dropout

    def forward(self, histories: Tensor, dropout: float | None = None) -> Tensor:
        """histories [rows × n_items] → [rows × outputs]."""
        share = (self.dropout if self.training else 0.0) if dropout is None else dropout
        return history_product(histories, self.weight, share) + self.bias


def history_product(histories: Tensor, table: Tensor, dropout: float = 0.0) -> Tensor:
    """dropout(histories) · table, with the gradient of the table alone; in float32 also where autocast would not.

    histories: [rows × n_items], mostly zeros; table: [n_items × size] → [rows × size]. On the CPU by sums over what is
    not zero, there and back, and dropout draws a number for each of those: a tenth of the time of the dense product
    where a twentieth is filled. A GPU has to be asked how much is filled, and waited for: there the product is dense.
    """
    if histories.device.type != "cpu":
        return dropped(histories, dropout) @ table
    # NumPy finds what is not zero in a sixth of torch's time
    filled = torch.from_numpy(np.flatnonzero(histories.numpy() != 0))
    rows, films = torch.div(filled, histories.shape[1], rounding_mode="floor"), filled % histories.shape[1]
    values = dropped(histories.reshape(-1)[filled], dropout)
    with torch.autocast("cpu", enabled=False):
        product: Tensor = _Sums.apply(table, rows, films, values.to(table.dtype), len(histories))
    return product


class _Sums(torch.autograd.Function):
    """Rows of a table, weighed and summed. Both products are sums over bags: a row's films, and a film's rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, films: Tensor, values: Tensor, n_rows: int) -> Tensor:
        """table [n_items × size]; rows ascending, films, values, each [pairs] → [n_rows × size]."""
        ctx.save_for_backward(rows, films, values)
        ctx.n_items = len(table)
        return _summed(table, rows, films, values, n_rows)

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        """[n_rows × size] → of the table [n_items × size]."""
        rows, films, values = ctx.saved_tensors
        by_film = torch.from_numpy(np.argsort(films.numpy(), kind="stable"))
        of_table = _summed(gradient.contiguous(), films[by_film], rows[by_film], values[by_film], ctx.n_items)
        return of_table, None, None, None, None


def _summed(table: Tensor, owners: Tensor, members: Tensor, weights: Tensor, n_owners: int) -> Tensor:
    """The sum over each owner's members of weight · table[member]: [n_owners × size]. owners: ascending."""
    starts = owners.new_zeros(n_owners + 1)
    torch.cumsum(torch.bincount(owners, minlength=n_owners), 0, out=starts[1:])
    return functional.embedding_bag(
        members, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
