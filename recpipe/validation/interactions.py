"""The interactions suite: the accepted rows, the side tables, and the volume against the last good version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.validation.engine import Fact, judge_facts
from recpipe.validation.outcome import Outcome
from recpipe.validation.row_facts import in_range, none_missing, none_twice

SUITE = "interactions"
DAY = 24 * 60 * 60
KEYS = ("user", "item", "time")


@dataclass(frozen=True)
class InteractionLimits:
    """What the suite lets pass.

    earliest: unix seconds before which nobody can have watched here (1990); the latest is a day from now. least_rating,
    most_rating: bounds, both included. least_rows: of the table. least_side_share: share of the watched films that a
    side table must know; least_side_used: share of a side table's films that must have been watched (ids of another
    data set have none). most_drop: share of rows, users or films that may be missing against the last good version.
    """

    earliest: int = 631_152_000
    least_rating: float = 0.0
    most_rating: float = 10.0
    least_rows: int = 1
    least_side_share: float = 0.3
    least_side_used: float = 0.1
    most_drop: float = 0.2


def validate_interactions(
    ratings: pa.Table,
    side_items: Mapping[str, pa.Array | pa.ChunkedArray] | None = None,
    previous: Mapping[str, int] | None = None,
    limits: InteractionLimits | None = None,
    now: int | None = None,
) -> Outcome:
    """Check the accepted rows: columns user, item, time (unix seconds) and, optionally, rating.

    side_items: the item ids of each side table by its name; an empty one counts as not delivered.
    previous: rows, users and items of the last good version. now: unix seconds, of the clock where None. A rating
    column of nulls alone counts as none.
    """
    limits = limits or InteractionLimits()
    found = [_columns_present(ratings)]
    if found[0].value:
        return judge_facts(SUITE, found)
    found += _types(ratings)
    found += _volume(ratings, previous or {}, limits)
    for name, ids in (side_items or {}).items():
        if len(ids):  # an empty one was not delivered
            found += _side_table(name, ids, ratings["item"], limits)
    rated = "rating" in ratings.column_names and ratings["rating"].null_count < len(ratings)
    columns = [*KEYS, "rating"] if rated else KEYS
    found += _row_facts(ratings.select(columns), limits, int(time.time()) if now is None else now)
    return judge_facts(SUITE, found)


def volume_of(ratings: pa.Table) -> dict[str, int]:
    """Rows, users and items, as `validate_interactions` wants them of the last good version."""
    users, items = (pc.count_distinct(ratings[name]).as_py() for name in ("user", "item"))
    return {"rows": ratings.num_rows, "users": users, "items": items}


def _columns_present(ratings: pa.Table) -> Fact:
    missing = [name for name in KEYS if name not in ratings.column_names]
    note = f"missing: {', '.join(missing)}" if missing else ""
    return Fact("the columns user, item and time are there", len(missing), most=0, unit="missing", note=note)


def _types(ratings: pa.Table) -> list[Fact]:
    ids, numbers = ("int64", "int32", "string", "large_string"), ("float", "double", "int64", "int32", "null")
    wanted = {"user": ids, "item": ids, "time": ("int64",), "rating": numbers}
    kinds = {
        "user": "text or whole numbers",
        "item": "text or whole numbers",
        "time": "whole seconds",
        "rating": "numbers",
    }
    return [
        Fact(f"the column {name} holds {kinds[name]}", str(ratings.schema.field(name).type), one_of=types)
        for name, types in wanted.items()
        if name in ratings.column_names
    ]


def _volume(ratings: pa.Table, previous: Mapping[str, int], limits: InteractionLimits) -> list[Fact]:
    volume = volume_of(ratings)
    found = [Fact("there are enough rows", volume["rows"], least=limits.least_rows, unit="rows")]
    for name, before in previous.items():
        if name not in volume:
            raise ValueError(f"interactions: the last good version tells of {name!r}; wanted rows, users or items")
        least = int(np.ceil(before * (1 - limits.most_drop)))
        sentence = f"the number of {name} has not dropped suddenly"
        found.append(Fact(sentence, volume[name], least=least, unit=name, note=f"last good version: {before:,}"))
    return found


def _side_table(name: str, ids: pa.Array, watched: pa.ChunkedArray, limits: InteractionLimits) -> list[Fact]:
    films, told_of = (pc.unique(column).cast(pa.string()) for column in (watched, ids))
    share = _share(films, told_of)
    used = _share(told_of, films)
    return [
        Fact(
            f"{name} knows the films that are watched",
            share,
            least=limits.least_side_share,
            unit="of the watched films",
        ),
        Fact(f"{name} tells of films that are watched", used, least=limits.least_side_used, unit="of its films"),
    ]


def _share(values: pa.Array, among: pa.Array) -> float:
    return pc.mean(pc.is_in(values, value_set=among)).as_py() or 0.0


def _row_facts(rows: pa.Table, limits: InteractionLimits, now: int) -> list[Fact]:
    found = [none_missing(rows, name) for name in rows.column_names]
    found.append(none_twice(rows, KEYS))
    bounds = {
        "time": ("every time is plausible", limits.earliest, now + DAY),
        "rating": ("every rating is in range", limits.least_rating, limits.most_rating),
    }
    for name, (sentence, least, most) in bounds.items():
        if name in rows.column_names and (
            pa.types.is_integer(rows[name].type) or pa.types.is_floating(rows[name].type)
        ):
            found.append(in_range(sentence, rows, name, least, most))
    return found
