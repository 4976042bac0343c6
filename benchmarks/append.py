"""Taking in new data: the last events of a data set as an arrival, against reading everything anew.

    python benchmarks/append.py --data ml-1m.zip --share 0.01

Builds up to interactions and the features of films, without a model, in temporary folders. One line of JSON a build:
seconds, seconds of CPU, the steps that ran. The last line says whether both ways gave the same interactions.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
from pyarrow import csv

from recpipe.data.readers import RawTables, read
from recpipe.data.readers.tables import SIDES
from recpipe.lineage import Node
from recpipe.settings import Project

GOALS = [Node("interactions"), Node("item_features")]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--share", type=float, default=0.01, help="of the events, the latest, that arrive later")
    given = words.parse_args()
    tables = read(given.data)
    order = np.argsort(tables.ratings["time"].to_numpy(), kind="stable")
    late = order[len(order) - max(1, round(given.share * len(order))) :]
    early = np.setdiff1d(np.arange(len(order)), late)  # in the order of delivery
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _deliver(root / "early", tables, early)
        _deliver(root / "all", tables, np.concatenate((early, late)))
        growing, anew = _home(root / "growing", root / "early"), _home(root / "anew", root / "all")
        _build("the source without the last events, libraries loaded", growing)
        arrivals = growing.arrivals_folder
        arrivals.mkdir(parents=True)
        _write(tables.ratings.take(late), arrivals / "last.csv", ",")
        _build("the last events as an arrival", growing)
        _build("nothing new", growing)
        _build("all anew", anew)
        contents = {project.store.need("interactions").content for project in (growing, anew)}
        print(json.dumps({"events": len(order), "arrived": len(late), "same interactions": len(contents) == 1}))


def _deliver(folder: Path, tables: RawTables, rows: np.ndarray) -> None:
    folder.mkdir()
    _write(tables.ratings.take(rows), folder / "train_ratings.csv", ",")
    for side in SIDES:
        table: pa.Table = getattr(tables, side)
        if len(table):
            _write(table, folder / f"{side}.tsv", "\t")


def _write(table: pa.Table, path: Path, delimiter: str) -> None:
    if "rating" in table.column_names and table["rating"].null_count == len(table):
        table = table.drop_columns("rating")
    csv.write_csv(table, path, csv.WriteOptions(delimiter=delimiter))


def _home(home: Path, source: Path) -> Project:
    project = Project(home, Project.here().conf)
    project.choose_data(str(source))
    return project


def _build(what: str, project: Project) -> None:
    os.environ["RECPIPE_HOME"] = str(project.home)
    from recpipe.defs.planner import build

    with dg.DagsterInstance.ephemeral() as instance:
        wall, cpu = time.perf_counter(), time.process_time()
        built = build(project, GOALS, instance)
        told = {"seconds": round(time.perf_counter() - wall, 2), "cpu": round(time.process_time() - cpu, 2)}
    print(json.dumps({"build": what, **told, "ran": [str(node) for node in built.ran]}), flush=True)


if __name__ == "__main__":
    main()
