import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe import sql_models
from recpipe.sql_models import SqlError, SqlModel
from recpipe.warehouse import run_model, run_models, run_tests

SHIPPED = sql_models.sql_folder()
MODELS = sql_models.models(SHIPPED)
ALL_TESTS = sql_models.table_tests(SHIPPED, MODELS)
NEWEST = 1_000_000_000
DAY = 86_400


def ratings(*rows: tuple[Any, Any, float | None, Any]) -> pa.Table:
    users, items, values, times = zip(*rows, strict=True)
    return pa.table({"user": users, "item": items, "rating": pa.array(values, pa.float32()), "time": times})


def side(name: str, *pairs: tuple[Any, Any]) -> pa.Table:
    """A side table of (item, value) pairs; an empty one has the types of whole numbers and text."""
    items, values = zip(*pairs, strict=True) if pairs else (pa.array([], pa.int64()), pa.array([], pa.string()))
    return pa.table({"item": items, name: values})


def delivery(raw_ratings: pa.Table, **sides: list[tuple[Any, Any]]) -> dict[str, pa.Table]:
    """A whole delivery; the side tables that are not named are empty, and nothing has arrived after it."""
    names = ("title", "year", "genre", "director", "writer")
    nothing = arrived((1, *(raw_ratings[name][0].as_py() for name in ("user", "item")), 0, None)).slice(1)
    tables = {f"raw_{name}s": side(name, *sides.get(name, [])) for name in names}
    return {"raw_ratings": raw_ratings, "arrived_ratings": nothing, **tables}


def arrived(*judged: tuple[int, Any, Any, Any, str | None]) -> pa.Table:
    """Rows of arrivals: line, user, item, time and the reason of those that break a rule."""
    lines, users, items, times, reasons = zip(*judged, strict=True)
    no_ratings = pa.nulls(len(lines), pa.float64())
    columns = {"line": lines, "user": users, "item": items, "rating": no_ratings, "time": times}
    return pa.table({**columns, "reason": pa.array(reasons, pa.string())})


def made(
    tables: Mapping[str, pa.Table], folder: Path, train: pa.Table | None = None, latest_time: int = NEWEST
) -> dict[str, Path]:
    """All shipped models run on the delivery; those inside a split where there is a training part."""
    wanted = {
        name: model
        for name, model in MODELS.items()
        if train is not None or "train" not in sql_models.upstream(MODELS, name)
    }
    inputs = dict(tables) if train is None else {**tables, "train": train}
    return run_models(wanted, inputs, folder, {"latest_time": latest_time})


def rows(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(path)
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))


def shipped_tests(models: Mapping[str, Path]) -> list[SqlModel]:
    return [test for test in ALL_TESTS.values() if "train" not in test.inputs or "user_behaviour" in models]


FOUR_FILMS = delivery(
    ratings((1, 10, None, NEWEST - 20 * DAY), (1, 20, None, NEWEST), (2, 10, None, NEWEST - 2 * DAY)),
    title=[(10, "Old One, The (1950)"), (20, " Heat "), (40, "Nobody's (2001)"), (20, "Heat again")],
    year=[(20, "2001"), (30, "1899"), (30, "0")],
    genre=[(10, "Drama"), (10, " Drama"), (10, "Action"), (20, "Drama"), (30, ""), (30, "(no genres listed)")],
    director=[(10, "nm2"), (10, "nm1")],
    writer=[(50, None)],
)


