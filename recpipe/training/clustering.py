"""k-means (Lloyd 1982) by products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 8192
"""Vectors whose distances to all centres are held at once."""


def k_means(vectors: Tensor, count: int, rounds: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
    """vectors float32 [n × size] → centres [k × size] and each vector's nearest, int64 [n]; k is at most n.

    Starts from k of the vectors and ends after `rounds`, or earlier where no vector changes its centre. A centre that
    is nearest to nothing moves to the vector that lies furthest from its own.
    """
    count = min(count, len(vectors))
    centres = vectors[torch.randperm(len(vectors), generator=numbers, device=vectors.device)[:count]]
    own, distances = _nearest(vectors, centres)
    for _ in range(rounds):
        before = own
        sizes = own.bincount(minlength=count)
        centres = torch.zeros_like(centres).index_add(0, own, vectors) / sizes.clamp(min=1)[:, None]
        empty = (sizes == 0).nonzero()[:, 0]
        centres[empty] = vectors[distances.topk(len(empty)).indices]
        own, distances = _nearest(vectors, centres)
        if torch.equal(own, before):
            break
    return centres, own


def _nearest(vectors: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Each vector's nearest centre and the square of its distance, both [n]."""
    lengths = centres.square().sum(dim=1)
    with torch.autocast(vectors.device.type, enabled=False):  # half precision would confuse close centres
        parts = [(lengths - 2 * part @ centres.T).min(dim=1) for part in vectors.split(ROWS)]
    own = torch.cat([part.indices for part in parts])
    return own, torch.cat([part.values for part in parts]) + vectors.square().sum(dim=1)
