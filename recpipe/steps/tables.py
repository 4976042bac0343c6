"""A table of dbt_like_sql: run on DuckDB, or Spark, over the Parquet files that it reads, then its tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe import spark_warehouse, warehouse
from recpipe.conf_files import RunSettings
from recpipe.data.interactions import Interactions
from recpipe.data.joining import counted, joined
from recpipe.data.preparing import Prepared
from recpipe.lineage import ARRIVED, Lineage, Node, arrival_node
from recpipe.sql_models import SqlModel, assigned_tests, sql_folder, table_tests
from recpipe.steps.raw import Tables
from recpipe.warehouse import BrokenTest

DAY = 86_400


@dataclass(frozen=True)
class SqlTable:
    """One table, computed when it is written; read back as a table among others."""

    model: SqlModel
    inputs: Mapping[str, Path | pa.Table]
    settings: RunSettings

    @classmethod
    def read(cls, folder: Path) -> Tables:
        return Tables.read(folder)

    def write(self, folder: Path) -> None:
        target = folder / f"{self.model.name}.parquet"
        if self.settings.sql_engine == "spark":
            spark_warehouse.run_model(self.model, self.inputs, target, parameters(), self.settings.spark_master)
        else:
            warehouse.run_model(self.model, self.inputs, target, parameters())


def parameters() -> dict[str, Any]:
    """What the SQL may ask for: the latest plausible time is tomorrow."""
    return {"latest_time": int(time.time()) + DAY}


def table_inputs(lineage: Lineage, node: Node) -> dict[str, Path | pa.Table]:
    """The files of everything that a table reads, by table name."""
    return {name: _file(lineage, name, node.partition) for name in lineage.sql[node.asset].tables}


def broken_tests(lineage: Lineage, node: Node, staged: Path) -> list[BrokenTest]:
    """The tests of one table that return rows; the table itself is read where it is staged, not yet published."""
    tests = assigned_tests(lineage.sql, table_tests(sql_folder(), lineage.sql))[node.asset]
    names = {name for test in tests for name in test.tables} - {node.asset}
    files = {name: _file(lineage, name, node.partition) for name in names}
    settings = lineage.project.run()
    if settings.sql_engine == "spark":
        return spark_warehouse.run_tests(tests, files | {node.asset: staged}, parameters(), settings.spark_master)
    return warehouse.run_tests(tests, files | {node.asset: staged}, parameters())


def told_of_arrivals(lineage: Lineage, table: str, staged: Path) -> tuple[dict[str, Any], list[str]]:
    """What each arrival brought, for the figures of the accepted rows, and notes on arrivals not read as they stand."""
    if table != "accepted_ratings":
        return {}, []
    notes = [_not_read(lineage, name) for name in lineage.arrivals_not_read()]
    arrivals = _judged_arrivals(lineage)
    if not arrivals:
        return {}, notes
    accepted = pq.read_table(staged, columns=["line", "user", "item", "time"])
    return {"arrivals": counted(accepted, table_rows(_file_of(lineage, "stg_ratings")), arrivals)}, notes


def table_rows(path: Path) -> int:
    """Rows of a Parquet file, from its footer."""
    return int(pq.read_metadata(path).num_rows)


def _file(lineage: Lineage, name: str, split: str | None) -> Path | pa.Table:
    store = lineage.project.store
    if name == "train":
        parts = store.read("split", split)
        prepared: Prepared = store.read("interactions")
        return _with_raw_ids(parts.train, prepared)
    if name == ARRIVED:
        source = _file_of(lineage, "stg_ratings")
        return joined(pq.read_schema(source), table_rows(source), _judged_arrivals(lineage))
    return _file_of(lineage, name, split)


def _file_of(lineage: Lineage, name: str, split: str | None = None) -> Path:
    store = lineage.project.store
    if name.startswith("raw_"):
        return store.folder("raw_ratings" if name == "raw_ratings" else "raw_items") / f"{name}.parquet"
    return store.folder(name, split if lineage.partitioned_by_split(name) else None) / f"{name}.parquet"


def _judged_arrivals(lineage: Lineage) -> dict[str, pa.Table]:
    """The rows of the arrivals that are taken in, as `stg_ratings` has them, by name."""
    store = lineage.project.store
    folders = {node.partition or "": store.folder(node.asset, node.partition) for node in lineage.arrivals_taken_in()}
    return {name: pq.read_table(folder / "stg_ratings.parquet") for name, folder in folders.items()}


def _not_read(lineage: Lineage, name: str) -> str:
    node = arrival_node(name)
    if node not in lineage.arrivals_taken_in():
        return f"{node} has not been read or cannot be: its rows are not in here"
    written_at = lineage.project.store.need(node.asset, name).written_at
    return f"{node} has not been read or cannot be as it stands now: its version of {written_at} is in here"


def _with_raw_ids(events: Interactions, prepared: Prepared) -> pa.Table:
    users, items = prepared.ids.raw_users(events.users), prepared.ids.raw_items(events.items)
    return pa.table({"user": users, "item": items, "time": events.times})