def test_each_row_that_breaks_a_rule_is_rejected_with_its_line_and_reason(tmp_path: Path) -> None:
    raw = pa.table(
        {
            "user": [1, None, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            "item": [7, 7, None, 7, 7, 7, 7, 7, 7, 7, 8, 7],
            "rating": [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, float("nan"), float("inf"), -0.5, 10.5, None, 3.0],
            "time": pa.array(
                [9e8, 9e8, 9e8, None, 631_152_000, NEWEST + 1, 9e8, 9e8, 9e8, 9e8, 9e8, 9e8], pa.float64()
            ),
        }
    )
    models = made(delivery(raw), tmp_path)
    assert rows(models["rejected_ratings"], "line", "reason") == [
        (2, "user missing"),
        (3, "item missing"),
        (4, "time missing"),
        (5, "time not after 1990-01-01"),
        (6, "time later than tomorrow"),
        (7, "rating not finite"),
        (8, "rating not finite"),
        (9, "rating outside 0 to 10"),
        (10, "rating outside 0 to 10"),
        (12, "user, item and time as in an earlier row"),
    ]
    assert rows(models["rejected_ratings"], "user", "item", "rating", "time")[-1] == (1, 7, 3.0, 900_000_000)
    accepted = rows(models["accepted_ratings"], "line", "user", "item", "rating", "time")
    assert accepted == [(1, 1, 7, 4.0, 900_000_000), (11, 1, 8, None, 900_000_000)]
    assert run_tests(shipped_tests(models), {**delivery(raw), **models}) == []


def test_a_row_that_is_bad_itself_does_not_make_a_good_one_a_copy(tmp_path: Path) -> None:
    models = made(delivery(ratings((1, 7, 99.0, NEWEST), (1, 7, 4.0, NEWEST), (1, 7, 5.0, NEWEST))), tmp_path)
    assert rows(models["accepted_ratings"], "line", "rating") == [(2, 4.0)]
    assert [line for (line,) in rows(models["rejected_ratings"], "line")] == [1, 3]


def test_a_time_that_came_as_text_is_a_number_or_breaks_a_rule(tmp_path: Path) -> None:
    raw = ratings((1, 7, None, str(NEWEST)), (2, 7, None, "yesterday"), (3, 7, None, " "), (4, 7, None, "9" * 30))
    models = made(delivery(raw), tmp_path)
    assert rows(models["accepted_ratings"], "user", "time") == [(1, NEWEST)]
    assert rows(models["rejected_ratings"], "reason") == [("time is no number",)] * 3


def test_arrivals_stand_behind_the_source_and_what_stood_before_counts_once(tmp_path: Path) -> None:
    raw = ratings((1, 7, None, NEWEST), (1, 8, None, NEWEST + 1), (1, 7, None, NEWEST))
    later = arrived(
        (4, 1, 7, NEWEST, None),  # as in the source
        (5, 1, 9, NEWEST, None),
        (6, None, 9, NEWEST, "user missing"),
        (7, 1, 8, NEWEST + 1, None),  # its like in the source broke a rule
        (8, 1, 9, NEWEST, None),  # as in an earlier arrival
        (9, 2, 7, NEWEST - 1, None),
    )
    models = made({**delivery(raw), "arrived_ratings": later}, tmp_path)
    assert rows(models["accepted_ratings"], "line", "user", "item", "time") == [
        (1, 1, 7, NEWEST),
        (5, 1, 9, NEWEST),
        (7, 1, 8, NEWEST + 1),
        (9, 2, 7, NEWEST - 1),
    ]
    again = "user, item and time as in an earlier row"
    assert rows(models["rejected_ratings"], "line", "reason") == [
        (2, "time later than tomorrow"),
        (3, again),
        (4, again),
        (6, "user missing"),
        (8, again),
    ]
    given = {**delivery(raw), "arrived_ratings": later, **models}
    assert run_tests(shipped_tests(models), given) == []
    (fault,) = run_tests([ALL_TESTS["every_rating_is_judged_once"]], {**given, "arrived_ratings": later.slice(1)})
    assert fault.sample == [{"line": 4, "times": 1}]


def test_the_bounds_of_the_row_rules_are_inside(tmp_path: Path) -> None:
    raw = ratings((1, 1, 0.0, 631_152_001), (1, 2, 10.0, NEWEST))
    assert rows(made(delivery(raw), tmp_path)["rejected_ratings"], "line") == []


def test_ids_of_text_are_read_as_well_and_blank_ones_are_missing(tmp_path: Path) -> None:
    tables = delivery(ratings(("ann", "tt1", None, NEWEST), ("", "tt1", None, NEWEST), ("bob", "  ", None, NEWEST)))
    no_pairs = {"item": pa.array([], pa.string())}
    for name in ("title", "year", "genre", "director", "writer"):
        tables[f"raw_{name}s"] = pa.table({**no_pairs, name: pa.array([], pa.string())})
    models = made(tables, tmp_path)
    assert rows(models["accepted_ratings"], "user", "item") == [("ann", "tt1")]
    assert rows(models["rejected_ratings"], "reason") == [("user missing",), ("item missing",)]
    assert rows(models["item_features"], "item", "genres") == [("tt1", [])]


def test_a_film_that_the_side_tables_lack_is_not_lost(tmp_path: Path) -> None:
    models = made(delivery(ratings((1, 7, None, NEWEST)), genre=[(8, "")]), tmp_path)
    assert rows(models["item_features"], "item", "title", "year", "genres", "directors", "writers") == [
        (7, None, None, [], [], []),
        (8, None, None, [], [], []),
    ]


def test_item_features_are_trimmed_sorted_and_without_copies(tmp_path: Path) -> None:
    models = made(FOUR_FILMS, tmp_path)
    assert rows(models["item_features"], "item", "title", "year", "genres", "directors") == [
        (10, "Old One, The (1950)", 1950, ["Action", "Drama"], ["nm1", "nm2"]),
        (20, "Heat", 2001, ["Drama"], []),
        (30, None, 1899, [], []),
        (40, "Nobody's (2001)", 2001, [], []),
        (50, None, None, [], []),
    ]
    assert rows(models["users"], "user", "first_time", "last_time", "events") == [
        (1, NEWEST - 20 * DAY, NEWEST, 2),
        (2, NEWEST - 2 * DAY, NEWEST - 2 * DAY, 1),
    ]


def test_a_missing_year_is_read_from_the_title_and_the_years_table_goes_first(tmp_path: Path) -> None:
    titles = {
        "Toy Story (1995)": 1995,
        "1984 (1984) (V)": 1984,
        "Friends (1994-2004)": 1994,
        "(500) Days of Summer (2009) ": 2009,
        "Remade (1933) as in (2005)": 2005,
        "2001: A Space Odyssey": None,
        "Odd (9999)": None,
        "Long number (19999)": None,
        "Otherwise in the table (1995)": 1996,
    }
    last = len(titles) - 1
    raw = delivery(ratings((1, 0, None, NEWEST)), title=list(enumerate(titles)), year=[(last, "1996"), (last, "1997")])
    assert rows(made(raw, tmp_path)["items"], "year") == [(year,) for year in titles.values()]


def test_behaviour_is_counted_from_the_training_part_alone(tmp_path: Path) -> None:
    first = NEWEST - 100 * DAY  # NEWEST is in September 2001
    train = pa.table(
        {
            "user": [1, 1, 1, 2],
            "item": [10, 20, 10, 20],
            "time": [first, first + 1, NEWEST, NEWEST - 5 * DAY],
        }
    )
    models = made(FOUR_FILMS, tmp_path, train)
    assert pq.read_table(models["user_behaviour"]).to_pylist() == [
        {
            "user": 1,
            "events": 3,
            "films": 2,
            "first_time": first,
            "last_time": NEWEST,
            "active_days": 2,
            "mean_year": (1950 + 2001 + 1950) / 3,
            "median_year": 1950.0,
            "recent_share": 1 / 3,
            "top_genre": "Drama",
        },
        {
            "user": 2,
            "events": 1,
            "films": 1,
            "first_time": NEWEST - 5 * DAY,
            "last_time": NEWEST - 5 * DAY,
            "active_days": 1,
            "mean_year": 2001.0,
            "median_year": 2001.0,
            "recent_share": 1.0,
            "top_genre": "Drama",
        },
    ]
    counts = ("item", "events", "users", "recent_users", "popularity", "first_time", "last_time", "mean_position")
    assert rows(models["item_behaviour"], *counts)[:3] == [
        (10, 2, 1, 1, 0.5, first, NEWEST, 0.5),
        (20, 2, 2, 1, 1.0, first + 1, NEWEST - 5 * DAY, 0.25),
        (30, 0, 0, 0, 0.0, None, None, None),
    ]
    assert run_tests(shipped_tests(models), {**FOUR_FILMS, **models, "train": train}) == []


def test_an_empty_training_part_has_no_users_and_counts_of_zero(tmp_path: Path) -> None:
    nothing = pa.table({name: pa.array([], pa.int64()) for name in ("user", "item", "time")})
    models = made(FOUR_FILMS, tmp_path, nothing)
    assert rows(models["user_behaviour"], "user") == []
    assert {(events, popularity) for events, popularity in rows(models["item_behaviour"], "events", "popularity")} == {
        (0, 0.0)
    }


def test_the_shipped_tests_see_a_lost_rating_a_film_without_features_and_a_wrong_count(tmp_path: Path) -> None:
    train = pa.table({"user": [1, 2], "item": [10, 20], "time": [NEWEST - 1, NEWEST]})
    models = made(FOUR_FILMS, tmp_path, train)
    tables: dict[str, Path | pa.Table] = {**FOUR_FILMS, **models, "train": train}
    for name in ("accepted_ratings", "user_behaviour", "item_behaviour", "item_features"):
        tables[name] = pq.read_table(models[name]).slice(1)
    tables["items"] = pa.concat_tables([pq.read_table(models["items"]), pq.read_table(models["items"]).slice(0, 1)])
    tables["rejected_ratings"] = (
        pq.read_table(models["accepted_ratings"]).slice(2).append_column("reason", pa.array([""]))
    )
    broken = {fault.test.name: fault for fault in run_tests(shipped_tests(models), tables)}
    assert set(broken) == set(ALL_TESTS) - {"no_accepted_rating_twice"}
    lost = broken["every_rating_is_judged_once"]
    assert (lost.rows, lost.sample) == (2, [{"line": 1, "times": 0}, {"line": 3, "times": 2}])

    tables["accepted_ratings"] = pa.concat_tables([pq.read_table(models["accepted_ratings"])] * 2)
    (fault,) = run_tests([ALL_TESTS["no_accepted_rating_twice"]], tables)
    assert fault.rows == 3


def test_the_same_input_gives_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size = 130_000  # more than one row group, and many of DuckDB's blocks
    users, items = random.integers(0, 500, size), random.integers(0, 300, size)
    times = random.integers(NEWEST - 10**8, NEWEST, size)
    train = pa.table({"user": users, "item": items, "time": times})
    inputs = delivery(train.append_column("rating", pa.array(random.integers(1, 6, size), pa.float32())))
    inputs["raw_genres"] = side("genre", *((film, f"g{film % 7}") for film in range(300)))
    inputs["raw_years"] = side("year", *((film, 1900 + film % 100) for film in range(300)))
    digests = []
    for threads in (1, 4):
        (folder := tmp_path / str(threads)).mkdir()
        files: dict[str, Path | pa.Table] = {**inputs, "train": train}
        for name, model in MODELS.items():
            files[name] = folder / f"{name}.parquet"
            run_model(model, files, folder / f"{name}.parquet", {"latest_time": NEWEST}, threads=threads)
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()})
    assert digests[0] == digests[1]
    assert len(digests[0]) == len(MODELS)  # and nothing else lies in the folder


