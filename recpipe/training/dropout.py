"""Dropout (Srivastava et al. 2014), whose draws cost a quarter on the CPU: four from each random number of 64 bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 2**16
"""What a draw distinguishes: on the CPU a share is kept to 1 / (2 · LEVELS)."""


class Dropout(nn.Module):
    """`dropout` while learning, nothing otherwise."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Of any shape → the same shape and dtype."""
        return dropout(values, self.share, self.training)


def dropout(values: Tensor, share: float, learning: bool = True) -> Tensor:
    """Each value is set to zero with the probability `share`, by itself; those kept are divided by 1 - share.

    At 0, or where nothing is learned, the values themselves: nothing is drawn. share: below 1.
    """
    if not learning or share == 0.0:
        return values
    if values.device.type != "cpu":
        return functional.dropout(values, share)
    numbers = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    draws = numbers.view(torch.int16)[: values.numel()].view(values.shape)  # from -LEVELS / 2
    kept = draws >= min(round((share - 0.5) * LEVELS), LEVELS // 2 - 1)
    return values * kept.to(values.dtype).mul_(1 / (1 - share))
