"""The films that any member lists for a user, side by side, with what each member says of them.

Reciprocal-rank fusion (Cormack, Clarke and Büttcher, 2009), Borda counts, and scores scaled per user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, IntArray
from recpipe.evaluation.ranking import Ranking
from recpipe.scoring.top import NO_FILM, top

RRF_CONSTANT = 60
"""How much the first places count above later ones; the paper's value."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """items: int32 [users × width], the union of the members' lists, ascending, `NO_FILM` behind the last.
    contributions: float32 [members × users × width], in the order of `members`; see `contribution`.
    """

    members: tuple[str, ...]
    items: IntArray
    contributions: FloatArray

    @classmethod
    def of(cls, lists: Mapping[str, Ranking], method: str) -> Candidates:
        """From the members' lists over the same users. Raises ValueError where users or method are not right."""
        if len({len(ranking) for ranking in lists.values()}) != 1:
            told = ", ".join(f"{name}: {len(ranking)}" for name, ranking in lists.items())
            raise ValueError(f"blending wants every member's lists for the same users; it got {told or 'no member'}")
        items, places = _union([ranking.items for ranking in lists.values()])
        contributions = np.empty((len(lists), *items.shape), dtype=np.float32)
        for number, (ranking, slots) in enumerate(zip(lists.values(), places, strict=True)):
            said, unlisted = contribution(ranking, method)
            contributions[number] = unlisted[:, None]
            rows, columns = np.nonzero(ranking.items != NO_FILM)
            contributions[number, rows, slots[rows, columns]] = said[rows, columns]
        return cls(tuple(lists), items, contributions)

    def blended(self, weights: Mapping[str, float], k: int) -> Ranking:
        """The k films with the highest weighted sum, ties to the lower film number."""
        columns, highest = self.top(self.scores(weights), k)
        chosen = np.take_along_axis(self.items, columns, axis=1)
        return Ranking(np.where(columns == NO_FILM, NO_FILM, chosen).astype(np.int32), highest)

    def scores(self, weights: Mapping[str, float]) -> FloatArray:
        """float32 [users × width]: the weighted sum of what these members say."""
        total = np.zeros(self.items.shape, dtype=np.float32)
        for member, weight in weights.items():
            total += np.float32(weight) * self.contributions[self.members.index(member)]
        return total

    def top(self, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """The k best columns of the candidates for scores [users × width], and their scores; padded as `top` pads."""
        return top(np.where(self.items == NO_FILM, -np.inf, scores), k)

    def rows(self, which: NDArray[np.integer]) -> Candidates:
        """The same for some of the users."""
        return Candidates(self.members, self.items[which], self.contributions[:, which])


def contribution(ranking: Ranking, method: str) -> tuple[FloatArray, FloatArray]:
    """What a member says of its films: float32 [users × n], and of those not in its list: float32 [users].

    rrf: 1 / (60 + place). borda: (n + 1 - place) / n. minmax: score from 0 (last) to 1 (first); 1 where all are equal.
    zscore: score less the list's mean, over its standard deviation; 0 where all are equal; not listed: the last film's.
    """
    n_users, n = ranking.items.shape
    listed = ranking.items != NO_FILM
    nothing = np.zeros(n_users, dtype=np.float32)
    place = np.arange(1, n + 1, dtype=np.float32)
    if method == "rrf":
        return np.broadcast_to(1 / (RRF_CONSTANT + place), listed.shape), nothing
    if method == "borda":
        return np.broadcast_to((n + 1 - place) / n, listed.shape), nothing
    scores = np.where(listed, ranking.scores, 0.0).astype(np.float64)
    lowest = np.where(listed, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    if method == "minmax":
        spread = scores[:, :1] - lowest
        said = np.divide(scores - lowest, spread, out=np.ones_like(scores), where=spread > 0)
        return said.astype(np.float32), nothing
    if method == "zscore":
        count = np.maximum(listed.sum(axis=1, keepdims=True), 1)
        mean = scores.sum(axis=1, keepdims=True) / count
        deviation = np.sqrt((np.square(scores - mean) * listed).sum(axis=1, keepdims=True) / count)
        said = np.divide(scores - mean, deviation, out=np.zeros_like(scores), where=deviation > 0)
        return said.astype(np.float32), np.where(listed, said, 0.0).min(axis=1).astype(np.float32)
    raise ValueError(f"blending method {method!r} is not known; known are rrf, borda, minmax, zscore")


def _union(lists: list[IntArray]) -> tuple[IntArray, list[NDArray[np.int64]]]:
    """The distinct films of each row, ascending, padded; and for each list the column there of each of its films."""
    everything = np.concatenate(lists, axis=1)
    last = np.iinfo(np.int32).max
    everything = np.where(everything == NO_FILM, last, everything)
    order = np.argsort(everything, axis=1, kind="stable")
    ascending = np.take_along_axis(everything, order, axis=1)
    fresh = np.ones(ascending.shape, dtype=np.bool_)
    fresh[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    columns = np.cumsum(fresh, axis=1) - 1
    real = ascending != last
    width = max(1, int(columns[real].max(initial=-1)) + 1)
    union = np.full((len(everything), width), NO_FILM, dtype=np.int32)
    rows, at = np.nonzero(fresh & real)
    union[rows, columns[rows, at]] = ascending[rows, at]
    places = np.empty_like(columns)
    np.put_along_axis(places, order, columns, axis=1)
    edges = np.cumsum([each.shape[1] for each in lists])[:-1]
    return union, np.split(places, edges, axis=1)
