"""Every table of dbt_like_sql on DuckDB and on Spark: equal or not, and at what cost. docs/distributed.md's table.

    python benchmarks/spark_sql.py --data ml-1m.zip --work WORK --out docs/distributed.md

The training part is the whole delivery in time order. CPU seconds stand first, since machines are shared: of this
process for DuckDB, of Spark's as well for Spark, whose start is told apart. Both have one thread.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from recpipe import spark_warehouse, sql_models, warehouse
from recpipe.data.readers import read
from recpipe.sql_models import SqlModel
from recpipe.warehouse import Parameters, Tables

MARK = "<!-- spark -->"
MASTER = "local[1]"


def inputs(data: Path, folder: Path) -> dict[str, Path | pa.Table]:
    """The delivery as Parquet files, as the line has them, and a training part."""
    files: dict[str, Path | pa.Table] = {}
    for name, table in read(data).by_name().items():
        files[name] = folder / f"{name}.parquet"
        pq.write_table(table, files[name])
    files["train"] = pq.read_table(files["raw_ratings"], columns=["user", "item", "time"]).sort_by(
        [("user", "ascending"), ("time", "ascending")]
    )
    return files


def cpu_seconds() -> float:
    """Of this process and everything that it started."""
    here = psutil.Process()
    times = [process.cpu_times() for process in [here, *here.children(recursive=True)]]
    return sum(each.user + each.system for each in times)


def spent(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds and seconds on the clock."""
    cpu, clock = cpu_seconds(), time.monotonic()
    work()
    return cpu_seconds() - cpu, time.monotonic() - clock


def told_apart(one: Path, other: Path) -> str:
    """Whether columns, types and rows in their order are equal; how many floats differ in their last bit alone."""
    a, b = pq.read_table(one), pq.read_table(other)
    if [(column.name, column.type) for column in a.schema] != [(column.name, column.type) for column in b.schema]:
        return "DIFFERENT columns"
    last_bits = 0
    for name in a.column_names:
        for x, y in zip(a[name].to_pylist(), b[name].to_pylist(), strict=True):
            if str(x) != str(y):  # as text, in which one nan equals another
                if not isinstance(x, float) or y not in (math.nextafter(x, math.inf), math.nextafter(x, -math.inf)):
                    return f"DIFFERENT {name}"
                last_bits += 1
    return f"equal but for the last bit of {last_bits} means" if last_bits else "equal"


def compared(model: SqlModel, tables: Tables, work: Path, asked: Parameters) -> str:
    """One table on both engines: a line of the page."""
    by_duckdb, by_spark = (work / engine / f"{model.name}.parquet" for engine in ("duckdb", "spark"))
    quick = spent(lambda: warehouse.run_model(model, tables, by_duckdb, asked, threads=1))
    slow = spent(lambda: spark_warehouse.run_model(model, tables, by_spark, asked, MASTER))
    rows = pq.read_metadata(by_duckdb).num_rows
    same = told_apart(by_duckdb, by_spark)
    return (
        f"{model.name:18} {rows:9,}  {quick[0]:8.1f}  {slow[0]:8.1f}          {quick[1]:8.1f}  {slow[1]:8.1f}  {same}"
    )


def measure(data: Path, work: Path) -> list[str]:
    models = sql_models.models(sql_models.sql_folder())
    for name in ("inputs", "duckdb", "spark"):
        (work / name).mkdir(parents=True, exist_ok=True)
    tables = inputs(data, work / "inputs")
    asked = {"latest_time": int(time.time())}
    start = spent(lambda: spark_warehouse.session(MASTER).sql("select 1").collect())
    lines = [
        f"{data.name}; Spark's start {start[0]:.1f} CPU s, {start[1]:.1f} s on the clock",
        f"{'table':18} {'rows':>9}  {'DuckDB':>8}  {'Spark':>8}  CPU s   {'DuckDB':>8}  {'Spark':>8}  s on the clock",
    ]
    print("\n".join(lines), flush=True)
    for name, model in models.items():
        lines.append(compared(model, tables, work, asked))
        print(lines[-1], flush=True)
        tables[name] = work / "duckdb" / f"{name}.parquet"
    tests = list(sql_models.table_tests(sql_models.sql_folder(), models).values())
    broken = spark_warehouse.run_tests(tests, tables, asked, MASTER)
    lines.append(f"{len(tests)} tests on Spark, {len(broken)} return rows")
    print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder or zip in a layout that recpipe reads")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the tables")
    parser.add_argument("--out", type=Path, help="the page whose table is replaced")
    options = parser.parse_args()
    lines = measure(options.data, options.work)
    if options.out:
        before, _, after = options.out.read_text(encoding="utf-8").split(MARK)
        block = "\n".join(["", "```", *lines, "```", ""])
        options.out.write_text(MARK.join([before, block, after]), encoding="utf-8")


if __name__ == "__main__":
    main()
