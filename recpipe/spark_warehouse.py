"""Runs dbt_like_sql on Apache Spark, for data that one machine is too small for: the same files, equal tables.

sqlglot puts the SQL of a file into Spark's words (`spark_sql`); Spark computes the rows, and its part files become the
one Parquet file that an artifact is, in their order.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset

from recpipe.sql_models import SqlError, SqlModel
from recpipe.warehouse import SAMPLE, BrokenTest, Parameters, Tables, wanted_parameters
from recpipe.yaml_files import SettingsError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from sqlglot import exp

PLACE = "recpipe_place"
"""A row's place in its file, from 0: what DuckDB's `row_number() over ()` counts, and Spark does not know by itself."""

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",  # as DuckDB's timestamps without a zone
    "spark.sql.ansi.enabled": "true",  # what cannot be cast is an error, as in DuckDB, not a null
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def run_model(
    model: SqlModel, tables: Tables, target: Path, parameters: Parameters | None = None, master: str = "local[2]"
) -> int:
    """As `warehouse.run_model`, with equal rows, on the Spark of `master`; all its nodes see the folder of `target`.

    Raises `SqlError`, and `SettingsError` where pyspark is not installed.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".spark-", dir=target.parent) as folder,
        _answer(model, tables, parameters or {}, master, Path(folder)) as rows,
    ):
        parts = Path(folder) / "parts"
        rows.write.parquet(str(parts))
        return _joined(sorted(parts.glob("part-*.parquet")), target)  # numbered in the order of the rows


def _joined(parts: Sequence[Path], target: Path) -> int:
    """One Parquet file of many, a batch of rows at a time; the number of rows."""
    names = [str(part) for part in parts]
    found = dataset.dataset(names, format="parquet").schema
    schema = pa.schema([column.with_nullable(True) for column in found])
    rows = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in dataset.dataset(names, schema=schema, format="parquet").to_batches(use_threads=False):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def run_tests(
    tests: Iterable[SqlModel], tables: Tables, parameters: Parameters | None = None, master: str = "local[2]"
) -> list[BrokenTest]:
    """As `warehouse.run_tests`, on Spark. Raises `SqlError`.

    Tables in memory are written for a while beside a file of the others, where all of Spark's nodes see them.
    """
    broken = []
    beside = next((table.parent for table in tables.values() if isinstance(table, Path)), None)
    for test in tests:
        with (
            tempfile.TemporaryDirectory(prefix=".spark-", dir=beside) as folder,
            _answer(test, tables, parameters or {}, master, Path(folder)) as answer,
        ):
            rows = answer.count()
            if rows:
                first = answer.orderBy(*answer.columns).limit(SAMPLE).collect()
                broken.append(BrokenTest(test, rows, [row.asDict(recursive=True) for row in first]))
    return broken


def spark_sql(model: SqlModel) -> str:
    """A file's SQL in Spark's words; parameters become `:name`.

    What sqlglot leaves in DuckDB's words or changes in meaning is put right here: the number of a row in an unordered
    window, sorted lists, `isfinite`, and the mean of decimals, which is a double.
    """
    import sqlglot
    from sqlglot import exp

    def said(node: exp.Expression) -> exp.Expression:
        match node:
            case exp.Window(this=exp.RowNumber()) if not (node.args.get("order") or node.args.get("partition_by")):
                return exp.column(PLACE) + 1
            case exp.CTE():
                node.set("materialized", None)  # Spark never keeps the rows of a step
            case exp.ArrayAgg(this=exp.Order() as order):
                return _sorted_list(model, order)
            case exp.Anonymous() if node.name.lower() == "isfinite":
                return exp.Abs(this=node.expressions[0].copy()) < exp.cast("'infinity'", "double")
            case exp.Avg():
                values = node.this
                number = exp.Nullif(this=exp.Count(this=values.copy()), expression=exp.Literal.number(0))
                return exp.cast(exp.Sum(this=values.copy()) / number, "double")
        return node

    query = sqlglot.parse_one(model.sql, read="duckdb")
    return query.transform(said).sql(dialect="spark")


def _sorted_list(model: SqlModel, order: exp.Order) -> exp.Expression:
    from sqlglot import exp

    (by,) = order.expressions
    if by.this != order.this or by.args.get("desc"):
        raise SqlError(
            f"{model.path}: Spark sorts a list by its own values alone, upwards; this is {order.sql('duckdb')}"
        )
    return exp.ArraySort(this=exp.ArrayAgg(this=order.this.copy()))


@contextmanager
def _answer(query: SqlModel, tables: Tables, parameters: Parameters, master: str, folder: Path) -> Iterator[DataFrame]:
    """The rows of a query, computed when they are asked for; Spark's errors name the file."""
    values = wanted_parameters(query, tables, parameters)
    spark = session(master)
    from pyspark.errors import PySparkException

    try:
        for name in query.tables:
            _view(spark, name, tables[name], folder)
        yield spark.sql(spark_sql(query), args=values).drop(PLACE)
    except PySparkException as error:
        raise SqlError(f"{query.path}: {error}") from error
    finally:
        for name in query.tables:
            spark.catalog.dropTempView(name)


def _view(spark: SparkSession, name: str, table: Path | pa.Table, folder: Path) -> None:
    """A file as a view with the place of each row; a table in memory is written to a file first."""
    if not isinstance(table, Path):
        pq.write_table(table, folder / f"{name}.parquet")
        table = folder / f"{name}.parquet"
    file = spark.read.parquet(re.sub(r"([\[\]{}*?\\])", r"\\\1", str(table)))  # a name, not a pattern
    file.select("*", file["_metadata.row_index"].alias(PLACE)).createOrReplaceTempView(name)


def session(master: str) -> SparkSession:
    """Spark on `master`, one a process; raises `SettingsError` where pyspark is not installed."""
    if find_spec("pyspark") is None:
        raise SettingsError("sql_engine: spark needs Java and an extra: pip install -c constraints.txt -e '.[spark]'")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("recpipe").master(master)
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    if master.startswith("local"):
        builder = builder.config("spark.sql.shuffle.partitions", "8")  # Spark's 200 are for a cluster
    return builder.getOrCreate()