def test_line_is_the_place_in_the_delivery_for_files_and_for_tables(tmp_path: Path) -> None:
    size = 100_000
    raw = pa.table(
        {
            "user": np.arange(size)[::-1],
            "item": np.arange(size) % 7,
            "rating": pa.nulls(size, pa.float32()),
            "time": np.full(size, NEWEST),
        }
    )
    pq.write_table(raw, tmp_path / "raw[1].parquet", row_group_size=3_000)
    chunked = pa.Table.from_batches(raw.to_batches(max_chunksize=1_234))
    for given in (tmp_path / "raw[1].parquet", chunked):
        target = tmp_path / "stg_ratings.parquet"
        assert (
            run_model(MODELS["stg_ratings"], {"raw_ratings": given}, target, {"latest_time": NEWEST}, threads=4) == size
        )
        staged = pq.read_table(target)
        assert (staged["line"].to_numpy() == np.arange(1, size + 1)).all()
        assert (staged["user"].to_numpy() == np.arange(size)[::-1]).all()


def test_rows_that_do_not_come_by_line_are_sorted_by_line(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "backwards.sql").write_text(
        "-- one row a rating\n"
        "with latest as (select user, time as line from raw_ratings order by time desc limit 3)\n"
        "select * from latest\norder by line"
    )
    raw = ratings((1, 7, None, 2), (2, 7, None, 3), (3, 7, None, 1))
    run_model(sql_models.models(tmp_path)["backwards"], {"raw_ratings": raw}, tmp_path / "made.parquet")
    assert rows(tmp_path / "made.parquet", "user", "line") == [(3, 1), (1, 2), (2, 3)]


