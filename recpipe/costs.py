"""What a fit will take, estimated from the shape of the data before it starts: peak memory and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from recpipe.data.interactions import Interactions, LongArray

MIB = 2**20
FLOAT, DOUBLE, LONG = 4, 8, 8
"""Bytes of a float32, a float64 and an int64."""
RANKED = 128
"""Users whose scores are held at once while a scorer is validated (`evaluation.ranking`)."""
BLAS = 28 * MIB
"""What NumPy's linear algebra allocates at its first dense product."""
_GROUPS = 256
"""Films of like popularity are taken together where pairs of films are counted."""


@dataclass(frozen=True, eq=False)
class Shape:
    """What of a training part decides how much a fit takes; nothing else of it is looked at.

    lengths: int64 [n_users], events of each user. counts: int64 [n_items], events of each film. rated: whether the
    events have ratings.
    """

    lengths: LongArray
    counts: LongArray
    rated: bool = False

    @classmethod
    def of(cls, interactions: Interactions) -> Self:
        """One pass over the events."""
        counts = np.bincount(interactions.items, minlength=interactions.n_items).astype(np.int64)
        return cls(np.diff(interactions.offsets), counts, interactions.ratings is not None)

    @property
    def n_users(self) -> int:
        return len(self.lengths)

    @property
    def n_items(self) -> int:
        return len(self.counts)

    @cached_property
    def n_events(self) -> int:
        return int(self.lengths.sum())

    def windows(self, max_length: int) -> int:
        """Rows into which `training.batches.sequence_batches` cuts the histories."""
        return int((-(-np.maximum(self.lengths - 1, 0) // max_length)).sum())

    def targets_a_window(self, max_length: int) -> float:
        """Films to be found in one row of `sequence_batches`, on average."""
        return float(np.maximum(self.lengths - 1, 0).sum()) / max(1, self.windows(max_length))

    @cached_property
    def co_watched(self) -> int:
        """Cells of films × films that are not zero: how many ordered pairs somebody watched both of, expected.

        As if everybody drew films by their popularity alone: films i and j then meet λ = cᵢ cⱼ Σ l(l − 1) / (Σ l)²
        times, with l the histories' lengths, and not at all with probability e^−λ.
        """
        chances = np.sort(self.counts / max(1, self.n_events))
        groups = np.array_split(chances, min(_GROUPS, len(chances)) or 1)
        sizes, means = np.array([len(group) for group in groups]), np.array([group.mean() for group in groups])
        meetings = float((self.lengths * (self.lengths - 1.0)).sum())
        filled = -np.expm1(-meetings * means[:, None] * means[None, :])
        return int((sizes[:, None] * sizes[None, :] * filled).sum())


@dataclass(frozen=True)
class Cost:
    """What a fit takes, estimated.

    memory: bytes at the peak, above what the process holds when the data is loaded and the recipe imported. on_device:
    how many of them lie on the GPU where the fit runs on one. copied: bytes that the machine's memory holds beside the
    others then, the GPU's share of a checkpoint while it is written. seconds: CPU seconds of one thread, without
    validation; of one epoch where the recipe learns by epochs. As measured on one machine: right within a factor of
    three.
    """

    memory: int
    seconds: float
    on_device: int = 0
    copied: int = 0


def in_words(n_bytes: float) -> str:
    """`1.3 GiB`, `240 MiB`, `36 bytes`."""
    for size, unit in ((2**30, "GiB"), (MIB, "MiB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.{1 if unit == 'GiB' else 0}f} {unit}"
    return f"{n_bytes:.0f} bytes"
