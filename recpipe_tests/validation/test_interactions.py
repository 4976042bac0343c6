"""The interactions suite: one planted fault a rule, and none in clean data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recpipe.data.readers import read
from recpipe.data.sample import write_sample
from recpipe.validation.interactions import InteractionLimits, validate_interactions, volume_of

NOW = 1_700_000_000
CLEAN = pa.table(
    {
        "user": pa.array([1, 1, 2, 2, 3, 3], pa.int64()),
        "item": pa.array([10, 11, 10, 12, 11, 12], pa.int64()),
        "rating": pa.array([4, 3.5, 5, 1, 2, 3], pa.float32()),
        "time": pa.array([NOW - 100 * n for n in range(6)], pa.int64()),
    }
)


def with_value(column: str, row: int, value: object) -> pa.Table:
    values = CLEAN[column].to_pylist()
    values[row] = value
    return CLEAN.set_column(CLEAN.column_names.index(column), column, pa.array(values, CLEAN[column].type))


def with_type(column: str, kind: pa.DataType) -> pa.Table:
    return CLEAN.set_column(CLEAN.column_names.index(column), column, pc.cast(CLEAN[column], kind))


def names(table: pa.Table, **more: object) -> list[str]:
    outcome = validate_interactions(table, now=NOW, **more)  # type: ignore[arg-type]
    assert not any(check.crashed for check in outcome.checks), outcome.to_markdown()
    return [check.name for check in outcome.failures()]


def test_clean_rows_pass() -> None:
    films = pa.array([10, 11, 12, 13])
    assert names(CLEAN, side_items={"titles": films, "writers": films[:0]}, previous=volume_of(CLEAN)) == []


def test_rows_without_ratings_and_ids_that_are_text_pass() -> None:
    assert names(with_type("user", pa.string()).drop_columns(["rating"])) == []
    assert names(CLEAN.set_column(2, "rating", pa.nulls(6, pa.float32()))) == []


@pytest.mark.parametrize(
    ("table", "broken"),
    [
        (CLEAN.drop_columns(["time"]), "the columns user, item and time are there"),
        (with_type("time", pa.float64()), "the column time holds whole seconds"),
        (with_type("user", pa.float64()), "the column user holds text or whole numbers"),
        (CLEAN.slice(0, 0), "there are enough rows"),
        (with_value("user", 2, None), "no row lacks its user"),
        (CLEAN.set_column(0, "user", pa.nulls(6, pa.int64())), "no row lacks its user"),
        (CLEAN.set_column(3, "time", pa.nulls(6, pa.int64())), "no row lacks its time"),
        (with_value("item", 0, None), "no row lacks its item"),
        (with_value("time", 5, None), "no row lacks its time"),
        (with_value("rating", 1, None), "no row lacks its rating"),
        (with_value("rating", 1, 50.0), "every rating is in range"),
        (with_value("rating", 1, -1.0), "every rating is in range"),
        (with_value("time", 1, NOW + 10 * 86_400), "every time is plausible"),
        (with_value("time", 1, 12), "every time is plausible"),
        (with_value("time", 1, NOW * 1000), "every time is plausible"),
        (pa.concat_tables([CLEAN, CLEAN.slice(3, 1)]), "no user, item and time stand twice"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(table: pa.Table, broken: str) -> None:
    assert broken in names(table)


def test_the_rows_that_break_a_rule_are_shown_whole() -> None:
    outcome = validate_interactions(with_value("rating", 1, 50.0), now=NOW)
    (failure,) = outcome.failures()
    assert failure.sample == ({"user": 1, "item": 11, "time": NOW - 100, "rating": 50.0},)
    assert failure.observed == "1 of 6 rows break it"
    (failure,) = validate_interactions(with_value("time", 5, None), now=NOW).failures()
    assert failure.sample == ({"user": 3, "item": 12, "time": None, "rating": 3.0},)


def test_rows_that_stand_twice_are_all_shown_ids_of_text_too() -> None:
    twice = pa.concat_tables([with_type("user", pa.string()), with_type("user", pa.string()).slice(3, 1)])
    (failure,) = validate_interactions(twice, now=NOW).failures()
    assert failure.observed == "2 of 7 rows break it"
    assert failure.sample == ({"user": "2", "item": 12, "time": NOW - 300, "rating": 1.0},) * 2


def test_rows_of_one_hash_do_not_stand_twice_by_that_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recpipe.validation.row_facts.ODD", (0, 0, 0))
    assert names(CLEAN) == []
    assert names(pa.concat_tables([CLEAN, CLEAN.slice(3, 1)])) == ["no user, item and time stand twice"]


def test_a_sudden_drop_against_the_last_good_version_fails() -> None:
    twice = {name: n * 2 for name, n in volume_of(CLEAN).items()}
    dropped = [f"the number of {name} has not dropped suddenly" for name in ("rows", "users", "items")]
    assert names(CLEAN, previous=twice) == dropped
    assert names(CLEAN, previous=twice, limits=InteractionLimits(most_drop=0.5)) == []


def test_ids_of_another_catalogue_in_a_side_table_are_caught() -> None:
    assert names(CLEAN, side_items={"genres": pa.array([900, 901, 902])}) == [
        "genres knows the films that are watched",
        "genres tells of films that are watched",
    ]


def test_the_sample_raises_no_alarm(tmp_path: Path) -> None:
    write_sample(tmp_path, users=200, items=150, events=4000)
    raw = read(tmp_path)
    sides: dict[str, Callable[[], pa.Array] | pa.ChunkedArray] = {
        name: getattr(raw, name)["item"] for name in ("titles", "years", "genres", "directors", "writers")
    }
    outcome = validate_interactions(raw.ratings, sides, volume_of(raw.ratings))
    assert outcome.success, outcome.to_markdown()
