"""Kinds of users and of films: quarters of what is known of them before any hidden film is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import UNKNOWN_YEAR, ItemFeatures
from recpipe.data.interactions import Histories, Interactions
from recpipe.evaluation.metrics import Values, popularity_percentiles

DAY, YEAR = 86_400, 365.2425 * 86_400
RECENT_YEARS = 3
"""A film counts as new when it is watched at most so many years after its release year has begun."""
GENRES = 12
ALL = "all"
"""Which users or films are in the only group of a kind: nothing sets them apart."""


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the users, or some of the films. by: what they are grouped by. who: which of them. inside: a mask."""

    by: str
    who: str
    inside: NDArray[np.bool_]


def user_groups(known: Histories, train: Interactions, features: ItemFeatures | None) -> list[Group]:
    """Quarters of the users by their known films alone: how many, how lately, over how long, how popular, how new.

    known: one row a user. Popularity is counted in `train`. Without release years there is nothing on new films.
    """
    times = np.append(known.times, 0)  # a row without films at the end begins behind the last
    begin, end = times[known.offsets[:-1]], times[known.offsets[1:] - 1]
    lately = np.where(known.lengths > 0, (train.times.max(initial=0) - end) / DAY, np.nan)
    span = np.where(known.lengths > 0, (end - begin) / DAY, np.nan)
    taste = _mean_a_user(known, 100 * popularity_percentiles(train.item_counts())[known.items])
    groups = [
        *quarters("films known", known.lengths.astype(float)),
        *quarters("days since the last known watch", lately),
        *quarters("days from first to last known watch", span, decimals=1),
        *quarters("popularity of known films (percentile)", taste),
    ]
    if features is not None and (features.years != UNKNOWN_YEAR).any():
        released = np.where(features.years == UNKNOWN_YEAR, np.nan, features.years)[known.items]
        new = np.where(np.isnan(released), np.nan, 1970 + known.times / YEAR - released <= RECENT_YEARS)
        groups += quarters("new films among the known (%)", _mean_a_user(known, 100 * new))
    return groups


def film_groups(train: Interactions, features: ItemFeatures | None) -> list[Group]:
    """Films in quarters of all watches by popularity; of release years likewise; and the most watched genres."""
    counts = train.item_counts()
    groups = list(quarters("users who watched the film", counts.astype(float), weighted=train.items))
    if features is None:
        return groups
    years = np.where(features.years == UNKNOWN_YEAR, np.nan, features.years)
    groups += quarters("release year", years, weighted=train.items)
    genres = features.bags.get("genres")
    if genres is not None and genres.vocabulary:
        has = genres.matrix().toarray() > 0
        watches = counts @ has
        order = np.argsort(-watches, kind="stable")[:GENRES]
        groups += [Group("genre", genres.vocabulary[place], has[:, place]) for place in order if watches[place]]
    return groups


def quarters(
    by: str, values: Values, decimals: int = 0, weighted: NDArray[np.integer] | None = None
) -> Iterator[Group]:
    """Up to four groups of about equal size; values that are equal as they are told stay together, NaN is in none.

    decimals: of the values as they are told. weighted: positions in `values`, as often as each counts; each once where
    None.
    """
    values = np.round(values, decimals)
    counted = values if weighted is None else values[weighted]
    counted = counted[np.isfinite(counted)]
    if not len(counted):
        return
    edges = np.unique(np.quantile(counted, [0.25, 0.5, 0.75], method="inverted_cdf"))
    with np.errstate(invalid="ignore"):
        places = np.where(np.isfinite(values), np.searchsorted(edges, values), -1)
    used = np.unique(places[places >= 0])
    for place in used:
        over = f"over {edges[place - 1]:.{decimals}f}" if place > used[0] else ""
        up_to = f"up to {edges[place]:.{decimals}f}" if place < used[-1] else ""
        yield Group(by, ", ".join(filter(None, (over, up_to))) or ALL, places == place)


def _mean_a_user(known: Histories, values: Values) -> Values:
    """float64 [rows]: the mean over a row's events, NaN left out; NaN where nothing is left."""
    rows = np.repeat(np.arange(len(known)), known.lengths)
    finite = np.isfinite(values)
    sums = np.bincount(rows[finite], weights=values[finite], minlength=len(known))
    counts = np.bincount(rows[finite], minlength=len(known))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
