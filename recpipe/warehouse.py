"""Runs dbt_like_sql on an in-memory DuckDB over Parquet files: tables, and the tests that must return no row."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from recpipe.sql_models import INPUTS, SqlError, SqlModel

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Tables: TypeAlias = "Mapping[str, Path | pa.Table]"
"""Parquet files or tables in memory by name; their rows are read in the order in which they stand."""
Parameters: TypeAlias = Mapping[str, int | float | str]

SAMPLE = 5
AS_PARQUET = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 4096"
"""Arrow's level of compression, and no dictionaries of numbers that hardly repeat: of ratings 0.6 of the seconds of
DuckDB's defaults, in files a seventh smaller. Parquet's second version would be quicker still, but Spark cannot read
the floats that DuckDB writes in it."""
BY_LINE = "\norder by line"
"""What comes in this order already is not sorted: on large tables that takes most of the memory."""
BY_LINE_GB = 0.5
"""Enough for such a table. To touch more takes longer than to spill: of 20 million ratings a quarter of the seconds."""


@dataclass(frozen=True)
class BrokenTest:
    """A test that returned rows: how many, and the first of them."""

    test: SqlModel
    rows: int
    sample: list[dict[str, Any]]


def run_model(
    model: SqlModel,
    tables: Tables,
    target: Path,
    parameters: Parameters | None = None,
    memory_gb: float = 2.0,
    threads: int = 2,
) -> int:
    """Write a model's table to the Parquet file `target` (zstd) and return its number of rows.

    tables: at least what the model reads. memory_gb: beyond it DuckDB spills to a folder beside `target`, which is gone
    afterwards.
    The same tables and parameters give the same bytes, whatever the threads. Raises `SqlError`.
    """
    values = wanted_parameters(model, tables, parameters or {})
    with (
        tempfile.TemporaryDirectory(prefix=".spill-", dir=target.parent) as spill,
        _database({name: tables[name] for name in model.tables}, spill, memory_gb, threads) as database,
        _blaming(model),
    ):
        if model.sql.endswith(BY_LINE):
            database.execute("set threads = 1")  # only so do unsorted rows come in the same groups each time
            database.execute(f"set memory_limit = '{min(memory_gb, BY_LINE_GB)}GB'")
            rows = _copied(database, model.sql.removesuffix(BY_LINE), values, target)
            if _by_line(database, target):
                return rows
        return _copied(database, model.sql, values, target)


def _copied(database: duckdb.DuckDBPyConnection, query: str, values: Parameters, target: Path) -> int:
    done = database.execute(f"copy (\n{query}\n) to {_quoted(str(target))} ({AS_PARQUET})", values)
    return int(done.fetchall()[0][0])


def _by_line(database: duckdb.DuckDBPyConnection, written: Path) -> bool:
    """Whether the rows of a file stand in the order of `line`."""
    file = _quoted(glob.escape(str(written)))
    back = f"select line < lag(line) over () as back from read_parquet({file})"
    return bool(database.execute(f"select count(*) = 0 from ({back}) where back").fetchall()[0][0])


def run_models(
    models: Mapping[str, SqlModel],
    inputs: Tables,
    folder: Path,
    parameters: Parameters | None = None,
) -> dict[str, Path]:
    """Run models in the given order into `folder`, one Parquet file each; returns the files by name."""
    made: dict[str, Path] = {}
    for name, model in models.items():
        run_model(model, {**inputs, **made}, folder / f"{name}.parquet", parameters)
        made[name] = folder / f"{name}.parquet"
    return made


def run_tests(
    tests: Iterable[SqlModel], tables: Tables, parameters: Parameters | None = None, memory_gb: float = 2.0
) -> list[BrokenTest]:
    """The tests that return rows, in order; an empty list is good news. Raises `SqlError`."""
    broken = []
    for test in tests:
        values = wanted_parameters(test, tables, parameters or {})
        with (
            tempfile.TemporaryDirectory(prefix="recpipe-") as spill,
            _database({name: tables[name] for name in test.tables}, spill, memory_gb, threads=2) as database,
            _blaming(test),
        ):
            database.execute(f"create temp table broken as (\n{test.sql}\n)", values)
            rows = int(database.execute("select count(*) from broken").fetchall()[0][0])
            if rows:
                sample = database.execute(f"select * from broken order by all limit {SAMPLE}")
                names = [column[0] for column in sample.description]
                found = [dict(zip(names, row, strict=True)) for row in sample.fetchall()]
                broken.append(BrokenTest(test, rows, found))
    return broken


def wanted_parameters(model: SqlModel, tables: Tables, parameters: Parameters) -> dict[str, int | float | str]:
    """The parameters that a model asks for; raises `SqlError` where one of them or a table was not given."""
    for name in model.tables:
        if name not in tables:
            what = f"an input ({', '.join(INPUTS[name])})" if name in INPUTS else "a model that has not been run"
            came = ", ".join(sorted(tables)) or "nothing"
            raise SqlError(f"{model.path}: reads {name}, {what}; it was given: {came}")
    for name in model.parameters:
        if name not in parameters:
            came = ", ".join(sorted(parameters)) or "none"
            raise SqlError(f"{model.path}: wants the parameter ${name}; given: {came}")
    return {name: parameters[name] for name in model.parameters}


@contextmanager
def _database(tables: Tables, spill: str, memory_gb: float, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",  # nothing is fetched from anywhere
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",  # a name in SQL is a table, never a variable of the caller
        "preserve_insertion_order": "true",  # `line` is the place in the delivery
        "memory_limit": f"{memory_gb}GB",
        "temp_directory": spill,
        "threads": str(threads),
    }
    with duckdb.connect(":memory:", config=settings) as database:
        for name, table in tables.items():
            if isinstance(table, Path):
                file = _quoted(glob.escape(str(table)))
                database.execute(f'create view "{name}" as select * from read_parquet({file})')
            else:
                database.register(name, table)
            _check_columns(database, name)
        yield database


def _check_columns(database: duckdb.DuckDBPyConnection, name: str) -> None:
    # DuckDB cannot be left to find out: where there is no column `user`, the word means the database's own user
    came = [column[0] for column in database.execute(f'select * from "{name}" limit 0').description]
    if missing := [column for column in INPUTS.get(name, ()) if column not in came]:
        raise SqlError(f"{name} has no column {' and no column '.join(missing)}; its columns are {', '.join(came)}")


@contextmanager
def _blaming(model: SqlModel) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise SqlError(f"{model.path}: {error}") from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
