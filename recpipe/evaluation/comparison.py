"""How sure a mean over users is, and whether two models differ: bootstrap intervals, sign-flip tests, Holm's rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.evaluation.metrics import Values

CELLS_A_CHUNK = 4_000_000
"""Random numbers drawn at once (32 MB as float64)."""
FROM_ROUNDING = 1e-9
"""Equal sums may differ in their last bits: by less than this share of what was added."""


@dataclass(frozen=True)
class Interval:
    """A mean over users and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Difference:
    """A model's mean less another's over the same users, its 95 % interval, and the two-sided p of no difference."""

    mean: float
    low: float
    high: float
    p: float


def intervals(values: Values, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> list[Interval]:
    """Percentile bootstrap over users (Efron, 1979). values: float64 [users × columns]; one interval a column.

    Every column sees the same resamples, so differences of columns keep their pairing.
    """
    means = resampled_sums(values, resamples, seed) / len(values)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    rounded = np.round([values.mean(axis=0), low, high], 12)  # products differ in their last bits between machines
    return [Interval(*map(float, column)) for column in rounded.T]


def paired_differences(values: Values, reference: Values, resamples: int = 1000, seed: int = 0) -> list[Difference]:
    """Each column of values [users × models] against reference [users]: bootstrap interval and sign-flip p."""
    differences = values - reference[:, None]
    p_values = sign_flip_p(differences, seed=seed)
    found = intervals(differences, resamples, seed)
    return [Difference(each.mean, each.low, each.high, float(p)) for each, p in zip(found, p_values, strict=True)]


def sign_flip_p(differences: Values, resamples: int = 10_000, seed: int = 0) -> Values:
    """Two-sided p of a mean difference of 0: how often random signs give a mean as far from it (Fisher, 1935).

    differences: float64 [users × columns]. The least p is 1 / (resamples + 1).
    """
    totals = differences.sum(axis=0)
    reached = np.abs(totals) - FROM_ROUNDING * np.abs(differences).sum(axis=0)
    as_far = np.zeros(differences.shape[1], dtype=np.int64)
    for flipped in flipped_sums(differences, resamples, seed):
        as_far += (np.abs(flipped) >= reached).sum(axis=0)
    p: Values = (as_far + 1) / (resamples + 1)
    return p


def flipped_sums(values: Values, resamples: int, seed: int = 0) -> Iterator[Values]:
    """Sums over users under random signs, chunk by chunk: float64 [some resamples × columns], one product a chunk.

    values: float64 [users × columns]. Every column sees the same signs, so the flipped sum of a difference of columns
    is the difference of their flipped sums.
    """
    _check(values)
    totals = values.sum(axis=0)
    n_users = len(values)
    n_bytes = -(-n_users // 8)
    random = np.random.default_rng(seed)
    for size in _chunks(resamples, n_users):
        bits = np.unpackbits(random.integers(0, 256, (size, n_bytes), dtype=np.uint8), axis=1, count=n_users)
        yield 2 * (bits.astype(np.float64) @ values) - totals


def resampled_sums(values: Values, resamples: int, seed: int) -> Values:
    """Sums over users drawn with replacement (Efron, 1979): float64 [resamples × columns], one product a chunk.

    values: float64 [users × columns]. Every column sees the same users.
    """
    _check(values)
    n_users = len(values)
    random = np.random.default_rng(seed)
    sums = []
    for size in _chunks(resamples, n_users):
        drawn = random.integers(0, n_users, (size, n_users)) + np.arange(size)[:, None] * n_users
        weights = np.bincount(drawn.reshape(-1), minlength=size * n_users).reshape(size, n_users)
        sums.append(weights.astype(np.float64) @ values)
    return np.concatenate(sums)


def holm(p_values: NDArray[np.floating]) -> Values:
    """p values corrected for their number (Holm, 1979), in the order given."""
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(n, 0, -1))
    corrected = np.empty(n)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _chunks(resamples: int, n_users: int) -> Iterator[int]:
    size = max(1, CELLS_A_CHUNK // n_users)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _check(values: Values) -> None:
    if values.ndim != 2 or not len(values):
        raise ValueError(f"values of at least one user are wanted as [users × columns]; they are {list(values.shape)}")
