"""How much of the films, and of what is watched, the side tables know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.data.features import BAGS
from recpipe.data.ids import Ids, RawIds
from recpipe.data.interactions import LongArray


@dataclass(frozen=True)
class Coverage:
    """One field of the side data. films, interactions: the share that it is known of, of the films that were watched
    and of all interactions. values: how many different ones there are among these films. a_film: values of a film that
    has any, in the mean.
    """

    films: float
    interactions: float
    values: int
    a_film: float


@dataclass(frozen=True)
class SideData:
    """fields: titles, years, genres, directors and writers. nothing: the share of the watched films of which no field
    but the title is known. unwatched: films of the side tables that nobody watched.
    """

    fields: dict[str, Coverage]
    nothing: float
    unwatched: int

    @classmethod
    def of(cls, table: pa.Table, items: RawIds, counts: LongArray) -> SideData:
        """table: dbt_like_sql's item_features. items: the raw ids of the watched films, in the order of their rows;
        counts: int64 [n_items], the interactions of each.
        """
        watched = _of_films(table, items)
        lists = {name: _lengths(watched[name]) for name in BAGS}
        single = {"titles": watched["title"], "years": watched["year"]}
        known: dict[str, NDArray[np.bool_]] = {
            **{name: column.is_valid().to_numpy() for name, column in single.items()},
            **{name: lengths > 0 for name, lengths in lists.items()},
        }
        distinct = {**single, **{name: pc.list_flatten(watched[name]) for name in BAGS}}
        fields = {
            name: Coverage(
                films=float(has.mean()),
                interactions=float(counts[has].sum() / counts.sum()),
                values=pc.count_distinct(distinct[name]).as_py(),
                a_film=float(lists[name][has].mean()) if name in lists and has.any() else float(has.any()),
            )
            for name, has in known.items()
        }
        anything = np.any([has for name, has in known.items() if name != "titles"], axis=0)
        return cls(fields, float((~anything).mean()), len(table) - int(_places(table, items).is_valid().sum().as_py()))


def _of_films(table: pa.Table, items: RawIds) -> pa.Table:
    """The rows of these films in their order; nulls for one that the table lacks."""
    return table.take(_places(table, items))


def _places(table: pa.Table, items: RawIds) -> pa.Array:
    known = Ids.of(table["item"], table["item"]).items  # text or whole numbers, as the interactions' ids
    wanted = Ids.of(items, items).items
    if known.type != wanted.type and len(known):
        raise ValueError(
            f"data report: films are {wanted.type} in the interactions and {known.type} in the side tables; deliver "
            "both in one type"
        )
    return pc.index_in(pa.array(items).cast(wanted.type), value_set=table["item"].cast(wanted.type))


def _lengths(lists: pa.ChunkedArray) -> LongArray:
    """int64 [films]; 0 where there is no list."""
    found: LongArray = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    return found
