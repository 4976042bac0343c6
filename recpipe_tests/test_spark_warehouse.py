"""The tables of dbt_like_sql on Spark are DuckDB's: columns, types, rows and their order."""

from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe import spark_warehouse, sql_models, warehouse
from recpipe.lineage import Lineage, Node
from recpipe.sql_models import SqlError
from recpipe_tests.test_warehouse import FOUR_FILMS, NEWEST, delivery, ratings

FOLDER = sql_models.sql_folder()
MODELS = sql_models.models(FOLDER)
TESTS = sql_models.table_tests(FOLDER, MODELS)
SPARK = pytest.mark.skipif(find_spec("pyspark") is None, reason="the extra `spark` is not installed")
MASTER = "local[1]"
pytestmark = pytest.mark.filterwarnings(  # py4j leaves its connections to Spark to the garbage collector
    "ignore:unclosed <socket:ResourceWarning", "ignore:.*socket.socket.*:pytest.PytestUnraisableExceptionWarning"
)


def written(sql: str, folder: Path) -> sql_models.SqlModel:
    (folder / "core").mkdir(exist_ok=True)
    (folder / "core" / "planted.sql").write_text(f"-- planted\n{sql}")
    return sql_models.models(folder)["planted"]


def assert_equal(expected: Path, came: Path) -> None:
    """The same columns, types, and rows in the same order; whether a column may be null is left out."""
    tables = [pq.read_table(path) for path in (expected, came)]
    assert [(f.name, f.type) for f in tables[0].schema] == [(f.name, f.type) for f in tables[1].schema]
    assert str(tables[0].to_pylist()) == str(tables[1].to_pylist())  # as text, in which one nan equals another


def test_what_sqlglot_leaves_in_duckdbs_words_is_said_in_sparks(tmp_path: Path) -> None:
    sql = "select *, row_number() over () as line, avg(year) as mean, isfinite(year) as sound from raw_years order by 1"
    said = spark_warehouse.spark_sql(written(sql, tmp_path))
    assert "recpipe_place + 1 AS line" in said
    assert "CAST(SUM(year) / NULLIF(COUNT(year), 0) AS DOUBLE) AS mean" in said
    assert "ABS(year) < CAST('infinity' AS DOUBLE) AS sound" in said


def test_a_list_in_an_order_that_spark_does_not_have_is_refused_with_the_file(tmp_path: Path) -> None:
    model = written("select item, list(year order by item) as y from raw_years group by item order by 1", tmp_path)
    with pytest.raises(SqlError, match=r"planted\.sql: Spark sorts a list by its own values alone"):
        spark_warehouse.spark_sql(model)


@SPARK
def test_every_table_of_a_built_project_is_equal(built, tmp_path: Path) -> None:
    from recpipe.steps.tables import parameters, table_inputs

    lineage = Lineage(built)
    for name, model in MODELS.items():
        split = "holdout" if lineage.partitioned_by_split(name) else None
        inputs = table_inputs(lineage, Node(name, split))
        for engine, options in ((warehouse, {}), (spark_warehouse, {"master": MASTER})):
            target = tmp_path / engine.__name__ / f"{name}.parquet"
            target.parent.mkdir(exist_ok=True)
            engine.run_model(model, inputs, target, parameters(), **options)
            assert [path.suffix for path in target.parent.iterdir()] == [".parquet"] * len(
                list(target.parent.iterdir())
            )
        assert_equal(tmp_path / "recpipe.warehouse" / f"{name}.parquet", target)


@SPARK
def test_rows_that_break_rules_odd_titles_and_lists_come_out_equal(tmp_path: Path) -> None:
    odd = ratings(
        (1, 7, 4.0, 9e8), (None, 7, 4.0, 9e8), (1, None, 4.0, 9e8), (1, 7, 4.0, None), (1, 7, 4.0, 631_152_000.0),
        (1, 7, float("nan"), 9e8), (1, 7, float("inf"), 9e8), (1, 7, -0.5, 9e8), (1, 8, None, 9e8), (1, 7, 3.0, 9e8),
    )  # fmt: skip
    tables: dict[str, Path | pa.Table] = {**FOUR_FILMS, **delivery(
        odd,
        title=[(7, "Friends (1994-2004)"), (8, " 1984 (1984) (V) "), (9, "Odd (9999)"), (10, "Héros (1999)")],
        year=[(7, "1899"), (8, "x"), (9, "0")],
        genre=[(7, "b"), (7, "a"), (7, "É"), (7, "Z"), (8, "")],
    )}  # fmt: skip
    tables["train"] = pa.table(
        {"user": [1, 1, 1, 2], "item": [7, 8, 7, 9], "time": [NEWEST - 5, NEWEST - 4, NEWEST, NEWEST]}
    )
    spark = dict(tables)
    for name, model in MODELS.items():
        for made, folder in ((tables, tmp_path / "a"), (spark, tmp_path / "b")):
            folder.mkdir(exist_ok=True)
            made[name] = folder / f"{name}.parquet"
        warehouse.run_model(model, tables, tables[name], {"latest_time": NEWEST})
        spark_warehouse.run_model(model, spark, spark[name], {"latest_time": NEWEST}, MASTER)
        assert_equal(tables[name], spark[name])
    assert pq.read_metadata(spark["rejected_ratings"]).num_rows == 8
    assert spark_warehouse.run_tests(TESTS.values(), spark, {"latest_time": NEWEST}, MASTER) == []
    spark["rejected_ratings"] = pq.read_table(spark["rejected_ratings"]).slice(2)
    (broken,) = spark_warehouse.run_tests([TESTS["every_rating_is_judged_once"]], spark, master=MASTER)
    assert (broken.rows, broken.sample) == (2, [{"line": 2, "times": 0}, {"line": 3, "times": 0}])


@SPARK
def test_what_spark_refuses_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    model = written("select nothing_such from raw_titles order by 1", tmp_path)
    with pytest.raises(SqlError, match=r"planted\.sql: .*nothing_such"):
        spark_warehouse.run_model(model, FOUR_FILMS, tmp_path / "a.parquet", master=MASTER)
    assert [path.name for path in tmp_path.iterdir()] == ["core"]
