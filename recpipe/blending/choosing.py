"""Which blend is used: weights found on the validation part, judged on users that they were not found on.

A search always beats its best member on the users it searched on. The verdicts therefore rest on two halves of them:
each half is scored with the weights found on the other one. The weights that are used are found on all users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recpipe.blending.blend import Blend
from recpipe.blending.candidates import Candidates
from recpipe.blending.contest import Contest, Rows, Weights
from recpipe.blending.settings import EnsembleSettings
from recpipe.blending.switching import Switch, activity
from recpipe.data.parts import HeldOut
from recpipe.evaluation.comparison import Difference, paired_differences
from recpipe.evaluation.metrics import METRICS, Targets, Values
from recpipe.evaluation.naming import parse_metric
from recpipe.evaluation.ranking import Ranking

FEWEST = 50
"""Users on either side of a switch: with less, weights of their own are found by chance."""


def choose(
    lists: Mapping[str, Ranking], held_out: HeldOut, settings: EnsembleSettings, split_digest: str = "", seed: int = 0
) -> Blend:
    """The blend of the members' lists that reaches most on these users, or the best single member.

    lists: by member, for the users of `held_out` in their order. The blend is kept where the 95 % interval of its mean
    difference to the best single member lies above zero, every user scored with weights found on other users: a gain
    within the noise is not worth the refits of several members. A switch is kept by the same rule against the blend.
    """
    if missing := [member for member in settings.members if member not in lists]:
        raise ValueError(f"choose: the lists of {', '.join(missing)} are missing; train and rank these members first")
    if len(held_out) < 2:
        raise ValueError(f"choose: {len(held_out)} users have validation films; at least 2 are needed to judge a blend")
    lists = {member: lists[member] for member in settings.members}
    wanted = Targets.of(held_out.targets)
    name, k = parse_metric(settings.metric)
    alone = {
        member: METRICS[name](wanted.hits(ranking.items[:, :k]), wanted.counts) for member, ranking in lists.items()
    }
    best = max(alone, key=lambda member: float(alone[member].mean()))
    contest = Contest.of(Candidates.of(lists, settings.method), wanted, settings.metric)
    weights, path = contest.weights(settings.search)
    values = contest.judged_on_others(settings.search, seed, [np.arange(len(contest))])
    (difference,) = paired_differences(values[:, None], alone[best], seed=seed)
    kept = difference.low > 0 and len(weights) > 1
    chosen = Blend(
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
    if kept and settings.switch_by != "none":
        chosen = _switched(chosen, contest, held_out, values, settings, seed)
    return replace(chosen, reasons=_reasons(chosen, contest, held_out))


def _switched(
    plain: Blend, contest: Contest, held_out: HeldOut, values: Values, settings: EnsembleSettings, seed: int
) -> Blend:
    """With weights of their own for the more active half, where that is worth more than the noise.

    values: float64 [users], those of the plain blend with weights found on other users.
    """
    found = activity(held_out.histories, settings.switch_by)
    above = found > np.median(found)
    sides = [np.flatnonzero(~above), np.flatnonzero(above)]
    if min(map(len, sides)) < FEWEST:
        told = f"Switching by {settings.switch_by} was not tried: fewer than {FEWEST} users on one side."
        return replace(plain, verdict=f"{plain.verdict} {told}")
    judged = contest.judged_on_others(settings.search, seed, sides)
    (gained,) = paired_differences(judged[:, None], values, seed=seed)
    told = f"{_told(gained)} against one set of weights for everybody"
    if gained.low <= 0:
        return replace(plain, verdict=f"{plain.verdict} Switching by {settings.switch_by} is not used: {told}.")
    fewer, more = (contest.rows(side).weights(settings.search)[0] for side in sides)
    return replace(
        plain,
        weights=fewer,
        switch=Switch(settings.switch_by, int(np.median(found)), float(above.mean()), more),
        score=float(judged.mean()),
        verdict=f"{plain.verdict} Switching by {settings.switch_by} is used: {told}.",
    )


def _reasons(chosen: Blend, contest: Contest, held_out: HeldOut) -> dict[str, str]:
    """A sentence for each member: what the blend would lose without it, or why it is left aside."""
    if not chosen.kept:
        aside = "left aside: the blend is not better beyond the noise"
        return {member: "the best alone" if member == chosen.best_single else aside for member in chosen.member_scores}
    groups = chosen.groups(held_out.histories)
    whole = _values(contest, groups)
    reasons = {}
    for member in chosen.member_scores:
        left = [(rows, _without(weights, member)) for rows, weights in groups]
        if member not in chosen.used:
            reasons[member] = "no share of it made the blend better"
        elif all(weights for _, weights in left):
            (lost,) = paired_differences(_values(contest, left)[:, None], whole)
            reasons[member] = f"without it {_told(lost)}"
        else:
            reasons[member] = "the only one for some of the users"
    return reasons


def _values(contest: Contest, groups: Sequence[tuple[Rows, Weights]]) -> Values:
    """float64 [users]: every group with its weights."""
    values = np.empty(len(contest))
    for rows, weights in groups:
        values[rows] = contest.rows(rows).values_of(weights)
    return values


def _without(weights: Weights, member: str) -> Weights:
    return {other: weight for other, weight in weights.items() if other != member}


def _told(difference: Difference) -> str:
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _verdict(metric: str, best: str, alone: float, difference: Difference, kept: bool, weights: Weights) -> str:
    told = f"{metric} {alone + difference.mean:.4f} against {alone:.4f} for {best} alone, {_told(difference)}"
    if kept:
        return f"The blend is used: on validation it reaches {told}."
    if len(weights) == 1:
        return f"The blend is not used: no other member adds to {best}, which is used alone."
    noise = ", a gain within the noise" if difference.mean > 0 else ""
    return f"The blend is not used: on validation it reaches {told}{noise}; {best} is used alone."
