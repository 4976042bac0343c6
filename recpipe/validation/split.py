"""Split integrity: one suite a strategy. It must pass before anything trains on the split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.by_user import Holdout, latest_of
from recpipe.data.splits.samples import Quick
from recpipe.data.splits.strategy import Strategy
from recpipe.validation import split_facts, split_promises
from recpipe.validation.engine import Fact, judge_facts
from recpipe.validation.outcome import Outcome
from recpipe.validation.popularity import rank_agreement

SHOWN = 16
"""Characters of a digest that are compared and shown: 64 bits tell splits apart, and fit a table."""


@dataclass(frozen=True)
class SplitLimits:
    """What the suite lets pass.

    least_train_events, least_train_users, least_hidden_users: volume of the training part, and users of the validation
    and of the test part each. most_unknown_films: share of hidden events whose film no training user watched, for
    strategies that promise "most". most_rank_gap: how far Kendall's tau between the film counts of two parts may lie
    below that of drawn parts, for strategies that draw; most_rank_drift: for those that hide the latest films, since
    taste drifts. Four standard deviations of the drawn tau are added to both. On MovieLens 100K and 1M drawn parts lie
    at most 0.01 below, the latest films 0.13; SpectralCF's split about 0.4.
    """

    least_train_events: int = 500
    least_train_users: int = 20
    least_hidden_users: int = 10
    most_unknown_films: float = 0.05
    most_rank_gap: float = 0.05
    most_rank_drift: float = 0.2


def validate_split(
    strategy: Strategy,
    interactions: Interactions,
    parts: Parts,
    limits: SplitLimits | None = None,
    expected_digest: str | None = None,
) -> Outcome:
    """Hold a split to its strategy's promises.

    interactions: what was to be split. expected_digest: of the split that these settings gave before, where known.
    """
    limits = limits or SplitLimits()
    found = [*split_facts.nothing_lost(interactions, parts), split_facts.parts_disjoint(parts)]
    found += split_facts.dropped_as_promised(parts, strategy.promises.drops)
    found += _user_facts(strategy, parts)
    found += _size_facts(strategy, parts, limits)
    if strategy.promises.hides:
        found += _item_facts(strategy, parts, limits)
        found += _order_facts(strategy, parts)
        found += _popularity_facts(strategy, parts, limits)
    if expected_digest is not None:
        digest, expected = parts.digest()[:SHOWN], expected_digest[:SHOWN]
        found.append(Fact("the digest of the split is the recorded one", digest, one_of=(expected,)))
    name = f"split integrity ({strategy.strategy})"
    return judge_facts(name, found)


def _user_facts(strategy: Strategy, parts: Parts) -> list[Fact]:
    match strategy.promises.users:
        case "known":
            return split_promises.users_known(parts)
        case "unknown":
            return split_promises.users_unknown(parts)
        case "any":
            return []


def _size_facts(strategy: Strategy, parts: Parts, limits: SplitLimits) -> list[Fact]:
    found = [
        Fact(
            "the training part has enough events",
            int((parts.part == Part.TRAIN).sum()),
            least=limits.least_train_events,
            unit="events",
        ),
        Fact(
            "the training part has enough users",
            split_facts.users_of(parts, Part.TRAIN),
            least=limits.least_train_users,
            unit="users",
        ),
    ]
    if strategy.promises.hides:
        for part, name in ((Part.VALID, "validation"), (Part.TEST, "test")):
            users = split_facts.users_of(parts, part)
            found.append(
                Fact(f"the {name} part has enough users", users, least=limits.least_hidden_users, unit="users")
            )
    wanted = strategy.sizes(split_facts.kept_films(parts))
    return found if wanted is None else found + split_facts.sizes_kept(parts, wanted)


def _item_facts(strategy: Strategy, parts: Parts, limits: SplitLimits) -> list[Fact]:
    match strategy.promises.items:
        case "all":
            return [split_promises.items_known(parts, 0)]
        case "most":
            return [split_promises.items_known(parts, limits.most_unknown_films)]
        case "any":
            return []


def _order_facts(strategy: Strategy, parts: Parts) -> list[Fact]:
    match strategy.promises.order:
        case "user":
            return split_promises.user_order(parts)
        case "date":
            return split_promises.date_order(parts)
        case "latest":
            holdout = strategy.within if isinstance(strategy, Quick) else strategy
            if not isinstance(holdout, Holdout):
                raise TypeError(
                    f"{type(strategy).__name__} promises the latest films, which only holdout settings tell"
                )
            valid, test = holdout.sizes(split_facts.kept_films(parts))
            due_valid = latest_of(valid, holdout.valid_last, holdout.valid_random)
            return split_promises.latest_hidden(parts, (due_valid, latest_of(test, holdout.last, holdout.random)))
        case "none":
            return []


def _popularity_facts(strategy: Strategy, parts: Parts, limits: SplitLimits) -> list[Fact]:
    if strategy.promises.popularity == "any":
        return []
    most = limits.most_rank_gap if strategy.promises.popularity == "as drawn" else limits.most_rank_drift
    found = []
    for part, name in ((Part.VALID, "validation"), (Part.TEST, "test")):
        agreement = rank_agreement(parts, part)
        found.append(
            Fact(
                f"films are as popular in the {name} part as in training",
                float(np.round(agreement.gap, 6)),
                most=round(most + 4 * agreement.spread, 6),
                unit="gap",
                note=f"Kendall tau {agreement.tau:.3f}, of drawn parts {agreement.drawn:.3f}",
            )
        )
    return found
