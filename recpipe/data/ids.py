"""Raw ids to row numbers and back: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from recpipe.data.interactions import IntArray
from recpipe.storage import digest_of

UNKNOWN = -1
"""The row number of an id that is not known."""

RawIds: TypeAlias = pa.Array | pa.ChunkedArray | NDArray[Any] | Sequence[int] | Sequence[str]


@dataclass(frozen=True, eq=False)
class Ids:
    """The raw ids, ascending and distinct: the row number of an id is its position.

    users, items: Arrow arrays of int64 or string.
    """

    users: pa.Array
    items: pa.Array

    def __post_init__(self) -> None:
        for name, ids in (("users", self.users), ("items", self.items)):
            if ids.type not in (pa.int64(), pa.string()):
                raise TypeError(f"ids: {name} are to be int64 or string; {ids.type} came")
            if ids.null_count or not pc.all(pc.less(ids[:-1], ids[1:]), min_count=0).as_py():
                raise ValueError(f"ids: {name} are not ascending, distinct and without nulls; build them with Ids.of")

    @classmethod
    def of(cls, users: RawIds, items: RawIds) -> Self:
        """The distinct ids of two columns of any order."""
        return cls(_distinct(users), _distinct(items))

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def user_rows(self, raw: RawIds) -> IntArray:
        """int32 row numbers, `UNKNOWN` for ids that are not there. Numbers written as text are taken as numbers."""
        return _rows(raw, self.users)

    def item_rows(self, raw: RawIds) -> IntArray:
        """As `user_rows`, of films."""
        return _rows(raw, self.items)

    def raw_users(self, rows: NDArray[np.integer]) -> pa.Array:
        """The ids of row numbers; IndexError for a number outside, `UNKNOWN` included."""
        return _taken(self.users, rows)

    def raw_items(self, rows: NDArray[np.integer]) -> pa.Array:
        """As `raw_users`, of films."""
        return _taken(self.items, rows)

    @cached_property
    def digest(self) -> str:
        """sha256 over both lists: two sets of ids are the same map exactly if their digests are."""
        return digest_of({"users": self.users.to_pylist(), "items": self.items.to_pylist()})

    def write(self, folder: Path) -> None:
        """`users.parquet` and `items.parquet`, one column `id` each."""
        for name, ids in (("users", self.users), ("items", self.items)):
            parquet.write_table(pa.table({"id": ids}), folder / f"{name}.parquet", compression="zstd")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write` wrote."""
        users, items = (parquet.read_table(folder / f"{name}.parquet")["id"] for name in ("users", "items"))
        return cls(users.combine_chunks(), items.combine_chunks())


def _distinct(raw: RawIds) -> pa.Array:
    ids = pc.unique(_array(raw)).drop_null()
    return ids.take(pc.array_sort_indices(ids))


def _rows(raw: RawIds, known: pa.Array) -> IntArray:
    ids = _array(raw)
    if ids.type != known.type:
        ids = _numbers_in(ids) if known.type == pa.int64() else ids.cast(pa.string())
    rows = pc.index_in(ids, value_set=known)
    return pc.fill_null(rows, UNKNOWN).to_numpy().astype(np.int32)


def _numbers_in(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Text to int64; null where it is no number, or one too large."""
    number = pc.match_substring_regex(text, r"^-?\d{1,19}$")
    values = pc.if_else(number, text, None).cast(pa.decimal128(19))
    least, most = (pa.scalar(Decimal(bound), pa.decimal128(19)) for bound in (-(2**63), 2**63 - 1))
    inside = pc.and_(pc.greater_equal(values, least), pc.less_equal(values, most))
    return pc.if_else(inside, values, None).cast(pa.int64())


def _taken(known: pa.Array, rows: NDArray[np.integer]) -> pa.Array:
    if len(rows) and (rows.min() < 0 or rows.max() >= len(known)):
        raise IndexError(f"row numbers from 0 to {len(known) - 1} are known; {rows.min()} to {rows.max()} came")
    return known.take(pa.array(rows))


def _array(raw: RawIds) -> pa.Array | pa.ChunkedArray:
    """As int64 or string."""
    ids = raw if isinstance(raw, (pa.Array, pa.ChunkedArray)) else pa.array(raw)
    if pa.types.is_integer(ids.type):
        return ids.cast(pa.int64())
    if pa.types.is_null(ids.type):  # an empty list
        return ids.cast(pa.int64())
    if pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type):
        return ids.cast(pa.string())
    raise TypeError(f"ids: whole numbers or text are wanted; {ids.type} came")
