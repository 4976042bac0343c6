"""One file that arrived after the source: the competition's columns as text (commas or tabs, gz) or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.data.readers.delimited import (
    ID,
    MISSING,
    NUMBER,
    TEXT,
    WHOLE,
    DamagedFile,
    columns,
    header,
    separated,
)
from recpipe.data.readers.files import PACKED, DataFile

PARQUET = ".parquet"
DELIMITED = (".csv", ".tsv")
ENDINGS = (*DELIMITED, *(ending + PACKED for ending in DELIMITED), PARQUET)
KEYS = ("user", "item", "time")


@dataclass(frozen=True)
class Form:
    """What a file has to have in common with the source: ids of int64 or string, and whether there are ratings."""

    user: str
    item: str
    rated: bool


def read_arrived(file: DataFile, form: Form, source: str) -> pa.Table:
    """Columns and types as `RawTables.ratings`, rows in the order of the file; source: what the form is of.

    `time` is int64, or string (from Parquet also float64) where a row has no whole number: that row breaks a rule, not
    the file. Raises `DamagedFile`, also for ids that are not of the source's type and for ratings that only one of the
    two has, and `BadArchive` for a damaged packed file.
    """
    name = file.short.lower()
    if not name.endswith(ENDINGS):
        raise DamagedFile(file, None, f"its name ends in none of {', '.join(ENDINGS)}; rename it or take it away")
    ratings = _parquet(file, form) if name.endswith(PARQUET) else _delimited(file, form)
    if len(ratings) and form.rated and not _rated(ratings):
        what = f"a column rating is wanted, since {source} has ratings"
        raise DamagedFile(file, None, f"{what}; deliver it with ratings")
    if len(ratings) and not form.rated and _rated(ratings):
        what = f"ratings came, and {source} has none"
        raise DamagedFile(file, None, f"{what}; take the column rating away, or deliver all data anew with ratings")
    return ratings


def _delimited(file: DataFile, form: Form) -> pa.Table:
    form_of_text = separated(file)
    kinds = {"user": _kind(form.user), "item": _kind(form.item), "time": ID}
    if "rating" in header(file, form_of_text):
        kinds["rating"] = NUMBER
    return _typed(columns(file, form_of_text, kinds, MISSING), form)


def _kind(type_name: str) -> pa.DataType:
    return WHOLE if type_name == str(WHOLE) else TEXT


def _parquet(file: DataFile, form: Form) -> pa.Table:
    try:
        there = pq.read_schema(file.stored).names
        _wanted(file, there)
        table = pq.read_table(file.stored, columns=[name for name in (*KEYS, "rating") if name in there])
        kind = table.schema.field("time").type
        if pa.types.is_timestamp(kind):
            seconds = table["time"].cast(pa.timestamp("s", tz=kind.tz), safe=False)
            table = table.set_column(table.column_names.index("time"), "time", seconds.cast(WHOLE))
        return _typed(table, form)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DamagedFile(file, None, " ".join(str(error).split())) from error


def _wanted(file: DataFile, there: Sequence[str]) -> None:
    for name in KEYS:
        if list(there).count(name) != 1:
            raise DamagedFile(file, None, f"one column {name!r} is wanted; the columns are {', '.join(there)}")


def _typed(table: pa.Table, form: Form) -> pa.Table:
    """Raises ArrowInvalid where an id is not of the form's type."""
    if "rating" not in table.column_names:
        table = table.append_column("rating", pa.nulls(len(table), pa.float32()))
    time = table.schema.field("time").type
    kinds = {"user": _kind(form.user), "item": _kind(form.item), "rating": pa.float32()}
    kinds["time"] = NUMBER if pa.types.is_floating(time) else TEXT if pa.types.is_string(time) else WHOLE
    return table.select(list(kinds)).cast(pa.schema(kinds))


def _rated(ratings: pa.Table) -> bool:
    return ratings["rating"].null_count < len(ratings)
