"""Which split to trust: how well its validation scores rank models as a part laid aside first does (B-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recpipe.data.interactions import IntArray
from recpipe.evaluation.comparison import Interval, resampled_sums
from recpipe.evaluation.metrics import Values
from recpipe.studies.rank_agreement import kendall_tau

RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Scores:
    """Per-user values of several models on one part. users: int32 [rows], distinct row numbers.

    values: float64 [rows × models], a column of NaN for a model that has no score there.
    """

    users: IntArray
    values: Values

    @property
    def means(self) -> Values:
        """float64 [models]."""
        return self.values.mean(axis=0)


@dataclass(frozen=True)
class Trust:
    """What one split is worth. users: with hidden films on its validation part. models: that have a score there.

    tau: Kendall's tau of the models' validation scores with their hidden scores, and its interval over users.
    to_the_best: tau less that of the split with the highest, with its interval; None for that split itself.
    picked: the model that its validation part puts first. cost: what the hidden part takes off for that choice.
    gap: mean over models of the validation score less the hidden score. own_tau, own_gap: likewise against the hidden
    scores of the split's own models, which learned from its training part alone; NaN where these were not asked.
    """

    split: str
    users: int
    models: int
    tau: Interval
    to_the_best: Interval | None
    picked: str
    cost: float
    gap: float
    own_tau: float
    own_gap: float


@dataclass(frozen=True, eq=False)
class SplitTrust:
    """models: names. hidden: of models trained on all that was not laid aside. valid: by split, on its validation part.
    own: by split, its own models on the hidden part, for as many splits as were asked."""

    models: tuple[str, ...]
    metric: str
    n_users: int
    hidden: Scores
    valid: Mapping[str, Scores]
    own: Mapping[str, Scores] = field(default_factory=dict)

    @cached_property
    def trusts(self) -> list[Trust]:
        """One a split, the highest tau first, equal ones in the order of their names."""
        taus = {split: float(kendall_tau(_rounded(each.means), _rounded(self.hidden.means)))
                for split, each in self.valid.items()}  # fmt: skip
        order = sorted(taus, key=lambda split: (-round(taus[split], 12), split))
        drawn = self._resampled_taus()
        best = order[0]
        return [
            self._trust(split, taus, drawn[split], None if split == best else drawn[split] - drawn[best], best)
            for split in order
        ]

    def verdict(self) -> str:
        """What the hidden part says of the splits, in a few sentences."""
        best, *others = self.trusts
        near = [each.split for each in others if each.to_the_best and each.to_the_best.high >= 0]
        told = f"{best.split} ranks the models most as the hidden part does (tau {best.tau.mean:.3f}"
        told += f" [{best.tau.low:.3f}, {best.tau.high:.3f}])"
        told += f"; not told from it: {', '.join(near)}." if near else "; every other split is told from it."
        if others:
            told += f" {others[-1].split} does least (tau {others[-1].tau.mean:.3f})."
        dearest = max(self.trusts, key=lambda each: each.cost)
        if dearest.cost > 0:
            told += f" The dearest choice is that of {dearest.split}: {dearest.picked} costs {dearest.cost:.4f}."
        closest = min(self.trusts, key=lambda each: abs(each.gap))
        return f"{told} Closest in absolute score is {closest.split} ({closest.gap:+.4f} on average)."

    def _trust(self, split: str, taus: Mapping[str, float], drawn: Values, less: Values | None, best: str) -> Trust:
        valid, hidden = self.valid[split], self.hidden.means
        known = np.isfinite(valid.means) & np.isfinite(hidden)
        picked = int(np.argmax(np.where(known, valid.means, -np.inf)))
        own_tau = own_gap = float("nan")
        if split in self.own:
            own = self.own[split].means
            own_tau = float(kendall_tau(_rounded(valid.means), _rounded(own)))
            own_gap = float(np.nanmean((valid.means - own)[known])) if known.any() else own_gap
        return Trust(
            split,
            len(valid.users),
            int(known.sum()),
            _interval(taus[split], drawn),
            None if less is None else _interval(taus[split] - taus[best], less),
            self.models[picked],
            round(float(np.nanmax(hidden) - hidden[picked]), 12),
            round(float((valid.means - hidden)[known].mean()), 12) if known.any() else float("nan"),
            own_tau,
            own_gap,
        )

    def _resampled_taus(self) -> dict[str, Values]:
        """By split float64 [resamples]: users are drawn once for all parts, a user stays one user in all of them."""
        parts = [self.hidden, *self.valid.values()]
        columns = np.zeros((self.n_users, len(parts), len(self.models) + 1))
        for place, part in enumerate(parts):
            columns[part.users, place, :-1] = np.nan_to_num(part.values)
            columns[part.users, place, -1] = 1.0
        sums = resampled_sums(columns.reshape(self.n_users, -1), RESAMPLES, seed=0)
        sums = sums.reshape(RESAMPLES, len(parts), -1)
        means = sums[:, :, :-1] / np.maximum(sums[:, :, -1:], 1.0)
        unscored = np.stack([np.isnan(part.means) for part in parts])
        means = _rounded(np.where(unscored, np.nan, means))
        return {split: kendall_tau(means[:, place], means[:, 0]) for place, split in enumerate(self.valid, start=1)}


def _interval(mean: float, drawn: Values) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(*(round(float(each), 12) for each in (mean, low, high)))


def _rounded(means: Values) -> Values:
    """Equal means may differ in their last bits, and would not be tied then."""
    return np.round(means, 12)
