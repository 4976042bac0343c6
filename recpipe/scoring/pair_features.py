"""What a ranker is told of a user and a film: what other scorers say, and what is known of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.features import BAGS, UNKNOWN_YEAR
from recpipe.data.interactions import FloatArray, Histories
from recpipe.data.training_set import TrainingSet
from recpipe.scoring.top import NO_FILM, top

LATELY = 5.0
"""Films after which a film of a history weighs half in what its user likes of late."""
KNOWN = ("watchers", "year", "films", "usual watchers", "usual year", "years from usual", "years before last watch")
LIKED = tuple(f"{bag} {when}" for bag in BAGS for when in ("ever", "lately"))


@dataclass(frozen=True, eq=False)
class Films:
    """What is known of the films. watchers: float32 [n_items], ln(1 + how many users watched it); years: float32
    [n_items], NaN where unknown; bags: by field, CSR float32 [n_items × values], each film's values adding up to 1.
    """

    watchers: FloatArray
    years: FloatArray
    bags: Mapping[str, sparse.csr_matrix]

    @classmethod
    def of(cls, train: TrainingSet) -> Self:
        """Counts are those of `train` alone; without side data years are unknown and bags empty."""
        watchers = np.log1p(train.interactions.item_counts()).astype(np.float32)
        if train.features is None:
            nothing = {name: sparse.csr_matrix((train.n_items, 0), dtype=np.float32) for name in BAGS}
            return cls(watchers, np.full(train.n_items, np.nan, dtype=np.float32), nothing)
        years = np.where(train.features.years == UNKNOWN_YEAR, np.nan, train.features.years).astype(np.float32)
        return cls(watchers, years, {name: train.features.bags[name].shares() for name in BAGS})

    def arrays(self) -> dict[str, Any]:
        """By name."""
        return {"watchers": self.watchers, "years": self.years, **self.bags}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """What `arrays` gave."""
        return cls(arrays["watchers"], arrays["years"], {name: arrays[name] for name in BAGS})


def names(members: tuple[str, ...]) -> list[str]:
    """Of the columns of `features`."""
    return [*(f"{member} {what}" for member in members for what in ("score", "place")), *KNOWN, *LIKED]


def candidates(scores: Mapping[str, FloatArray], histories: Histories, each: int) -> NDArray[np.bool_]:
    """bool [rows × n_items]: films that any member has among its `each` best that the user has not seen; of equal
    scores the lower film comes first.

    scores: by member, float32 [rows × n_items].
    """
    seen = histories.matrix()
    found = np.zeros(seen.shape, dtype=np.bool_)
    for said in scores.values():
        best, _ = top(_without(said, seen), each)
        rows, at = np.nonzero(best != NO_FILM)
        found[rows, best[rows, at]] = True
    return found


def features(
    films: Films, scores: Mapping[str, FloatArray], histories: Histories, chosen: NDArray[np.bool_]
) -> FloatArray:
    """float32 [chosen pairs × len(names)], row by row of `chosen`, bool [rows × n_items]; NaN where nothing is known.

    A member's score is told in standard deviations from its mean over the films that the user has not seen, and as
    log2 of its place among them.
    """
    rows, items = np.nonzero(chosen)
    seen = histories.matrix()
    columns = []
    for said in scores.values():
        unseen = np.ma.masked_invalid(_without(said, seen))
        centred = said - unseen.mean(axis=1).filled(0.0)[:, None]
        spread = unseen.std(axis=1).filled(0.0)[:, None]
        columns.append(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)[rows, items])
        columns.append(np.log2(1.0 + places(unseen.filled(-np.inf)))[rows, items])
    columns += [column[items] for column in (films.watchers, films.years)]
    usual = {"watchers": _usual(films.watchers, seen), "years": _usual(films.years, seen)}
    columns += [np.log1p(histories.lengths)[rows], usual["watchers"][rows], usual["years"][rows]]
    columns += [films.years[items] - usual["years"][rows], _last_year(histories)[rows] - films.years[items]]
    for bag in films.bags.values():
        for liked in (seen, histories.recency_matrix(LATELY)):
            columns.append(np.asarray((_shares(liked) @ bag @ bag.T).todense())[rows, items])
    return np.stack(columns, axis=1).astype(np.float32)


def _without(scores: FloatArray, seen: sparse.csr_matrix) -> FloatArray:
    """A copy with -inf at what was seen."""
    left = scores.copy()
    left[seen.nonzero()] = -np.inf
    return left


def places(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """int64 [rows × n_items], 0 for the highest score of a row; of equals the lower film comes first."""
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(scores.shape[1])[None, :], axis=1)
    return found


def _usual(values: FloatArray, seen: sparse.csr_matrix) -> FloatArray:
    """float [rows]: the mean over a history of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    counts = seen @ known.astype(np.float32)
    sums = seen @ np.where(known, values, 0.0).astype(np.float32)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan, dtype=np.float32), where=counts > 0)


def _last_year(histories: Histories) -> FloatArray:
    """float [rows]: the year in which a user watched the latest film, NaN without a history."""
    years = np.full(len(histories), np.nan, dtype=np.float32)
    watched = histories.lengths > 0
    last = histories.times[histories.offsets[1:][watched] - 1]
    years[watched] = last.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    return years


def _shares(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Each row adds up to 1, or is empty."""
    sums = np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    return sparse.csr_matrix(matrix.multiply(scale[:, None]), dtype=np.float32)
