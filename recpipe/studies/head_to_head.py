"""Two models on the same users: the verdict, for whom and with which films either wins, and users to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import ItemFeatures
from recpipe.data.interactions import IntArray, Interactions
from recpipe.data.parts import HeldOut
from recpipe.evaluation.comparison import (
    Difference,
    Interval,
    holm,
    intervals,
    paired_differences,
    resampled_sums,
    sign_flip_p,
)
from recpipe.evaluation.metrics import METRICS, Targets, Values
from recpipe.evaluation.naming import parse_metric
from recpipe.studies.groups import ALL, film_groups, user_groups
from recpipe.studies.pairs import ALPHA

LEAST = 20
"""Groups of fewer users, or with hidden films of fewer users, are left out: their resamples say nothing."""
RESAMPLES = 10_000
EXAMPLES = 4


@dataclass(frozen=True)
class GroupResult:
    """One group of users or of films. of: "users" or "films". users: how many it rests on.

    first, second: the two models' values: mean metric of the group's users, or share of the group's hidden films that
    are found. difference: first less second; its interval holds together with those of all other groups (95 % / number
    of groups, Bonferroni), its p is corrected for all groups (Holm).
    """

    of: str
    by: str
    who: str
    users: int
    first: float
    second: float
    difference: Difference

    @property
    def found(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.difference.p < ALPHA


@dataclass(frozen=True)
class Example:
    """A user's row among the held-out, the metric of both models, and film numbers.

    known: the latest known, the newest first. first_only, second_only, both: hidden films that were found. missed:
    hidden films that neither found.
    """

    row: int
    values: tuple[float, float]
    known: tuple[int, ...]
    first_only: tuple[int, ...]
    second_only: tuple[int, ...]
    both: tuple[int, ...]
    missed: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class HeadToHead:
    """names: the two models. scores: their means. difference: first less second over all users. ahead: the number of
    users for whom the first, the second or neither has more. examples: users with the greatest differences, those of
    the first model before those of the second."""

    names: tuple[str, str]
    metric: str
    users: int
    scores: tuple[Interval, Interval]
    difference: Difference
    ahead: tuple[int, int, int]
    groups: tuple[GroupResult, ...]
    examples: tuple[Example, ...]

    @property
    def winner(self) -> str | None:
        """The model that is better, None where the two are not told apart."""
        if self.difference.p >= ALPHA:
            return None
        return self.names[0] if self.difference.mean > 0 else self.names[1]

    def verdict(self) -> str:
        """One sentence on all users, one on groups."""
        first, second = self.names
        change = self.difference
        told = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}], p {change.p:.4f}"
        who = f"{first} less {second} in {self.metric}: {told}"
        if self.winner is None:
            whole = f"{first} and {second} are not told apart ({who}, {self.users:,} users)."
        else:
            other = second if self.winner == first else first
            whole = f"{self.winner} is better than {other} ({who}, {self.users:,} users)."
        n_found = sum(group.found for group in self.groups)
        return f"{whole} In {n_found} of {len(self.groups)} groups one is better, corrected for their number."


def head_to_head(
    names: tuple[str, str],
    lists: tuple[IntArray, IntArray],
    held_out: HeldOut,
    train: Interactions,
    features: ItemFeatures | None,
    metric: str = "ndcg@10",
) -> HeadToHead:
    """Compare two models' lists, int32 [users × k or more]; popularity is counted in `train` alone."""
    name, k = parse_metric(metric)
    targets = Targets.of(held_out.targets)
    cut = [each[:, :k] for each in lists]
    hits = [targets.hits(items) for items in cut]
    values = np.stack([METRICS[name](each, targets.counts) for each in hits], axis=1)
    first, second = intervals(values)
    (difference,) = paired_differences(values[:, :1], values[:, 1])
    ahead = values[:, 0] - values[:, 1]
    return HeadToHead(
        names,
        metric,
        len(values),
        (first, second),
        difference,
        (int((ahead > 0).sum()), int((ahead < 0).sum()), int((ahead == 0).sum())),
        _groups(values, cut, hits, targets, held_out, train, features),
        _examples(values, cut, hits, held_out),
    )


