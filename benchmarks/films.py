"""What is known of the films in a folder or zip of data, as the pipeline finds it: by the project's own SQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pyarrow import parquet

from recpipe.data.features import ItemFeatures, item_features
from recpipe.data.ids import Ids
from recpipe.data.readers import RawTables
from recpipe.sql_models import models, sql_folder, upstream
from recpipe.warehouse import run_models

TABLE = "item_features"
OF_RATINGS = {"stg_ratings", "rejected_ratings", "accepted_ratings"}
"""Benchmarks take the ratings as they were delivered."""


def known_of(raw: RawTables, ids: Ids) -> ItemFeatures:
    """Titles, years, genres, directors and writers in the order of the films' row numbers."""
    every = models(sql_folder())
    wanted = {TABLE, *upstream(every, TABLE)}
    of_films = {name: model for name, model in every.items() if name in wanted and name not in OF_RATINGS}
    inputs = raw.by_name() | {"accepted_ratings": raw.ratings}
    with tempfile.TemporaryDirectory() as folder:
        made = run_models(of_films, inputs, Path(folder))
        return item_features(parquet.read_table(made[TABLE]), ids.items)