def test_the_files_are_of_a_kind_that_spark_reads(tmp_path: Path) -> None:
    raw = ratings(*((user, 7, user / 1000, NEWEST) for user in range(5_000)))
    run_model(MODELS["stg_ratings"], {"raw_ratings": raw}, tmp_path / "made.parquet", {"latest_time": NEWEST})
    group = pq.read_metadata(tmp_path / "made.parquet").row_group(0)
    used = {encoding for column in range(group.num_columns) for encoding in group.column(column).encodings}
    assert used <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}


def test_a_table_or_parameter_that_was_not_given_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SqlError, match=r"stg_years\.sql: reads raw_years, an input \(item, year\).*given: nothing"):
        run_model(MODELS["stg_years"], {}, tmp_path / "a.parquet")
    with pytest.raises(SqlError, match=r"users\.sql: reads accepted_ratings, a model that has not been run"):
        run_model(MODELS["users"], {}, tmp_path / "a.parquet")
    with pytest.raises(SqlError, match=r"stg_ratings\.sql: wants the parameter \$latest_time"):
        run_model(MODELS["stg_ratings"], FOUR_FILMS, tmp_path / "a.parquet")


def test_an_input_without_its_columns_is_refused(tmp_path: Path) -> None:
    nameless = FOUR_FILMS["raw_ratings"].rename_columns(["who", "item", "rating", "time"])
    with pytest.raises(SqlError, match=r"raw_ratings has no column user; its columns are who, item, rating, time"):
        run_model(MODELS["stg_ratings"], {"raw_ratings": nameless}, tmp_path / "a.parquet", {"latest_time": NEWEST})


def test_what_the_database_refuses_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "wrong.sql").write_text("-- one row a title\nselect nothing_such from raw_titles order by 1")
    model = sql_models.models(tmp_path)["wrong"]
    with pytest.raises(SqlError, match=r"wrong\.sql: .*nothing_such"):
        run_model(model, FOUR_FILMS, tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["core"]


def test_a_planted_test_that_fails_is_shown_with_its_rows_and_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a_no_even_line.sql").write_text(
        "-- planted\nselect line from stg_ratings where line % 2 = 0"
    )
    (tmp_path / "tests" / "b_no_line_zero.sql").write_text("-- true\nselect line from stg_ratings where line = 0")
    (tmp_path / "tests" / "c_no_line.sql").write_text("-- planted\nselect line from stg_ratings")
    tests = sql_models.table_tests(tmp_path, MODELS)
    staged = pa.table({"line": np.arange(1, 13)})
    broken = run_tests(tests.values(), {"stg_ratings": staged})
    assert [(fault.test.name, fault.rows) for fault in broken] == [("a_no_even_line", 6), ("c_no_line", 12)]
    assert broken[0].sample == [{"line": 2}, {"line": 4}, {"line": 6}, {"line": 8}, {"line": 10}]
