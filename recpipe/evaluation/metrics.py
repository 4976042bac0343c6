"""Metrics of ranked lists, each a pure function over a matrix of hits; nothing is done user by user.

hits: bool [users × k], whether the film at each place is one of the user's targets. n_targets: int64 [users], distinct
targets, at least one. All return float64 [users]. k is the cut-off: the number of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Histories, IntArray, LongArray

Values: TypeAlias = NDArray[np.float64]
Hits: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Targets:
    """The films to be found, as sorted distinct keys `row × n_items + film`; one lookup serves every list."""

    keys: LongArray
    counts: LongArray
    n_items: int

    @classmethod
    def of(cls, targets: Histories) -> Targets:
        """Row r of the lists is row r of `targets`; a film hidden twice is one target."""
        rows = np.repeat(np.arange(len(targets), dtype=np.int64), targets.lengths)
        keys = np.unique(rows * targets.n_items + targets.items)
        counts = np.bincount(keys // max(targets.n_items, 1), minlength=len(targets)).astype(np.int64)
        return cls(keys, counts, targets.n_items)

    def hits(self, items: IntArray) -> Hits:
        """bool [users × k] for lists int32 [users × k]; negative film numbers are padding and never hit."""
        if len(items) != len(self.counts):
            raise ValueError(f"hits: {len(items)} lists for {len(self.counts)} users with targets")
        wanted = np.arange(len(items), dtype=np.int64)[:, None] * self.n_items + items
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: Hits = (self.keys[places] == wanted) & (items >= 0)
        return found


def recall(hits: Hits, n_targets: LongArray) -> Values:
    """Share of the user's targets that are in the list: cannot reach 1 where there are more targets than places."""
    return hits.sum(axis=1) / n_targets


def capped_recall(hits: Hits, n_targets: LongArray) -> Values:
    """Recall with the denominator min(k, targets) (Liang et al., 2018; B-2): 1 for a list of nothing but targets."""
    return hits.sum(axis=1) / np.minimum(n_targets, hits.shape[1])


def ndcg(hits: Hits, n_targets: LongArray) -> Values:
    """Discounted gain Σ 1 / log2(place + 1) over the hits, divided by the best that min(k, targets) hits can give.

    Järvelin and Kekäläinen, 2002, with binary gains.
    """
    gains = _discounts(hits.shape[1])
    ideal: Values = np.cumsum(gains)[np.minimum(n_targets, hits.shape[1]) - 1]
    reached: Values = (hits * gains).sum(axis=1) / ideal
    return reached


def mrr(hits: Hits, n_targets: LongArray) -> Values:
    """1 / place of the first hit; 0 where the list has none."""
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def average_precision(hits: Hits, n_targets: LongArray) -> Values:
    """Σ precision at the place of each hit, divided by min(k, targets); its mean over users is MAP@k."""
    k = hits.shape[1]
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    values: Values = (precision * hits).sum(axis=1) / np.minimum(n_targets, k)
    return values


def hit_rate(hits: Hits, n_targets: LongArray) -> Values:
    """1 where the list holds a target, 0 elsewhere."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


METRICS: Mapping[str, Callable[[Hits, LongArray], Values]] = {
    "recall": recall,
    "capped_recall": capped_recall,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
    "hit_rate": hit_rate,
}
"""The per-user metrics by name; `name@k` names one at a cut-off."""


def per_user(hits: Hits, n_targets: LongArray, cut_offs: Iterable[int]) -> dict[str, Values]:
    """Every metric at every cut-off, by `name@k`. The lists must be as long as the largest cut-off."""
    values: dict[str, Values] = {}
    for k in cut_offs:
        if not 1 <= k <= hits.shape[1]:
            raise ValueError(f"cut-off {k}: the lists are {hits.shape[1]} films long")
        values |= {f"{name}@{k}": metric(hits[:, :k], n_targets) for name, metric in METRICS.items()}
    return values


def times_listed(items: IntArray, n_items: int) -> LongArray:
    """int64 [n_items]: in how many lists each film stands. items: int32 [users × k], negative for padding."""
    return np.bincount(items.reshape(-1) + 1, minlength=n_items + 1)[1:].astype(np.int64)


def over_lists(listed: LongArray, counts: LongArray, n_users: int) -> dict[str, float]:
    """What the lists are like as a whole.

    listed: int64 [n_items], see `times_listed`. counts: int64 [n_items], users that watched each film in training, of
    `n_users`. Returned are
    coverage: share of all films that are recommended to somebody;
    novelty: mean self-information log2(n_users / count) of a recommended film, in bits (Zhou et al., 2010); a film that
    nobody watched counts as watched once;
    popularity: mean count of a recommended film;
    popularity_percentile: mean share of the films that are less popular, ties by half, 0 to 1;
    gini: inequality of how often each film is recommended, 0 (all alike) to nearly 1 (one film only).
    """
    if not listed.any():
        raise ValueError("the lists are empty: no film is recommended to anybody")
    times = listed.astype(np.float64)
    share = times / times.sum()
    return {
        "coverage": float((times > 0).mean()),
        "novelty": float(share @ np.log2(n_users / np.maximum(counts, 1))),
        "popularity": float(share @ counts),
        "popularity_percentile": float(share @ popularity_percentiles(counts)),
        "gini": gini(times),
    }


def popularity_percentiles(counts: LongArray) -> Values:
    """float64 [n_items], 0 to 1: the share of the films that fewer users watched, ties by half."""
    ascending = np.sort(counts)
    below, up_to = np.searchsorted(ascending, counts), np.searchsorted(ascending, counts, side="right")
    percentiles: Values = (below + up_to) / (2 * len(counts))
    return percentiles


def gini(amounts: NDArray[np.floating]) -> float:
    """Gini coefficient of non-negative amounts: 0 where all are equal, (n - 1) / n where one has everything."""
    ascending = np.sort(amounts)
    n = len(ascending)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * ascending.sum()))


def _discounts(k: int) -> Values:
    return 1.0 / np.log2(np.arange(2, k + 2))
