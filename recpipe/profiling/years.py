"""When films were released and when they were watched: what cannot have been, and each user's taste in years (B-20)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import UNKNOWN_YEAR
from recpipe.data.interactions import IntArray, Interactions, LongArray
from recpipe.profiling.long_tail import Quantiles, quantiles, shares_of_kinds

TOLERANCES = (0, 1, 2)
RECENT, CLASSIC = 2, 20
"""Years: a film of at most so many is recent when it is watched, one of more than so many a classic."""
AGES = {"before release": -1, "0 to 2": RECENT, "3 to 5": 5, "6 to 10": 10, "11 to 20": CLASSIC, "21 to 40": 40}
ENOUGH = 5
"""Interactions with a known year from which on a user's taste is told."""


@dataclass(frozen=True)
class Years:
    """Of the interactions whose film's year is known; `known` is their share of all.

    before_release: the share whose film was released after the year of the watch by more than 0, 1, 2 years.
    forbidden: the share of interactions that a filter on the release year would have taken away, which leaves out films
    released more than 0, 1, 2 years after the year of the user's watch before; first watches apart.
    age: years from release to watch. ages: the share of each kind of `AGES`, and of what is older. recent, classic: the
    share of at most 2 years, those before release among them, and of more than 20. by_watch_year: the release years of
    what was watched in a year.
    users: those with at least 5 such interactions, of whom the rest tells. middle: the median release year of a user's
    films. width: the distance of its quartiles. recent_users, classic_users: the share with more than half of their
    films recent, or classic, when watched.
    between: the share of the variance of release years that lies between users. between_by_chance: what users without
    any taste would give.
    """

    known: float
    before_release: dict[str, float]
    forbidden: dict[str, float]
    age: Quantiles
    ages: dict[str, float]
    by_watch_year: dict[str, Quantiles]
    recent: float
    classic: float
    users: int
    middle: Quantiles
    width: Quantiles
    recent_users: float
    classic_users: float
    between: float
    between_by_chance: float

    @classmethod
    def of(cls, interactions: Interactions, years: IntArray) -> Years | None:
        """years: int32 [n_items], `UNKNOWN_YEAR` where unknown. None where no interaction's film has a year."""
        released = years[interactions.items].astype(np.int64)
        known = released != UNKNOWN_YEAR
        if not known.any():
            return None
        watched = calendar_years(interactions.times)
        forbidden = _after_the_watch_before(interactions, released, watched)[known]
        users, released, watched = interactions.users[known], released[known], watched[known]
        age = watched - released
        of_users = np.bincount(users, minlength=interactions.n_users)
        enough = of_users >= ENOUGH
        quartiles = _of_each_user(users, released, of_users, (0.25, 0.5, 0.75))[:, enough[of_users > 0]]
        shares = [np.bincount(users, weights=kind, minlength=interactions.n_users)[enough] / of_users[enough]
                  for kind in (age <= RECENT, age > CLASSIC)]  # fmt: skip
        between, by_chance = _between_users(users, released, of_users)
        return cls(
            known=float(known.mean()),
            before_release={str(more): float((-age > more).mean()) for more in TOLERANCES},
            forbidden={str(more): float((forbidden > more).mean()) for more in TOLERANCES},
            age=quantiles(age),
            ages=shares_of_kinds(age, AGES, "more than 40"),
            by_watch_year={str(year): quantiles(released[watched == year]) for year in np.unique(watched).tolist()},
            recent=float((age <= RECENT).mean()),
            classic=float((age > CLASSIC).mean()),
            users=int(enough.sum()),
            middle=quantiles(quartiles[1]),
            width=quantiles(quartiles[2] - quartiles[0]),
            recent_users=_mean(shares[0] > 0.5),
            classic_users=_mean(shares[1] > 0.5),
            between=between,
            between_by_chance=by_chance,
        )


def calendar_years(times: LongArray) -> LongArray:
    """int64: the year, UTC, of unix seconds."""
    found: LongArray = times.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    return found


def _after_the_watch_before(interactions: Interactions, released: LongArray, watched: LongArray) -> LongArray:
    """int64 [events]: years from the year of the user's watch before to the release; -1 for a user's first watch."""
    years = np.full(len(released), -1, dtype=np.int64)
    follows = np.flatnonzero(np.diff(interactions.users) == 0) + 1
    years[follows] = released[follows] - watched[follows - 1]
    return years


def _of_each_user(
    users: IntArray, values: LongArray, of_users: LongArray, shares: tuple[float, ...]
) -> NDArray[np.float64]:
    """[shares × users that have any]: quantiles of each user's values, between neighbours in a straight line."""
    ordered = values[np.lexsort((values, users))].astype(np.float64)
    lengths = of_users[of_users > 0]
    starts = np.cumsum(lengths) - lengths
    places = np.array(shares)[:, None] * (lengths - 1)
    low = np.floor(places).astype(np.int64)
    below, above = ordered[starts + low], ordered[starts + np.minimum(low + 1, lengths - 1)]
    found: NDArray[np.float64] = below + (places - low) * (above - below)
    return found


def _between_users(users: IntArray, values: LongArray, of_users: LongArray) -> tuple[float, float]:
    """The correlation ratio (eta squared) of the values by user, and its expectation for users who do not differ."""
    spread = values - values.mean()
    total = float(spread @ spread)
    if total == 0:
        return 0.0, 0.0
    sums = np.bincount(users, weights=spread, minlength=len(of_users))
    between = float((sums**2 / np.maximum(of_users, 1)).sum() / total)
    return between, float(((of_users > 0).sum() - 1) / max(1, len(values) - 1))


def _mean(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if len(chosen) else 0.0
