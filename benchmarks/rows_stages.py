"""The stages of `speed_rows.py`, each in a process of its own on the files that earlier ones left in a folder.

`python benchmarks/rows_stages.py STAGE FOLDER` prints what the stage took. In the folder lies `delivery/ratings.csv`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apart import Taken
from pyarrow import csv

from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import Prepared, prepare
from recpipe.data.readers import recognise
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear.ease import Ease
from recpipe.recipe import Run
from recpipe.sql_models import models, sql_folder, table_tests
from recpipe.steps.prepare import RATING_COLUMNS
from recpipe.steps.raw import RawRatings, raw_items
from recpipe.validation.engine import great_expectations
from recpipe.validation.interactions import validate_interactions
from recpipe.validation.split import validate_split
from recpipe.warehouse import run_model, run_tests

LATEST = {"latest_time": 1_200_000_000}
RULES = ("stg_ratings", "rejected_ratings", "accepted_ratings")
FILMS = ("stg_titles", "stg_years", "stg_genres", "stg_directors", "stg_writers", "items", "users", "item_features")
BEHAVIOUR = ("user_behaviour", "item_behaviour")
SPLITS = ("holdout", "leave_one_out", "ratio_random", "by_date")


@contextmanager
def taken() -> Iterator[None]:
    with Taken() as took:
        yield
    print(json.dumps(took.figures))


def read_whole(folder: Path) -> None:
    """A limit: Arrow reads the file into memory and writes it."""
    with taken():
        pq.write_table(csv.read_csv(folder / "delivery" / "ratings.csv"), folder / "bare.parquet", compression="zstd")


def read_in_blocks(folder: Path) -> None:
    """The limit whose memory does not grow: Arrow reads and writes a block at a time."""
    with (
        taken(),
        csv.open_csv(folder / "delivery" / "ratings.csv") as reader,
        pq.ParquetWriter(folder / "bare.parquet", reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def scan_and_sort(folder: Path) -> None:
    """The limit of splits and features: DuckDB reads the accepted rows, sorts and writes them."""
    settings = {"threads": "1", "memory_limit": "2GB", "temp_directory": str(folder / "spill")}
    query = f"select user, item, time, rating from '{folder}/accepted_ratings.parquet' order by user, time"
    with duckdb.connect(":memory:", config=settings) as database, taken():
        database.execute(f"copy ({query}) to '{folder}/bare.parquet' (format parquet, compression zstd)")


def raw_ratings(folder: Path) -> None:
    delivery = recognise(folder / "delivery")
    with taken():
        rows = delivery.ratings()
        RawRatings(rows).write(folder)
    raw_items(delivery.sides(rows)).write(folder)
    judged = {"line": pa.int64(), "user": pa.int64(), "item": pa.int64(), "rating": pa.float64(), "time": pa.int64()}
    pq.write_table(pa.schema(judged | {"reason": pa.string()}).empty_table(), folder / "arrived_ratings.parquet")


def table(name: str) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        model = models(sql_folder())[name]
        with taken():
            run_model(model, tables(folder), folder / f"{name}.parquet", LATEST, threads=1)

    return made


def tables(folder: Path) -> dict[str, Path | pa.Table]:
    return {path.stem: path for path in folder.glob("*.parquet")}


def sql_tests(folder: Path) -> None:
    tests = table_tests(sql_folder(), models(sql_folder())).values()
    with taken():
        broken = run_tests([test for test in tests if "train" not in test.inputs], tables(folder), LATEST)
    if broken:
        raise ValueError(f"tests return rows: {[each.test.name for each in broken]}")


def suite(folder: Path) -> None:
    great_expectations()
    with taken():
        outcome = validate_interactions(pq.read_table(folder / "accepted_ratings.parquet", columns=RATING_COLUMNS))
    outcome.raise_if_failed()


def prepared(folder: Path) -> None:
    (folder / "prepared").mkdir(exist_ok=True)
    with taken():
        ratings = pq.read_table(folder / "accepted_ratings.parquet", columns=RATING_COLUMNS)
        prepare(ratings, Preparation()).write(folder / "prepared")


def split(name: str) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        (folder / name).mkdir(exist_ok=True)
        with taken():
            strategy_from({"strategy": name}).split(Prepared.read(folder / "prepared").interactions).write(
                folder / name
            )

    return made


def split_suite(name: str) -> Callable[[Path], None]:
    def judged(folder: Path) -> None:
        great_expectations()
        interactions, parts = Prepared.read(folder / "prepared").interactions, Parts.read(folder / name)
        with taken():
            validate_split(strategy_from({"strategy": name}), interactions, parts)

    return judged


def train(folder: Path) -> None:
    """The training part with raw ids, which the behaviour tables read."""
    with taken():
        ids, events = Prepared.read(folder / "prepared").ids, Parts.read(folder / "holdout").train
        columns = {"user": ids.raw_users(events.users), "item": ids.raw_items(events.items), "time": events.times}
        pq.write_table(pa.table(columns), folder / "train.parquet", compression="zstd")


def ease(folder: Path) -> None:
    """A linear model of all films in closed form, on the training part of `holdout`."""
    with taken():
        train_on = TrainingSet(Parts.read(folder / "holdout").train)
        weights = Ease(regularization=500.0, precision="float32").fit(train_on, Run()).weights
    if not np.isfinite(weights).all():
        raise ValueError("ease: weights that are no numbers came")


STAGES: dict[str, Callable[[Path], None]] = {
    "read_whole": read_whole,
    "read_in_blocks": read_in_blocks,
    "raw_ratings": raw_ratings,
    **{name: table(name) for name in (*RULES, *FILMS)},
    "sql_tests": sql_tests,
    "suite": suite,
    "scan_and_sort": scan_and_sort,
    "prepared": prepared,
    **{name: split(name) for name in SPLITS},
    **{f"{name}_suite": split_suite(name) for name in SPLITS},
    "train": train,
    **{name: table(name) for name in BEHAVIOUR},
    "ease": ease,
}
"""In the order in which each finds what it needs."""


if __name__ == "__main__":
    threads = int(os.environ["OMP_NUM_THREADS"])
    pa.set_cpu_count(threads)
    pa.set_io_thread_count(max(2, threads))
    STAGES[sys.argv[1]](Path(sys.argv[2]))
