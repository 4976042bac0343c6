"""Facts of the split-integrity suite about what a strategy promises: users, films and order in time."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import LongArray
from recpipe.data.parts import Part, Parts
from recpipe.validation.engine import Fact
from recpipe.validation.split_facts import FOLD_IN, HIDDEN, has, no_event, no_user, sample_of


def users_known(parts: Parts) -> list[Fact]:
    """Users with hidden films have training films; no known history lies outside the training part."""
    strangers = has(parts, *HIDDEN) & ~has(parts, Part.TRAIN)
    return [
        no_user("every user with hidden films has training films", strangers),
        no_event("no event is set apart as known history", parts, np.isin(parts.part, FOLD_IN)),
    ]


def users_unknown(parts: Parts) -> list[Fact]:
    """Held-out users have nothing in training, some films to find, some that are known, and one part only."""
    valid = has(parts, Part.VALID, Part.VALID_FOLD_IN)
    test = has(parts, Part.TEST, Part.TEST_FOLD_IN)
    to_find = [(Part.VALID_FOLD_IN, Part.VALID), (Part.TEST_FOLD_IN, Part.TEST)]
    no_target = np.logical_or(*(has(parts, known) & ~has(parts, target) for known, target in to_find))
    no_history = np.logical_or(*(has(parts, target) & ~has(parts, known) for known, target in to_find))
    return [
        no_user("no held-out user has a training film", (valid | test) & has(parts, Part.TRAIN)),
        no_user("no user is held out for validation and for test", valid & test),
        no_user("every held-out user has films to find", no_target),
        no_user("every held-out user has known films", no_history),
    ]


def items_known(parts: Parts, most_unknown: float) -> Fact:
    """The films to be found stand in the training part, but for a share of the hidden events."""
    events = parts.interactions
    trained = np.bincount(events.items[parts.part == Part.TRAIN], minlength=events.n_items) > 0
    hidden = np.isin(parts.part, HIDDEN)
    unknown = hidden & ~trained[events.items]
    if most_unknown == 0:
        return no_event("the training part has every hidden film", parts, unknown)
    share = float(unknown.sum() / max(1, hidden.sum()))
    name = "the training part has nearly every hidden film"
    return Fact(name, share, most=most_unknown, unit="of hidden events lack it", sample=sample_of(parts, unknown))


def user_order(parts: Parts) -> list[Fact]:
    """Per user: training before validation before test, by place, so that equal times count too."""
    place, users = np.arange(len(parts.part)), parts.interactions.users
    last = np.full(parts.interactions.n_users, -1)
    facts = []
    for earlier, later, name in (
        (Part.TRAIN, Part.VALID, "each user's validation films come after the training films"),
        (Part.VALID, Part.TEST, "each user's test films come after all others"),
    ):
        np.maximum.at(last, users[parts.part == earlier], place[parts.part == earlier])
        facts.append(no_event(name, parts, (parts.part == later) & (place < last[users])))
    return facts


def date_order(parts: Parts) -> list[Fact]:
    """Whoever the user is: training before validation before test, by time."""
    times = parts.interactions.times
    facts = []
    for earlier, later, name in (
        ((Part.TRAIN,), Part.VALID, "every validation event is later than all training events"),
        ((Part.TRAIN, Part.VALID), Part.TEST, "every test event is later than all others"),
    ):
        before = times[np.isin(parts.part, earlier)]
        latest = before.max() if len(before) else np.iinfo(np.int64).min
        facts.append(no_event(name, parts, (parts.part == later) & (times <= latest)))
    return facts


def latest_hidden(parts: Parts, due: tuple[LongArray, LongArray]) -> list[Fact]:
    """The last films of a user are hidden. due: int64 [n_users] for validation (of what test leaves) and for test."""
    facts = []
    considered = np.isin(parts.part, (Part.TRAIN, *HIDDEN))
    for hidden, n_due, name in (
        (Part.TEST, due[1], "each user's latest films are in the test part"),
        (Part.VALID, due[0], "each user's latest films before the test films are in the validation part"),
    ):
        events = np.flatnonzero(considered)
        users = parts.interactions.users[events]
        ends = np.searchsorted(users, np.arange(parts.interactions.n_users), side="right")
        late = ends[users] - np.arange(len(events)) <= n_due[users]
        mask = np.zeros(len(parts.part), dtype=bool)
        mask[events[late]] = True
        facts.append(no_event(name, parts, mask & (parts.part != hidden)))
        considered &= parts.part != hidden
    return facts
