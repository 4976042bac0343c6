"""Arrivals behind the source: their judged rows as one table, and what each of them brought."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def joined(source: pa.Schema, rows: int, arrivals: Mapping[str, pa.Table]) -> pa.Table:
    """The judged rows of all arrivals in the order given, their lines going on behind the source's.

    source: the schema of `stg_ratings`, rows: how many it has. arrivals: tables of this schema by name.
    """
    schema = pa.schema([field.with_nullable(True) for field in source])  # a column without null may be marked as such
    table = pa.concat_tables([schema.empty_table(), *(judged.cast(schema) for judged in arrivals.values())])
    lines = pa.array(np.arange(rows + 1, rows + 1 + len(table)), schema.field("line").type)
    return table.set_column(schema.get_field_index("line"), "line", lines)


def counted(accepted: pa.Table, rows: int, arrivals: Mapping[str, pa.Table]) -> dict[str, dict[str, int]]:
    """What each arrival brought, measured against the source and the arrivals before it.

    accepted: line, user, item, time of the joint accepted rows, in the order of their lines; the other arguments as of
    `joined`. late: accepted rows earlier than the latest row accepted before. repeated: sound rows that stood before.
    """
    lines = accepted["line"].to_numpy()
    begin = int(np.searchsorted(lines, rows, side="right"))
    before = accepted.slice(0, begin)
    users, films, latest = pc.unique(before["user"]), pc.unique(before["item"]), pc.max(before["time"]).as_py()
    told = {}
    for name, judged in arrivals.items():
        rows += len(judged)
        end = int(np.searchsorted(lines, rows, side="right"))
        new = accepted.slice(begin, end - begin)
        new_users, new_films = _not_among(new["user"], users), _not_among(new["item"], films)
        told[name] = {
            "accepted": len(new),
            "repeated": judged["reason"].null_count - len(new),
            "late": 0 if latest is None else pc.sum(pc.less(new["time"], latest)).as_py() or 0,
            "new_users": len(new_users),
            "new_films": len(new_films),
        }
        users, films = pa.concat_arrays([users, new_users]), pa.concat_arrays([films, new_films])
        latest = max((time for time in (latest, pc.max(new["time"]).as_py()) if time is not None), default=None)
        begin = end
    return told


def _not_among(column: pa.ChunkedArray, known: pa.Array) -> pa.Array:
    values = pc.unique(column)
    return values.filter(pc.invert(pc.is_in(values, value_set=known)))
