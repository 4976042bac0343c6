"""What every reader ends in: ratings and side tables as they were delivered, with one set of names and types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from recpipe.data.readers.rows import Rows

SIDES = {"titles": "title", "years": "year", "genres": "genre", "directors": "director", "writers": "writer"}
"""The side tables, and the name of the column beside `item` in each."""


@dataclass(frozen=True, eq=False)
class RawTables:
    """One delivery. Nothing is checked but that it could be read: nulls and repetitions are in it as they came.

    ratings: user, item (int64 where every id is a whole number, otherwise string), rating (float32, null where there is
    none), time (int64, unix seconds); rows in the order of the file. The side tables have the columns item and title,
    year (int32), genre, director or writer; they are empty where nothing was delivered, and hold no null. Their item
    has the type of `ratings`.
    """

    ratings: pa.Table
    titles: pa.Table
    years: pa.Table
    genres: pa.Table
    directors: pa.Table
    writers: pa.Table

    @classmethod
    def of(cls, ratings: Rows, sides: Mapping[str, pa.Table]) -> Self:
        """ratings: as of `ratings_of`. sides: by name, as of `sides_of`."""
        return cls(ratings=ratings.table(), **sides)

    def by_name(self) -> dict[str, pa.Table]:
        """Under the names that the SQL reads: raw_ratings, raw_titles and so on."""
        return {f"raw_{name}": getattr(self, name) for name in ("ratings", *SIDES)}


def ratings_of(rows: Rows) -> Rows:
    """Columns and types as `RawTables.ratings`. rows: user, item, time and perhaps rating."""
    kinds = {
        "user": rows.schema.field("user").type,
        "item": rows.schema.field("item").type,
        "rating": pa.float32(),
        "time": pa.int64(),
    }
    schema = pa.schema(kinds)

    def typed(batch: pa.RecordBatch) -> pa.RecordBatch:
        if "rating" not in batch.schema.names:
            batch = batch.append_column("rating", pa.nulls(len(batch), pa.float32()))
        return batch.select(schema.names).cast(schema)

    return rows.changed(typed)


def sides_of(sides: Mapping[str, pa.Table], item: pa.DataType) -> dict[str, pa.Table]:
    """All side tables as in `RawTables`. sides: by name, those that were delivered; item: the type of the ids."""
    return {side: _side(sides.get(side), value, item) for side, value in SIDES.items()}


def _side(table: pa.Table | None, value: str, item: pa.DataType) -> pa.Table:
    schema = pa.schema({"item": item, value: pa.int32() if value == "year" else pa.string()})
    if table is None:
        return schema.empty_table()
    return table.select(schema.names).cast(schema).drop_null()


def years_in_titles(titles: pa.Table) -> pa.Table:
    """The release years that MovieLens writes behind the titles: "Heat (1995)"; of "(2006–2007)" the first.

    titles: item, title. Returns item, year, without the films whose title has none.
    """
    found = pc.extract_regex(titles["title"], r"\((?P<year>\d{4})(?:[-–]\d{0,4})?\)\s*(?:\(T?V\))?\s*$")
    years = pa.table({"item": titles["item"], "year": pc.struct_field(found, "year")}).drop_null()
    return years.set_column(1, "year", years["year"].cast(pa.int32()))


def one_row_a_value(items: pa.ChunkedArray, lists: pa.ChunkedArray, none: str = "") -> tuple[pa.Array, pa.Array]:
    """Take lists of values apart: the items, repeated, and their values; `none` and empty ones are left out."""
    rows = lists.combine_chunks()
    parents = pc.list_parent_indices(rows)
    values = pc.list_flatten(rows)
    told = pc.and_(pc.not_equal(values, none), pc.not_equal(values, ""))
    return items.combine_chunks().take(parents.filter(told)), values.filter(told)
