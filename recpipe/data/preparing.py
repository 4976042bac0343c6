"""From validated ratings to interactions: what counts as watching, and who and what has too few events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from recpipe.data.ids import Ids
from recpipe.data.interactions import Interactions, LongArray, order_by
from recpipe.data.preparation import Preparation

EVENTS = "events.parquet"
COUNTS = "counts.json"


@dataclass(frozen=True, eq=False)
class Prepared:
    """interactions: over the users and films that are left, numbered by `ids`.

    counts: rows at each step: delivered, then those that `below_min_rating`, `repeats`, `too_few_of_user` and
    `too_few_of_item` took away, then kept.
    """

    interactions: Interactions
    ids: Ids
    counts: dict[str, int]

    def write(self, folder: Path) -> None:
        """Parquet and JSON; equal content gives equal bytes."""
        events = self.interactions
        columns = {"user": events.users, "item": events.items, "time": events.times}
        if events.ratings is not None:
            columns["rating"] = events.ratings
        parquet.write_table(pa.table(columns), folder / EVENTS, compression="zstd")
        self.ids.write(folder)
        (folder / COUNTS).write_text(json.dumps(self.counts, indent=1) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write` wrote."""
        ids = Ids.read(folder)
        table = parquet.read_table(folder / EVENTS)
        columns = {
            name: table[name].to_numpy().copy() for name in table.column_names
        }  # torch shares no read-only arrays
        interactions = Interactions(
            columns["user"], columns["item"], columns["time"], columns.get("rating"), ids.n_users, ids.n_items
        )
        return cls(interactions, ids, json.loads((folder / COUNTS).read_text(encoding="utf-8")))


def prepare(ratings: pa.Table, settings: Preparation) -> Prepared:
    """Filter, number and sort.

    ratings: user, item, rating, time as in `RawTables`, without nulls but for a rating column that is null throughout.
    Of repeated events at one time the first in the file is `first`, the last is `latest`. Raises ValueError for nulls,
    for `min_rating` without ratings, and where nothing is left.
    """
    rated = _check(ratings, settings)
    everyone = Ids.of(ratings["user"], ratings["item"])
    users, items = everyone.user_rows(ratings["user"]), everyone.item_rows(ratings["item"])
    times = ratings["time"].to_numpy()
    stars = ratings["rating"].to_numpy() if rated else None

    kept = np.arange(len(users))
    counts = {"delivered": len(kept)}
    if stars is not None and settings.min_rating is not None:
        kept = kept[stars >= settings.min_rating]
    counts["below_min_rating"] = len(users) - len(kept)
    if settings.repeats != "keep":
        before = len(kept)
        kept = kept[_one_of_each(users[kept], items[kept], times[kept], settings.repeats)]
        counts["repeats"] = before - len(kept)
    else:
        counts["repeats"] = 0
    kept, counts["too_few_of_user"], counts["too_few_of_item"] = _core(users, items, kept, settings)
    counts["kept"] = len(kept)
    if not len(kept):
        raise ValueError(f"preparation: no event is left ({counts}); lower the thresholds in conf/dataset.yaml")

    left = slice(None) if len(kept) == len(users) else kept  # what is all there is not copied
    left_users, users_now = _renumbered(users[left])
    left_items, items_now = _renumbered(items[left])
    ids = Ids(everyone.raw_users(left_users), everyone.raw_items(left_items))
    interactions = Interactions.sorted_from(
        users_now, items_now, times[left], None if stars is None else stars[left], ids.n_users, ids.n_items
    )
    return Prepared(interactions, ids, counts)


def _check(ratings: pa.Table, settings: Preparation) -> bool:
    """Whether there are ratings."""
    nulls = {name: ratings[name].null_count for name in ("user", "item", "time") if ratings[name].null_count}
    rated = ratings["rating"].null_count < len(ratings)
    if rated and ratings["rating"].null_count:
        nulls["rating"] = ratings["rating"].null_count
    if nulls:
        raise ValueError(f"preparation: rows without nulls are wanted, {nulls} came; validation takes such rows out")
    if not rated and settings.min_rating is not None:
        raise ValueError(
            "preparation: min_rating needs ratings and this data has none: take it out of conf/dataset.yaml"
        )
    return rated


def _one_of_each(
    users: NDArray[np.int32], items: NDArray[np.int32], times: LongArray, which: Literal["latest", "first"]
) -> LongArray:
    """Positions, ascending, of one event of each user and film."""
    order = order_by(users, items, times)
    new = (np.diff(users[order]) != 0) | (np.diff(items[order]) != 0)
    edge = np.concatenate(([True], new)) if which == "first" else np.concatenate((new, [True]))
    return np.sort(order[edge[: len(order)]])


def _core(
    users: NDArray[np.int32], items: NDArray[np.int32], kept: LongArray, settings: Preparation
) -> tuple[LongArray, int, int]:
    """The largest set of events in which every user and every film has enough; and how many events each rule took."""
    of_user = of_item = 0
    if settings.min_user_events == settings.min_item_events == 1:
        return kept, of_user, of_item
    while True:
        enough = np.bincount(users[kept])[users[kept]] >= settings.min_user_events
        of_user += len(kept) - int(enough.sum())
        kept = kept[enough]
        enough = np.bincount(items[kept])[items[kept]] >= settings.min_item_events
        if enough.all():
            return kept, of_user, of_item
        of_item += len(kept) - int(enough.sum())
        kept = kept[enough]


def _renumbered(rows: NDArray[np.int32]) -> tuple[LongArray, NDArray[np.int32]]:
    """The row numbers that occur, ascending, and every row's position among them: np.unique, without its sort."""
    occurs = np.bincount(rows) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1).astype(np.int32)[rows]
