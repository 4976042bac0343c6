"""Rows that are read when they are asked for, a block at a time, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Rows:
    """batches: reads all rows anew, in order; raises `DamagedFile` where it comes to what cannot be read.

    schema: of every batch.
    """

    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]

    def table(self) -> pa.Table:
        """All rows in memory."""
        return pa.Table.from_batches(self.batches(), self.schema)

    def changed(self, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> Rows:
        """Every batch changed; a batch without rows tells the new schema."""
        empty = pa.RecordBatch.from_pylist([], self.schema)
        return Rows(change(empty).schema, lambda: map(change, self.batches()))
