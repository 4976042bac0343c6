"""What is known of the films: genres, directors and writers as padded bags or sparse matrices, titles, years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import IntArray, LongArray

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_YEAR = 0
BAGS = ("genres", "directors", "writers")


@dataclass(frozen=True, eq=False)
class Bag:
    """A many-valued field: film i has the values `values[offsets[i]:offsets[i + 1]]`; it may have none.

    vocabulary: the value names, sorted. offsets: int64 [n_items + 1].
    values: int32 [pairs], positions in the vocabulary.
    """

    vocabulary: tuple[str, ...]
    offsets: LongArray
    values: IntArray

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[str]]) -> Bag:
        """One list of value names a film; an empty list where nothing is known."""
        vocabulary = tuple(sorted({value for values in lists for value in values}))
        number = {value: position for position, value in enumerate(vocabulary)}
        offsets = np.concatenate(([0], np.cumsum([len(values) for values in lists]))).astype(np.int64)
        numbers = (number[value] for values in lists for value in values)
        flat = np.fromiter(numbers, dtype=np.int32, count=int(offsets[-1]))
        return cls(vocabulary, offsets, flat)

    def matrix(self) -> sparse.csr_matrix:
        """Multi-hot float32 [n_items × vocabulary]."""
        ones = np.ones(len(self.values), dtype=np.float32)
        return sparse.csr_matrix((ones, self.values, self.offsets), shape=(len(self.offsets) - 1, len(self.vocabulary)))

    def shares(self, minimum_films: int = 0) -> sparse.csr_matrix:
        """Float32 [n_items × values of at least so many films]: each film's add up to 1, all alike, or it has none."""
        whole = self.matrix().tocsc()
        whole.sum_duplicates()
        kept = whole[:, whole.getnnz(axis=0) >= minimum_films].tocsr()
        counts = np.diff(kept.indptr)
        kept.data = np.repeat(1 / np.maximum(1, counts), counts).astype(np.float32)
        return kept

    def padded(self, most: int | None = None) -> tuple[LongArray, NDArray[np.bool_]]:
        """Values int64 [n_items × most] and their mask (True where there is a value). Padding is the vocabulary's size.

        most: values kept a film, the largest bag's size where None; at least one column.
        """
        lengths = np.diff(self.offsets)
        width = max(1, int(lengths.max(initial=0)) if most is None else most)
        mask = np.arange(width)[None, :] < np.minimum(lengths, width)[:, None]
        padded = np.full(mask.shape, len(self.vocabulary), dtype=np.int64)
        positions = self.offsets[:-1, None] + np.arange(width)[None, :]
        padded[mask] = self.values[positions[mask]]
        return padded, mask


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Side data in the order of the films' row numbers. years: int32 [n_items], `UNKNOWN_YEAR` where missing."""

    titles: tuple[str, ...]
    years: IntArray
    bags: Mapping[str, Bag]

    def __post_init__(self) -> None:
        sizes = {len(self.titles), len(self.years), *(len(bag.offsets) - 1 for bag in self.bags.values())}
        if len(sizes) != 1:
            raise ValueError(f"item features: the fields tell of different numbers of films: {sorted(sizes)}")


def item_features(table: pa.Table, raw_items: Sequence[int] | Sequence[str] | NDArray[Any]) -> ItemFeatures:
    """Side data for the films with these raw ids, in their order (the order of the row numbers).

    table: the columns item, title, year, genres, directors, writers of dbt_like_sql's item_features; films beyond
    `raw_items` are left out. A film that the table lacks, or knows nothing of, has its raw id as title, `UNKNOWN_YEAR`
    and empty bags. raw_items: a sequence, a NumPy or an Arrow array. Raises ValueError where the table has a film
    twice, or ids of another type than `raw_items`.
    """
    items = table.column("item").to_pylist()
    wanted = np.asarray(raw_items).tolist()  # NumPy's numbers and strings become Python's, as in the table
    rows = {item: row for row, item in enumerate(items)}
    if len(rows) != len(items):
        raise ValueError(f"item features: {len(items) - len(rows)} rows are of films that the table has already")
    if items and wanted and isinstance(items[0], str) != isinstance(wanted[0], str):
        raise ValueError(
            f"item features: film ids are of type {type(items[0]).__name__} in the table (as {items[0]!r}), "
            f"and {type(wanted[0]).__name__} here (as {wanted[0]!r}); deliver both in one type"
        )
    found = [rows.get(item) for item in wanted]
    titles = _column(table, "title", found)
    years = _column(table, "year", found)
    return ItemFeatures(
        tuple(title or str(item) for title, item in zip(titles, wanted, strict=True)),
        np.array([year or UNKNOWN_YEAR for year in years], dtype=np.int32),
        {name: Bag.from_lists([values or () for values in _column(table, name, found)]) for name in BAGS},
    )


def _column(table: pa.Table, name: str, rows: Sequence[int | None]) -> list[Any]:
    """The column's values at these rows; None where there is no row."""
    values = table.column(name).to_pylist()
    return [None if row is None else values[row] for row in rows]