@dataclass(frozen=True, eq=False)
class _Share:
    """A group's value as one sum over users by another: float64 [users] each, the first for both models."""

    of: str
    by: str
    who: str
    first: Values
    second: Values
    whole: Values


def _groups(
    values: Values,
    lists: Sequence[IntArray],
    hits: Sequence[NDArray[np.bool_]],
    targets: Targets,
    held_out: HeldOut,
    train: Interactions,
    features: ItemFeatures | None,
) -> tuple[GroupResult, ...]:
    shares = []
    for group in user_groups(held_out.histories, train, features):
        inside = group.inside.astype(float)
        shares.append(_Share("users", group.by, group.who, values[:, 0] * inside, values[:, 1] * inside, inside))
    rows, films = np.divmod(targets.keys, targets.n_items)
    for group in film_groups(train, features):
        found = [(hit & group.inside[items]).sum(axis=1).astype(float) for hit, items in zip(hits, lists, strict=True)]
        wanted = np.bincount(rows, weights=group.inside[films], minlength=len(values)).astype(float)
        shares.append(_Share("films", group.by, group.who, found[0], found[1], wanted))
    shares = [share for share in shares if (share.whole > 0).sum() >= LEAST and share.who != ALL]
    if not shares:
        return ()
    changes = _differences_of_shares(
        np.stack([share.first - share.second for share in shares], axis=1),
        np.stack([share.whole for share in shares], axis=1),
    )
    return tuple(
        GroupResult(
            share.of, share.by, share.who, int((share.whole > 0).sum()),
            round(float(share.first.sum() / share.whole.sum()), 12),
            round(float(share.second.sum() / share.whole.sum()), 12), change,
        )
        for share, change in zip(shares, changes, strict=True)
    )  # fmt: skip


def _differences_of_shares(differences: Values, wholes: Values) -> list[Difference]:
    """Σ differences / Σ wholes of each column, both float64 [users × groups], for all groups from one resampling.

    Intervals hold together: each has the level 1 - 5 % / groups (Bonferroni). p by sign flips, corrected by Holm.
    """
    n_groups = differences.shape[1]
    sums = resampled_sums(np.concatenate([differences, wholes], axis=1), RESAMPLES, seed=0)
    drawn, whole = sums[:, :n_groups], sums[:, n_groups:]
    shares = drawn / np.maximum(whole, 1e-12)  # nobody of a group is drawn once in 10^9 resamples: then its sum is 0
    tail = ALPHA / n_groups / 2
    low, high = np.quantile(shares, [tail, 1 - tail], axis=0)
    p = holm(sign_flip_p(differences, RESAMPLES))
    mean = differences.sum(axis=0) / wholes.sum(axis=0)
    rounded = np.round([mean, low, high], 12).T
    return [Difference(*map(float, (*ends, each))) for ends, each in zip(rounded, p, strict=True)]


def _examples(
    values: Values, lists: Sequence[IntArray], hits: Sequence[NDArray[np.bool_]], held_out: HeldOut
) -> tuple[Example, ...]:
    ahead = values[:, 0] - values[:, 1]
    order = np.argsort(-np.abs(ahead), kind="stable")
    rows = [*order[ahead[order] > 0][:EXAMPLES], *order[ahead[order] < 0][:EXAMPLES]]
    return tuple(_example(int(row), values, lists, hits, held_out) for row in rows)


def _example(
    row: int, values: Values, lists: Sequence[IntArray], hits: Sequence[NDArray[np.bool_]], held_out: HeldOut
) -> Example:
    first, second = (set(items[row][hit[row]].tolist()) for items, hit in zip(lists, hits, strict=True))
    known, hidden = (each.rows(slice(row, row + 1)).items for each in (held_out.histories, held_out.targets))
    wanted = dict.fromkeys(hidden.tolist())  # in time order, each once

    def of(films: set[int]) -> tuple[int, ...]:
        return tuple(film for film in wanted if film in films)

    return Example(
        row,
        (float(values[row, 0]), float(values[row, 1])),
        tuple(known[::-1][:5].tolist()),
        of(first - second),
        of(second - first),
        of(first & second),
        of(set(wanted) - first - second),
    )
