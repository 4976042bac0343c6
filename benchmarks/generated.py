"""Interactions of any size, long-tailed on both sides, for what real data at hand is too small for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from recpipe.data.interactions import Interactions

ML_20M = {"n_users": 138_000, "n_items": 20_000, "n_events": 21_200_000}
"""The shape of MovieLens 20M: twenty million are left of these draws."""
BLOCK = 10_000
"""Users that `write_ratings` draws at a time."""


def long_tailed(n_users: int, n_items: int, n_events: int, seed: int = 0) -> Interactions:
    """So many events drawn, of which repeats of a user and a film go: about a twentieth on the shape of `ML_20M`.

    Users' activity is lognormal, films' popularity falls with (10 + rank) ** -0.8; times are uniform, ratings 1 to 5.
    """
    random = np.random.default_rng(seed)
    activity = random.lognormal(0.0, 0.8, n_users)
    users = random.choice(n_users, n_events, p=activity / activity.sum())
    popularity = 1.0 / (10.0 + np.arange(n_items)) ** 0.8
    items = random.choice(n_items, n_events, p=popularity / popularity.sum())
    pairs = np.unique(users * np.int64(n_items) + items)
    times = random.integers(1_000_000_000, 1_100_000_000, len(pairs))
    ratings = random.integers(1, 6, len(pairs)).astype(np.float32)
    return Interactions.sorted_from(pairs // n_items, pairs % n_items, times, ratings, n_users, n_items)


def write_ratings(path: Path, n_users: int, n_items: int, n_events: int, seed: int = 0) -> int:
    """About so many events in MovieLens' layout of 20 M and later, sorted by user and film; returns how many.

    Drawn as in `long_tailed`, but `BLOCK` users at a time, so that memory does not grow with the events.
    """
    random = np.random.default_rng(seed)
    activity = random.lognormal(0.0, 0.8, n_users)
    events = random.poisson(n_events * activity / activity.sum())
    popularity = np.cumsum(1.0 / (10.0 + np.arange(n_items)) ** 0.8)
    names = ("userId", "movieId", "rating", "timestamp")
    schema = pa.schema(zip(names, (pa.int64(), pa.int64(), pa.float64(), pa.int64()), strict=True))
    written = 0
    with csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="none")) as file:
        for first in range(0, n_users, BLOCK):
            users = np.repeat(np.arange(first, min(first + BLOCK, n_users)), events[first : first + BLOCK])
            items = np.searchsorted(popularity, random.random(len(users)) * popularity[-1])
            pairs = np.unique(users * np.int64(n_items) + items)
            ratings = random.integers(1, 11, len(pairs)) / 2
            times = random.integers(1_000_000_000, 1_100_000_000, len(pairs))
            columns = (pairs // n_items + 1, pairs % n_items + 1, ratings, times)
            file.write_table(pa.table(dict(zip(names, columns, strict=True)), schema=schema))
            written += len(pairs)
    return written
