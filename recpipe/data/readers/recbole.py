"""RecBole's atomic files: NAME.inter and NAME.item, tab-separated, with a header of `field:type`.

W. X. Zhao et al.: RecBole: Towards a Unified, Comprehensive and Efficient Framework, CIKM 2021.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recpipe.data.readers.delimited import ID, NUMBER, TEXT, DamagedFile, Format, columns, header, rows
from recpipe.data.readers.files import DataFile
from recpipe.data.readers.rows import Rows
from recpipe.data.readers.tables import SIDES, one_row_a_value

NAME = "recbole"
DESCRIPTION = "RecBole: one NAME.inter, beside it NAME.item, both with field:type headers"
ATOMIC = Format("\t", quotes=False)
EVENT = {
    "user": ("user_id", "user", "uid"),
    "item": ("item_id", "item", "iid", "movie_id"),
    "rating": ("rating",),
    "time": ("timestamp", "time"),
}
"""The names under which a field is known."""
FILM = {
    "titles": ("movie_title", "title", "name"),
    "years": ("release_year", "year"),
    "genres": ("genre", "genres", "class", "category", "categories"),
    "directors": ("director", "directors"),
    "writers": ("writer", "writers"),
}


def find(files: Mapping[str, DataFile]) -> list[dict[str, DataFile]]:
    """The deliveries among the files of one folder: the files by what they hold."""
    found = []
    for name, file in files.items():
        if name.endswith(".inter"):
            item = files.get(name.removesuffix(".inter") + ".item")
            found.append({"ratings": file} | ({"items": item} if item else {}))
    return found


def ratings(found: Mapping[str, DataFile]) -> Rows:
    """user, item, time, perhaps rating. Ids may be text; of decimal times parts of a second are cut off."""
    fields = _fields(found["ratings"])
    known = {field: _one(fields, names) for field, names in EVENT.items()}
    for field in ("user", "item", "time"):
        if not known[field]:
            wanted = ", ".join(EVENT[field])
            raise DamagedFile(
                found["ratings"], 1, f"a field {field} ({wanted}) is wanted; there are {', '.join(fields)}"
            )
    kinds = {"user": ID, "item": ID, "rating": NUMBER, "time": NUMBER}
    told = {field: fields[name] for field, name in known.items() if name}

    def named(batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = batch.rename_columns(list(told))
        times = pc.floor(batch["time"])
        seconds = pc.if_else(pc.less(pc.abs(times), 2.0**63), times, None).cast(pa.int64())
        return batch.set_column(batch.schema.get_field_index("time"), "time", seconds)

    return rows(found["ratings"], ATOMIC, {told[field]: kinds[field] for field in told}).changed(named)


def sides(found: Mapping[str, DataFile], item: pa.DataType) -> dict[str, pa.Table]:
    """The side tables that NAME.item tells of, by name. item: the type of the ids."""
    return _sides(found["items"], item) if "items" in found else {}


def _sides(file: DataFile, item: pa.DataType) -> dict[str, pa.Table]:
    fields = _fields(file)
    number = _one(fields, EVENT["item"])
    if not number:
        raise DamagedFile(
            file, 1, f"a field item ({', '.join(EVENT['item'])}) is wanted; there are {', '.join(fields)}"
        )
    known = {side: name for side, names in FILM.items() if (name := _one(fields, names))}
    table = columns(file, ATOMIC, {fields[number]: item} | {fields[name]: TEXT for name in known.values()})
    items = table[fields[number]]
    sides = {}
    for side, name in known.items():
        values = table[fields[name]]
        if side == "years":  # a token, not a number: what does not look like a year is left out
            values = pc.if_else(pc.match_substring_regex(values, r"^\d{4}$"), values, None)
        elif side != "titles" and fields[name].endswith("token_seq"):
            items_of_values, values = one_row_a_value(items, pc.split_pattern(values, " "))
            sides[side] = pa.table({"item": items_of_values, SIDES[side]: values})
            continue
        sides[side] = pa.table({"item": items, SIDES[side]: values})
    return sides


def _fields(file: DataFile) -> dict[str, str]:
    """The columns by the name before the colon: {"user_id": "user_id:token", ...}."""
    names = header(file, ATOMIC)
    if not all(":" in name for name in names):
        raise DamagedFile(file, 1, "names with types are wanted, such as user_id:token", "\t".join(names))
    return {name.split(":")[0]: name for name in names}


def _one(fields: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields), None)
