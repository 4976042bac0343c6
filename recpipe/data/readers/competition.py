"""The competition layout: who watched what and when, without ratings, and one table of (film, value) pairs a field."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recpipe.data.readers.delimited import ID, MISSING, NUMBER, TEXT, WHOLE, Format, columns, header, rows, separated
from recpipe.data.readers.files import DataFile
from recpipe.data.readers.rows import Rows
from recpipe.data.readers.tables import SIDES

NAME = "competition"
YEARS = range(1800, 2200)
"""A film is of one of these years; a number outside is none."""
DESCRIPTION = "train_ratings.csv (user,item,time), beside it any of " + ", ".join(f"{side}.tsv" for side in SIDES)


def find(files: Mapping[str, DataFile]) -> list[dict[str, DataFile]]:
    """The deliveries among the files of one folder: the files by what they hold."""
    if "train_ratings.csv" not in files:
        return []
    sides = {side: files[f"{side}.tsv"] for side in SIDES if f"{side}.tsv" in files}
    return [{"ratings": files["train_ratings.csv"], **sides}]


def ratings(found: Mapping[str, DataFile]) -> Rows:
    """user, item, time. Ids may be text; a column `rating` is taken where there is one, other columns are left out."""
    form = separated(found["ratings"])
    kinds = {"user": ID, "item": ID, "time": WHOLE}
    if "rating" in header(found["ratings"], form):
        kinds["rating"] = NUMBER
    return rows(found["ratings"], form, kinds)


def sides(found: Mapping[str, DataFile], item: pa.DataType) -> dict[str, pa.Table]:
    """The side tables that were delivered, by name. item: the type of the ids."""
    return {side: _side(found[side], value, item) for side, value in SIDES.items() if side in found}


def _side(file: DataFile, value: str, item: pa.DataType) -> pa.Table:
    if value == "year":
        years = columns(file, Format("\t"), {"item": item, value: WHOLE}, MISSING)
        return years.filter(pc.is_in(years[value], pa.array(YEARS)))
    return columns(file, Format("\t"), {"item": item, value: TEXT})
