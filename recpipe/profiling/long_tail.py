"""How interactions are spread over films, and over users: Lorenz curve, Gini coefficient, shares of the greatest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions, LongArray
from recpipe.evaluation.metrics import gini

TOP = (0.01, 0.05, 0.1, 0.2, 0.5)
FEW = (2, 5, 10, 20)
POINTS = 101
QUANTILES = {"least": 0.0, "p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "most": 1.0}

Quantiles = dict[str, float]
"""By the names of `QUANTILES`; empty where there was nothing to look at."""


@dataclass(frozen=True)
class Spread:
    """How unevenly interactions are spread over the films that were watched, or over the users.

    events: interactions of one, in quantiles. lorenz: the share of all interactions that the least busy 0, 1, ... 100 %
    have together. top: that of the most busy, by their share ("0.2": the busiest fifth; at least one). half: how many
    of the busiest have half of all. below: the share of them that has fewer than so many.
    """

    n: int
    events: Quantiles
    gini: float
    lorenz: list[float]
    top: dict[str, float]
    half: int
    below: dict[str, float]

    @classmethod
    def of(cls, counts: LongArray) -> Spread:
        """counts: int64 [n], interactions of each; who has none is left out."""
        ascending = np.sort(counts[counts > 0])
        running = np.concatenate(([0], np.cumsum(ascending))) / ascending.sum()
        greatest = np.cumsum(ascending[::-1]) / ascending.sum()
        n = len(ascending)
        return cls(
            n=n,
            events=quantiles(ascending),
            gini=gini(ascending.astype(np.float64)),
            lorenz=np.interp(np.linspace(0, n, POINTS), np.arange(n + 1), running).tolist(),
            top={f"{share:g}": float(greatest[max(1, round(share * n)) - 1]) for share in TOP},
            half=int(np.searchsorted(greatest, 0.5 - 1e-12)) + 1,
            below={str(least): float((ascending < least).mean()) for least in FEW},
        )


@dataclass(frozen=True)
class Extent:
    """How much there is. density: pairs of user and film that occur, as a share of all pairs. repeated: the share of
    interactions whose user had watched the film before. first, last: of all interactions, ISO 8601, UTC.
    """

    events: int
    users: int
    films: int
    density: float
    repeated: float
    first: str
    last: str

    @classmethod
    def of(cls, interactions: Interactions) -> Extent:
        """Raises ValueError where there are no interactions."""
        if not len(interactions):
            raise ValueError("data report: there are no interactions; see the rejects table")
        events, pairs = len(interactions), interactions.matrix().nnz
        ends = np.array([interactions.times.min(), interactions.times.max()]).astype("datetime64[s]")
        first, last = np.datetime_as_string(ends).tolist()
        users, films = (len(np.unique(each)) for each in (interactions.users, interactions.items))
        return cls(events, users, films, pairs / (users * films), 1 - pairs / events, first, last)


def quantiles(values: NDArray[np.generic]) -> Quantiles:
    """The quantiles of `QUANTILES` over all values."""
    if not len(values):
        return {}
    found = np.quantile(values.astype(np.float64), list(QUANTILES.values()))
    return dict(zip(QUANTILES, found.tolist(), strict=True))


def shares_of_kinds(values: NDArray[np.integer], kinds: Mapping[str, int], beyond: str) -> dict[str, float]:
    """The share of values of each kind; kinds: by name, ascending, the greatest value of each. beyond: what is greater
    than all of them.
    """
    kind = np.searchsorted(list(kinds.values()), values)
    counts = np.bincount(kind, minlength=len(kinds) + 1) / max(1, len(values))
    return dict(zip([*kinds, beyond], counts.tolist(), strict=True))
