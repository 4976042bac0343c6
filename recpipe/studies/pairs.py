"""Every pair of models on the same users: difference, interval and corrected p from one resampling for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import LongArray
from recpipe.evaluation.comparison import FROM_ROUNDING, flipped_sums, holm, resampled_sums
from recpipe.evaluation.metrics import Values

ALPHA = 0.05
"""Below this a corrected p tells two models apart."""
FLIPS_A_PAIR = 80
"""Holm multiplies the least p by the number of pairs: 80 resamples a pair bring it down to 1/80 where it is due."""
LEAST_FLIPS = 10_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of columns, each once. first, second: int64 [pairs], the columns, first < second.

    mean, low, high: float64 [pairs], first less second with the 95 % bootstrap interval of this pair alone.
    p: two-sided sign-flip p of no difference, corrected for the number of pairs (Holm, 1979).
    """

    first: LongArray
    second: LongArray
    mean: Values
    low: Values
    high: Values
    p: Values

    def told_apart(self) -> NDArray[np.bool_]:
        """bool [columns × columns]: whether the corrected p is below `ALPHA`."""
        return told_apart(self.p, int(self.second.max(initial=0)) + 1)


def every_pair(values: Values, resamples: int = 1000, flips: int | None = None, seed: int = 0) -> Pairs:
    """Paired bootstrap and sign-flip test of all pairs. values: float64 [users × models], at least two models.

    All pairs see the same resamples, so that two matrix products serve them all: a resampled difference is the
    difference of resampled means. flips: resamples of the test; enough for Holm's rule where None.
    """
    n_models = values.shape[1]
    if n_models < 2:
        raise ValueError(f"a comparison wants at least two models; {n_models} came")
    first, second = np.triu_indices(n_models, 1)
    low, high = _intervals(resampled_sums(values, resamples, seed) / len(values))
    p = sign_flip_p_of_pairs(values, flips or max(LEAST_FLIPS, FLIPS_A_PAIR * len(first)), seed)
    means = values.mean(axis=0)
    mean, low, high = np.round([means[first] - means[second], low, high], 12)  # as in `comparison.intervals`
    return Pairs(first, second, mean, low, high, holm(p))


def told_apart(p: Values, n_models: int) -> NDArray[np.bool_]:
    """bool [models × models]: whether p, float64 [pairs] in the order of `Pairs`, is below `ALPHA`."""
    apart = np.zeros((n_models, n_models), dtype=np.bool_)
    first, second = np.triu_indices(n_models, 1)
    apart[first, second] = apart[second, first] = p < ALPHA
    return apart


def sign_flip_p_of_pairs(values: Values, resamples: int, seed: int = 0) -> Values:
    """`comparison.sign_flip_p` of the difference of every pair of columns, not corrected; pairs as in `Pairs`."""
    totals, sizes = values.sum(axis=0), np.abs(values).sum(axis=0)
    reached = [np.abs(totals[one] - totals[others]) - FROM_ROUNDING * (sizes[one] + sizes[others])
               for one, others in _with_later(len(totals))]  # fmt: skip
    as_far = [np.zeros(len(each), dtype=np.int64) for each in reached]
    for flipped in flipped_sums(values, resamples, seed):
        for one, others in _with_later(len(totals)):
            apart = np.abs(flipped[:, one, None] - flipped[:, others])
            as_far[one] += (apart >= reached[one]).sum(axis=0)
    p: Values = (np.concatenate(as_far) + 1) / (resamples + 1)
    return p


def not_told_apart(apart: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The longest runs of neighbours, at least two, of which no two are told apart: first and last position each.

    apart: bool [models × models], in the order of the picture (Demšar, 2006, joins such runs by a bar).
    """
    runs: list[tuple[int, int]] = []
    for start in range(len(apart)):
        end = start
        while end + 1 < len(apart) and not apart[start : end + 1, end + 1].any():
            end += 1
        if end > start and not any(before <= start and end <= after for before, after in runs):
            runs.append((start, end))
    return runs


def _intervals(means: Values) -> tuple[Values, Values]:
    """The 95 % percentile intervals of all differences. means: float64 [resamples × models]."""
    ends = [np.quantile(means[:, one, None] - means[:, others], [0.025, 0.975], axis=0)
            for one, others in _with_later(means.shape[1])]  # fmt: skip
    low, high = np.concatenate(ends, axis=1)
    return low, high


def _with_later(n_models: int) -> Iterator[tuple[int, slice]]:
    """Each model but the last with all that come after it: the pairs of `np.triu_indices`, a row at a time."""
    for one in range(n_models - 1):
        yield one, slice(one + 1, n_models)
