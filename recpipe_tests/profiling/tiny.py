"""Seven interactions of which every figure of a data report can be told by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recpipe.data.ids import Ids
from recpipe.data.interactions import Interactions
from recpipe.data.preparing import Prepared

START, MINUTE, DAY = 978_307_200, 60, 86_400  # 2001-01-01 00:00 UTC

EVENTS = [  # user, film, seconds from the start
    (0, 0, 0),
    (0, 1, 0),
    (0, 2, MINUTE),
    (0, 3, 10 * DAY),
    (1, 0, DAY),
    (1, 1, DAY + 20 * MINUTE),
    (2, 0, 20 * DAY),
]


def interactions(events: list[tuple[int, int, int]]) -> Interactions:
    """Users and films are numbered from 0; times in seconds from the start of 2001."""
    users, items, times = (np.array(column) for column in zip(*events, strict=True))
    return Interactions.sorted_from(users, items, START + times, None, int(users.max()) + 1, int(items.max()) + 1)


def prepared(events: list[tuple[int, int, int]]) -> Prepared:
    """The same with raw ids: users from 1, films from 10."""
    known = interactions(events)
    ids = Ids.of(np.arange(known.n_users) + 1, np.arange(known.n_items) + 10)
    return Prepared(known, ids, {"kept": len(known)})


def features(*films: tuple[int, str | None, int | None, list[str]]) -> pa.Table:
    """dbt_like_sql's item_features: raw id, title, year and genres of each film; nobody directs or writes."""
    columns = list(zip(*films, strict=True)) or [[], [], [], []]
    texts, nobody = pa.list_(pa.string()), [[] for _ in films]
    return pa.table(
        {
            "item": pa.array(columns[0], pa.int64()),
            "title": pa.array(columns[1], pa.string()),
            "year": pa.array(columns[2], pa.int32()),
            "genres": pa.array(columns[3], texts),
            "directors": pa.array(nobody, texts),
            "writers": pa.array(nobody, texts),
        }
    )


FILMS = features(
    (10, "Old", 1975, ["crime", "drama"]),
    (11, "New", 2001, ["drama"]),
    (12, None, None, []),
    (13, "<b>To come</b>", 2003, []),
    (14, "Never watched", 1999, ["war"]),
)
