"""Facts of the interactions suite that every row decides, counted on Arrow's columns: no frame of all rows is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.validation.engine import SAMPLE, Fact, rows_of

NO_ROW = "no such row"
ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd numbers whose multiples spread a row's keys over all 64 bits: the golden ratio's, and two primes of xxHash."""


def none_missing(rows: pa.Table, name: str) -> Fact:
    """Every row has its value: neither null nor no number."""
    return _fact(f"no row lacks its {name}", rows, pc.is_null(rows[name], nan_is_null=True), NO_ROW)


def in_range(sentence: str, rows: pa.Table, name: str, least: float, most: float) -> Fact:
    """Every value that is there lies between the bounds, both included."""
    outside = pc.or_(pc.less(rows[name], least), pc.greater(rows[name], most))
    return _fact(sentence, rows, outside, f"{least:,} to {most:,}")


def none_twice(rows: pa.Table, keys: Sequence[str]) -> Fact:
    """No two rows have the same keys. Hashes of 8 bytes a row are sorted; only rows of equal hashes are looked at."""
    hashes = _hashes(rows, keys)
    hashes.sort()
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    same = pd.DataFrame()
    if len(twice):
        suspects = rows.filter(pa.array(np.isin(_hashes(rows, keys), twice))).to_pandas()
        same = suspects[suspects.duplicated(list(keys), keep=False)]
    sentence = f"no {', '.join(keys[:-1])} and {keys[-1]} stand twice"
    return Fact(sentence, len(same), most=0, unit=_of(rows), wanted=NO_ROW, sample=rows_of(same))


def _fact(sentence: str, rows: pa.Table, broken: pa.ChunkedArray, wanted: str) -> Fact:
    n_broken = pc.sum(broken).as_py() or 0
    sample = rows_of(rows.filter(broken).slice(0, SAMPLE).to_pandas()) if n_broken else ()
    return Fact(sentence, n_broken, most=0, unit=_of(rows), wanted=wanted, sample=sample)


def _of(rows: pa.Table) -> str:
    return f"of {rows.num_rows:,} rows break it"


def _hashes(rows: pa.Table, keys: Sequence[str]) -> NDArray[np.uint64]:
    """uint64 [rows], the same for rows of the same keys."""
    hashes = np.zeros(rows.num_rows, dtype=np.uint64)
    for key, factor in zip(keys, ODD, strict=True):
        begin = 0
        for numbers in _numbers(rows[key]):
            hashes[begin : begin + len(numbers)] += numbers * np.uint64(factor)
            begin += len(numbers)
    return hashes


def _numbers(column: pa.ChunkedArray) -> Iterator[NDArray[np.uint64]]:
    """A whole number for every value, chunk by chunk: its own, or its place among the distinct values; 0 for null."""
    if not pa.types.is_integer(column.type):
        column = pc.index_in(column, value_set=pc.unique(column))
    for chunk in column.chunks:
        yield pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False).astype(np.uint64)
