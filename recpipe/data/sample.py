"""The embedded data: a generated movie world, small enough for a laptop and shaped like the real thing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from recpipe.data.sample_films import GENRES, Films, make_films, person
from recpipe.data.sample_viewing import FEWEST, longest, watch
from recpipe.storage import content_digest, unfinished

UNTOLD = {"year": 0.03, "genre": 0.04, "director": 0.1, "writer": 0.15}
"""Share of the films of which a side table knows nothing."""


def write_sample(folder: Path, seed: int = 0, users: int = 2000, items: int = 1200, events: int = 150_000) -> None:
    """Write the world in the competition layout: `folder/train/` with train_ratings.csv and five side tables.

    The same arguments give the same bytes. Every user has at least 20 events and no film twice; some films lack a year,
    genres, a director or writers. Raises ValueError where the numbers do not fit each other.
    """
    if items < 60:
        raise ValueError(f"sample: at least 60 films are wanted, {items} were asked for")
    most = int(users * 0.9 * longest(items))
    if not FEWEST * users <= events <= most:
        raise ValueError(
            f"sample: {users} users and {items} films allow {FEWEST * users} to {most} events; {events} were asked for"
        )
    random = np.random.default_rng(seed)
    films = make_films(items, random)
    watched = watch(films, users, events, random)
    raw_users = np.sort(random.choice(np.arange(1, 70 * users), users, replace=False))
    raw_items = np.sort(random.choice(np.arange(1, 90 * items), items, replace=False))

    partial = unfinished(folder / "train")
    partial.mkdir(parents=True)
    rows = zip(
        raw_users[watched.users].tolist(), raw_items[watched.films].tolist(), watched.times.tolist(), strict=True
    )
    try:
        _write(partial / "train_ratings.csv", ",", ("user", "item", "time"), rows)
        _write_sides(partial, films, raw_items.tolist(), random)
        _put_in_place(partial, folder / "train")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(made: Path, target: Path) -> None:
    """The same that is there already stays: another process may be reading it."""
    if target.is_dir() and content_digest(target) == content_digest(made):
        return
    shutil.rmtree(target, ignore_errors=True)
    try:
        made.replace(target)
    except OSError:
        if not target.is_dir():  # another process was quicker
            raise


def _write_sides(folder: Path, films: Films, raw: list[int], random: np.random.Generator) -> None:
    """The five tables of (film, value) pairs; of some films each of the last four knows nothing."""
    known = {side: (random.random(len(films)) >= share).tolist() for side, share in UNTOLD.items()}
    years = films.years.tolist()
    titles = zip(films.titles, years, known["year"], strict=True)
    values: dict[str, Iterable[list[str]]] = {
        "title": ([title if told else title.removesuffix(f" ({year})")] for title, year, told in titles),
        "year": ([str(year)] for year in years),
        "genre": ([genre for genre, has in zip(GENRES, flags, strict=True) if has] for flags in films.genres.tolist()),
        "director": ([person(number) for number in pair if number >= 0] for pair in films.directors.tolist()),
        "writer": ([person(number) for number in pair if number >= 0] for pair in films.writers.tolist()),
    }
    for side, lists in values.items():
        rows = (
            (raw[film], text)
            for film, texts in enumerate(lists)
            if side == "title" or known[side][film]
            for text in texts
        )
        _write(folder / f"{side}s.tsv", "\t", ("item", side), rows)


def _write(path: Path, delimiter: str, names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
