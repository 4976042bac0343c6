"""Attention by a sum instead of a product: how much one position of a window matters to another."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from recpipe.training.losses import BLOCK

Activation: TypeAlias = Literal["sigmoid", "tanh"]


def additive_scores(queries: Tensor, keys: Tensor, direction: Tensor, activation: Activation) -> Tensor:
    """direction · activation(query + key) of each pair of positions (Bahdanau et al. 2015).

    queries: [rows × asking × size]; keys: [rows × asked × size]; direction: [size] → [rows × asking (who looks) ×
    asked (at whom)]. The sums, size numbers a pair, are never there as a whole, nor kept for the gradient: they are
    made again.
    """
    with torch.autocast(queries.device.type, enabled=False):
        scores: Tensor = _AdditiveScores.apply(queries.float(), keys.float(), direction.float(), activation)
    return scores


class _AdditiveScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, direction: Tensor, activation: Activation) -> Tensor:
        """As `additive_scores`."""
        ctx.save_for_backward(queries, keys, direction)
        ctx.activation = activation
        scores = queries.new_empty(len(queries), queries.shape[1], keys.shape[1])
        for rows in _blocks(queries, keys):
            torch.matmul(_active(queries[rows], keys[rows], activation), direction, out=scores[rows])
        return scores

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """[rows × asking × asked] → the gradients of queries, keys and direction."""
        queries, keys, direction = ctx.saved_tensors
        of_queries, of_keys = torch.empty_like(queries), torch.empty_like(keys)
        of_direction = torch.zeros_like(direction)
        for rows in _blocks(queries, keys):
            active, back = _active(queries[rows], keys[rows], ctx.activation), gradient[rows][..., None]
            of_direction += back.reshape(-1) @ active.flatten(0, 2)
            slopes = active.mul_(1 - active) if ctx.activation == "sigmoid" else active.square_().neg_().add_(1)
            slopes.mul_(back)
            torch.sum(slopes, dim=2, out=of_queries[rows])
            torch.sum(slopes, dim=1, out=of_keys[rows])
        return of_queries * direction, of_keys * direction, of_direction, None


def _active(queries: Tensor, keys: Tensor, activation: Activation) -> Tensor:
    """[rows × asking × asked × size]."""
    sums = queries[:, :, None] + keys[:, None]
    return sums.sigmoid_() if activation == "sigmoid" else sums.mul_(2).sigmoid_().mul_(2).sub_(1)


def _blocks(queries: Tensor, keys: Tensor) -> list[slice]:
    """Slices of rows whose sums fit the block."""
    rows, length, size = queries.shape
    step = max(1, BLOCK.get(queries.device.type, BLOCK["cpu"]) // max(1, length * keys.shape[1] * size))
    return [slice(start, start + step) for start in range(0, rows, step)]
