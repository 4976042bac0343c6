"""Weights found on the validation part: forward selection with replacement, after Caruana et al., 2004.

A search always beats its best member on the users it searched on. The verdict therefore rests on two halves of them:
each half is scored with the weights found on the other one. The weights that are used are found on all users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.blending.blend import Blend
from recpipe.blending.candidates import Candidates
from recpipe.blending.settings import EnsembleSettings
from recpipe.data.interactions import FloatArray, Histories
from recpipe.evaluation.comparison import Difference, paired_differences
from recpipe.evaluation.metrics import METRICS, Targets, Values, parse_metric
from recpipe.evaluation.ranking import NO_FILM, Ranking

STEPS = 20
SHARES = (0.5, 0.3, 0.15, 0.05)
"""How much of the blend a step may give to the member that it adds. The paper adds members with equal weight, which
cannot give a weak but different member a small part without adding the strong one many times over first."""

Path: TypeAlias = list[tuple[str, float]]
Array: TypeAlias = NDArray[Any]


def choose(
    lists: Mapping[str, Ranking], targets: Histories, settings: EnsembleSettings, split_digest: str = "", seed: int = 0
) -> Blend:
    """The blend of the members' lists that reaches most on these targets, or the best single member.

    lists: by member, for the users of `targets` in their order. The blend is kept where the 95 % interval of its mean
    difference to the best single member lies above zero, every user scored with weights found on other users: a gain
    within the noise is not worth the refits of several members.
    """
    if missing := [member for member in settings.members if member not in lists]:
        raise ValueError(f"choose: the lists of {', '.join(missing)} are missing; train and rank these members first")
    lists = {member: lists[member] for member in settings.members}
    wanted = Targets.of(targets)
    name, k = parse_metric(settings.metric)
    alone = {
        member: METRICS[name](wanted.hits(ranking.items[:, :k]), wanted.counts) for member, ranking in lists.items()
    }
    best = max(alone, key=lambda member: float(alone[member].mean()))
    contest = _Contest.of(Candidates.of(lists, settings.method), wanted, settings.metric)
    weights, path = _weights(contest, settings.search)
    values = _judged_on_other_users(contest, settings.search, seed)
    (difference,) = paired_differences(values[:, None], alone[best], seed=seed)
    kept = difference.low > 0 and len(weights) > 1
    return Blend(
        method=settings.method,
        metric=settings.metric,
        candidates=max(ranking.items.shape[1] for ranking in lists.values()),
        weights=weights,
        member_scores={member: float(each.mean()) for member, each in alone.items()},
        score=float(values.mean()),
        difference=difference,
        path=tuple(path),
        kept=kept,
        verdict=_verdict(settings.metric, best, float(alone[best].mean()), difference, kept, weights),
        split_digest=split_digest,
    )


@dataclass(frozen=True, eq=False)
class _Contest:
    """Candidates with the answers. relevant: bool [users × width], whether a candidate is one of the user's targets."""

    candidates: Candidates
    relevant: NDArray[np.bool_]
    n_targets: NDArray[np.int64]
    metric: str

    @classmethod
    def of(cls, candidates: Candidates, targets: Targets, metric: str) -> _Contest:
        return cls(candidates, targets.hits(candidates.items), targets.counts, metric)

    def rows(self, which: NDArray[np.integer]) -> _Contest:
        return _Contest(self.candidates.rows(which), self.relevant[which], self.n_targets[which], self.metric)

    def values(self, scores: FloatArray) -> Values:
        """float64 [users]: the metric of the lists that these scores [users × width] give."""
        name, k = parse_metric(self.metric)
        columns, _ = self.candidates.top(scores, k)
        hits = np.take_along_axis(self.relevant, columns, axis=1) & (columns != NO_FILM)
        return METRICS[name](hits, self.n_targets)

    def values_of(self, weights: Mapping[str, float]) -> Values:
        return self.values(self.candidates.scores(weights))


def _weights(contest: _Contest, search: str) -> tuple[dict[str, float], Path]:
    members = contest.candidates.members
    if search == "none":
        return {member: 1 / len(members) for member in members}, []
    weights, path = _greedy(contest)
    return {member: weight for member, weight in zip(members, weights, strict=True) if weight}, path


def _greedy(contest: _Contest) -> tuple[list[float], Path]:
    """From the best member alone, each step mixes in the member and share that help most; it ends when none helps.

    Of equals the first member and the largest share.
    """
    members, said = contest.candidates.members, contest.candidates.contributions
    reached = [float(contest.values(each).mean()) for each in said]
    best = int(np.argmax(reached))
    weights = np.eye(len(members))[best]
    mixed = said[best]
    path: Path = [(members[best], reached[best])]
    for _ in range(STEPS):
        steps = [(added, share) for added in range(len(members)) for share in SHARES if weights[added] < 1]
        reached = [float(contest.values(_mix(mixed, said[added], share)).mean()) for added, share in steps]
        if not reached or max(reached) <= path[-1][1]:
            break
        best = int(np.argmax(reached))
        added, share = steps[best]
        mixed = _mix(mixed, said[added], share)
        weights = _mix(weights, np.eye(len(members))[added], share)
        path.append((members[added], reached[best]))
    return weights.tolist(), path


def _mix(old: Array, added: Array, share: float) -> Array:
    return old * (1 - share) + added * share


def _judged_on_other_users(contest: _Contest, search: str, seed: int) -> Values:
    """float64 [users]: each half of the users with the weights found on the other half."""
    n_users = len(contest.n_targets)
    if n_users < 2:
        raise ValueError(f"choose: {n_users} users have validation films; at least 2 are needed to judge a blend")
    values = np.empty(n_users)
    shuffled = np.random.default_rng(seed).permutation(n_users)
    first, second = np.sort(shuffled[: n_users // 2]), np.sort(shuffled[n_users // 2 :])
    for searched, judged in ((first, second), (second, first)):
        weights, _ = _weights(contest.rows(searched), search)
        values[judged] = contest.rows(judged).values_of(weights)
    return values


def _verdict(
    metric: str, best: str, alone: float, difference: Difference, kept: bool, weights: Mapping[str, float]
) -> str:
    told = (
        f"{metric} {alone + difference.mean:.4f} against {alone:.4f} for {best} alone, "
        f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
    )
    if kept:
        return f"The blend is used: on validation it reaches {told}."
    if len(weights) == 1:
        return f"The blend is not used: no other member adds to {best}, which is used alone."
    noise = ", a gain within the noise" if difference.mean > 0 else ""
    return f"The blend is not used: on validation it reaches {told}{noise}; {best} is used alone."
