"""A scorer against hidden films: full ranking, every metric for every user; and the one number for early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import IntArray, Interactions, LongArray
from recpipe.data.parts import HeldOut
from recpipe.evaluation.metrics import (
    METRICS,
    Hits,
    Targets,
    Values,
    over_lists,
    per_user,
    times_listed,
)
from recpipe.evaluation.naming import CUT_OFFS, parse_metric
from recpipe.evaluation.ranking import Masker, rank
from recpipe.recipe import ROWS_A_CALL, Scorer

USERS_AT_ONCE = 64 * ROWS_A_CALL
"""Users that are ranked and measured at once: memory beyond the figures that are returned does not grow with users."""
HEAD = 0.2
"""The head: this share of the films, the most watched in training; the tail: all others."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a scorer reached on held-out films.

    users: int32 [users], row numbers. n_known, n_targets: int64 [users], events in the history, distinct films hidden.
    per_user: float64 [users] by `name@k`. lists: what the lists are like as a whole, by `name@k`.
    film_groups: for "head" and "tail" the number of films, of targets, and by `name@k` the share of the group's targets
    that are found (`recall`) and the share of the lists that it fills (`share_of_lists`).
    """

    users: IntArray
    n_known: LongArray
    n_targets: LongArray
    per_user: Mapping[str, Values]
    lists: Mapping[str, float]
    film_groups: Mapping[str, Mapping[str, float]]

    def means(self) -> dict[str, float]:
        """Mean over users of every metric."""
        return {name: float(values.mean()) for name, values in self.per_user.items()}


def evaluate(
    scorer: Scorer,
    held_out: HeldOut,
    train: Interactions,
    cut_offs: Sequence[int] = CUT_OFFS,
    masker: Masker | None = None,
) -> Evaluation:
    """Rank all films for every held-out user and measure. Popularity is counted in `train` alone.

    A hidden film that the user's history already holds counts as a target, though no list can contain it.
    """
    if not len(held_out):
        raise ValueError("evaluate: nobody has hidden films; the split left this part empty")
    films = _Films.none(train.n_items, cut_offs)
    n_targets, values = [], []
    for start in range(0, len(held_out), USERS_AT_ONCE):
        asked = held_out.rows(slice(start, start + USERS_AT_ONCE))
        targets = Targets.of(asked.targets)
        items = rank(scorer, asked.histories, max(cut_offs), masker=masker).items
        hits = targets.hits(items)
        films.count(items, hits, targets)
        n_targets.append(targets.counts)
        values.append(per_user(hits, targets.counts, cut_offs))
    counts = train.item_counts()
    n_users = int((np.diff(train.offsets) > 0).sum())
    whole = {k: over_lists(listed, counts, n_users) for k, listed in films.listed.items()}
    return Evaluation(
        users=held_out.targets.users,
        n_known=held_out.histories.lengths,
        n_targets=np.concatenate(n_targets),
        per_user={name: np.concatenate([block[name] for block in values]) for name in values[0]},
        lists={f"{name}@{k}": value for k, figures in whole.items() for name, value in figures.items()},
        film_groups=films.by_group(in_head(counts)),
    )


def validator(held_out: HeldOut, metric: str = "ndcg@10") -> Callable[[Scorer], float]:
    """The mean of one metric as a function of a scorer, for the training loop: only its cut-off's films are ranked."""
    name, k = parse_metric(metric)
    if not len(held_out):
        raise ValueError("validator: nobody has hidden films; choose a split with a validation part")
    targets = Targets.of(held_out.targets)

    def validate(scorer: Scorer) -> float:
        hits = targets.hits(rank(scorer, held_out.histories, k).items)
        return float(METRICS[name](hits, targets.counts).mean())

    return validate


def in_head(counts: LongArray, share: float = HEAD) -> NDArray[np.bool_]:
    """bool [n_items]: the most watched `share` of the films, ties to the lower number."""
    head = np.zeros(len(counts), dtype=np.bool_)
    head[np.argsort(-counts, kind="stable")[: round(share * len(counts))]] = True
    return head


@dataclass(frozen=True, eq=False)
class _Films:
    """int64 [n_items] each: how often a film was wanted, and by cut-off how often it was listed and found."""

    wanted: LongArray
    listed: Mapping[int, LongArray]
    found: Mapping[int, LongArray]

    @classmethod
    def none(cls, n_items: int, cut_offs: Sequence[int]) -> _Films:
        def nothing() -> LongArray:
            return np.zeros(n_items, dtype=np.int64)

        return cls(nothing(), {k: nothing() for k in cut_offs}, {k: nothing() for k in cut_offs})

    def count(self, items: IntArray, hits: Hits, targets: Targets) -> None:
        """Add the lists of further users."""
        n_items = len(self.wanted)
        self.wanted[:] += np.bincount(targets.keys % n_items, minlength=n_items)
        for k, listed in self.listed.items():
            listed += times_listed(items[:, :k], n_items)
            self.found[k][:] += times_listed(items[:, :k][hits[:, :k]], n_items)

    def by_group(self, head: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
        groups = {}
        for name, films in (("head", head), ("tail", ~head)):
            n_targets = self.wanted[films].sum()
            figures = {"films": float(films.sum()), "targets": float(n_targets)}
            for k, listed in self.listed.items():
                figures[f"recall@{k}"] = float(self.found[k][films].sum() / max(n_targets, 1))
                figures[f"share_of_lists@{k}"] = float(listed[films].sum() / max(listed.sum(), 1))
            groups[name] = figures
        return groups
