"""Arrivals behind the source: the order of the rows, and what each file brought, on rows in sight."""

from __future__ import annotations

import pyarrow as pa

from recpipe.data.joining import counted, joined

SCHEMA = pa.schema(
    {"line": pa.int64(), "user": pa.string(), "item": pa.int64(), "time": pa.int64(), "reason": pa.string()}
)


def judged(*rows: tuple[str | None, int, int, str | None]) -> pa.Table:
    """user, item, time and reason; lines count from 1."""
    numbered = [(line, *row) for line, row in enumerate(rows, start=1)]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in numbered], SCHEMA)


def accepted(*rows: tuple[int, str, int, int]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=False)) for row in rows], pa.schema(SCHEMA)).select(
        SCHEMA.names[:4]
    )


MAY = judged(("ann", 1, 50, None), (None, 1, 60, "user missing"), ("cem", 3, 70, None), ("cem", 3, 40, None))
JUNE = judged(("ann", 1, 50, None), ("dan", 3, 60, None), ("cem", 4, 80, None))


def test_lines_go_on_behind_the_source_in_the_order_of_the_arrivals() -> None:
    table = joined(SCHEMA, 10, {"may": MAY, "june": JUNE})
    assert table["line"].to_pylist() == [11, 12, 13, 14, 15, 16, 17]
    assert table["user"].to_pylist() == ["ann", None, "cem", "cem", "ann", "dan", "cem"]
    assert joined(SCHEMA, 10, {}).schema.names == SCHEMA.names
    assert joined(SCHEMA, 10, {}).num_rows == 0


def test_a_column_without_nulls_in_one_file_joins_one_with_nulls_in_another() -> None:
    marked = pa.schema([field.with_nullable(field.name != "time") for field in SCHEMA])
    assert joined(marked, 0, {"may": MAY.cast(marked), "june": JUNE}).num_rows == 7


def test_an_arrival_is_counted_against_all_that_came_before_it() -> None:
    both = accepted(
        (1, "ann", 1, 10), (3, "bob", 2, 60),  # the source, whose second row was rejected
        (4, "ann", 1, 50), (6, "cem", 3, 70), (7, "cem", 3, 40),  # May
        (9, "dan", 3, 60), (10, "cem", 4, 80),  # June, whose first row repeats one of May
    )  # fmt: skip
    assert counted(both, 3, {"may": MAY, "june": JUNE}) == {
        "may": {"accepted": 3, "repeated": 0, "late": 2, "new_users": 1, "new_films": 1},
        "june": {"accepted": 2, "repeated": 1, "late": 1, "new_users": 1, "new_films": 1},
    }


def test_behind_a_source_of_which_nothing_was_accepted_no_row_is_late() -> None:
    told = counted(accepted((3, "ann", 1, 50)), 2, {"may": MAY.slice(0, 1), "empty": MAY.slice(0, 0)})
    assert told["may"] == {"accepted": 1, "repeated": 0, "late": 0, "new_users": 1, "new_films": 1}
    assert set(told["empty"].values()) == {0}
