"""Interactions for the tests of splits and their validation: a long tail, equal times, films watched twice."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.splits.by_date import DAY

SHARED = Path(__file__).parents[2] / "../shared/data"
NO_SHARED = "../shared/data is not beside the checkout"


def generated(n_users: int = 200, n_items: int = 90, repeats: bool = False, seed: int = 0) -> Interactions:
    """Users with 1 to 60 films over 120 days, hours apart or at the same second; popular films more often."""
    random = np.random.default_rng(seed)
    popularity = 1.0 / (np.arange(n_items) + 5)
    users, items, times = [], [], []
    for user in range(n_users):
        films = random.choice(n_items, size=min(1 + user % 60, n_items), replace=False, p=popularity / popularity.sum())
        if repeats and user % 3 == 0:
            films = np.append(films, films[: 1 + user % 4])
        start = random.integers(0, 100 * DAY)
        users.append(np.full(len(films), user))
        items.append(films)
        times.append(start + random.integers(0, 20 * 24, size=len(films)) * 3600)
    joined = [np.concatenate(column) for column in (users, items, times)]
    ratings = random.integers(1, 6, size=len(joined[0])).astype(float)
    return Interactions.sorted_from(joined[0], joined[1], joined[2] + 1_000_000_000, ratings, n_users, n_items)


def of_rows(rows: list[tuple[int, int, int]], n_items: int = 100) -> Interactions:
    """Interactions of (user, item, time) rows, in any order."""
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions.sorted_from(users, items, times, None, int(users.max()) + 1, n_items)


@cache
def movielens(name: str) -> Interactions:
    """ml-100k or ml-1m as delivered in `SHARED`, users and films numbered in the order of their ids."""
    member, separator = {"ml-100k": ("u.data", "\t"), "ml-1m": ("ratings.dat", "::")}[name]
    with zipfile.ZipFile(SHARED / f"{name}.zip") as archive:
        text = archive.read(next(path for path in archive.namelist() if path.endswith(member))).decode("latin-1")
    numbers = np.fromstring(text.replace(separator, " "), dtype=np.int64, sep=" ").reshape(-1, 4)
    users, items = (np.unique(numbers[:, column], return_inverse=True)[1] for column in (0, 1))
    ratings = numbers[:, 2].astype(float)
    return Interactions.sorted_from(users, items, numbers[:, 3], ratings, int(users.max()) + 1, int(items.max()) + 1)
