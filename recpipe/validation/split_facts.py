"""Facts of the split-integrity suite that hold whatever the strategy: nothing lost, parts disjoint, sizes as set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.strategy import first_watches
from recpipe.validation.engine import SAMPLE, Fact

HIDDEN = (Part.VALID, Part.TEST)
FOLD_IN = (Part.VALID_FOLD_IN, Part.TEST_FOLD_IN)


def nothing_lost(interactions: Interactions, parts: Parts) -> list[Fact]:
    """Parts and dropped events add up to the input, each drop with a reason."""
    (n_lost, lost), (n_invented, invented) = _difference(interactions, parts.interactions)
    split = parts.interactions
    same_user = np.diff(split.users) == 0
    backwards = np.append(False, same_user & (np.diff(split.times) < 0))
    dropped = parts.part == Part.DROPPED
    with_reason = np.append([bool(reason.strip()) for reason in parts.reasons], np.zeros(256, dtype=bool))[parts.reason]
    return [
        Fact("every event of the input is in the split", n_lost, most=0, unit="events lost", sample=lost),
        Fact("every event of the split is in the input", n_invented, most=0, unit="events invented", sample=invented),
        no_event("events of a user stand in time order", parts, backwards),
        no_event("every event has a part that exists", parts, parts.part > max(Part)),
        no_event("every dropped event has a reason", parts, dropped & ~with_reason),
        no_event("no event that is kept has a reason for being dropped", parts, ~dropped & (parts.reason != 0)),
    ]


def parts_disjoint(parts: Parts) -> Fact:
    """No pair of user and film in two parts."""
    events = parts.interactions
    kept = np.flatnonzero(parts.part != Part.DROPPED)
    pairs = events.users[kept].astype(np.int64) * events.n_items + events.items[kept]
    order = np.argsort(pairs, kind="stable")
    torn = (np.diff(pairs[order]) == 0) & (np.diff(parts.part[kept][order].astype(np.int16)) != 0)
    mask = np.zeros(len(events), dtype=bool)
    mask[kept[order[1:][torn]]] = True
    return no_event("no film of a user stands in two parts", parts, mask)


def dropped_as_promised(parts: Parts, drops: str) -> list[Fact]:
    """Nothing is dropped, or nothing but later watches of a film. drops: as in `Promises`."""
    dropped = parts.part == Part.DROPPED
    match drops:
        case "none":
            return [no_event("no event is dropped", parts, dropped)]
        case "repeats":
            first = first_watches(parts.interactions)
            return [no_event("only later watches of a film are dropped", parts, dropped & first)]
        case _:
            return []


def sizes_kept(parts: Parts, wanted: tuple[LongArray, LongArray]) -> list[Fact]:
    """As many films hidden of each user as the settings say. wanted: int64 [n_users] for validation and test."""
    valid, test = (events_a_user(parts, part) for part in HIDDEN)
    return [
        no_user(
            "each user has as many validation films as the settings say", valid != wanted[0], seen=valid, due=wanted[0]
        ),
        no_user("each user has as many test films as the settings say", test != wanted[1], seen=test, due=wanted[1]),
    ]


def kept_films(parts: Parts) -> LongArray:
    """int64 [n_users]: events of each user that are not dropped."""
    return events_a_user(parts, Part.TRAIN, *HIDDEN, *FOLD_IN)


def users_of(parts: Parts, part: Part) -> int:
    """Users with an event in this part."""
    return int(has(parts, part).sum())


def events_a_user(parts: Parts, *which: Part) -> LongArray:
    """int64 [n_users]: events of each user in these parts."""
    users = parts.interactions.users[np.isin(parts.part, which)]
    return np.bincount(users, minlength=parts.interactions.n_users)


def has(parts: Parts, *which: Part) -> NDArray[np.bool_]:
    """bool [n_users]: the user has an event in these parts."""
    return events_a_user(parts, *which) > 0


def no_event(name: str, parts: Parts, broken: NDArray[np.bool_]) -> Fact:
    """No event breaks the rule. broken: bool [events]."""
    return Fact(name, int(broken.sum()), most=0, unit="events", sample=sample_of(parts, broken))


def no_user(name: str, broken: NDArray[np.bool_], **columns: LongArray) -> Fact:
    """No user breaks the rule. broken: bool [n_users]; columns: int64 [n_users], shown in the sample."""
    rows = tuple(
        {"user": int(user)} | {column: int(values[user]) for column, values in columns.items()}
        for user in np.flatnonzero(broken)[:SAMPLE]
    )
    return Fact(name, int(broken.sum()), most=0, unit="users", sample=rows)


def sample_of(parts: Parts, mask: NDArray[np.bool_]) -> tuple[dict[str, Any], ...]:
    """The first events of the mask, as rows for people."""
    events = parts.interactions
    return tuple(
        {
            "event": int(event),
            "user": int(events.users[event]),
            "item": int(events.items[event]),
            "time": int(events.times[event]),
            "part": Part(parts.part[event]).name.lower() if parts.part[event] in list(Part) else int(parts.part[event]),
        }
        for event in np.flatnonzero(mask)[:SAMPLE]
    )


def _difference(given: Interactions, split: Interactions) -> list[tuple[int, tuple[dict[str, int], ...]]]:
    """How many events the one has more often than the other, and some of them; then the other way round."""
    columns = ("users", "items", "times")
    if len(given) == len(split) and all(np.array_equal(getattr(given, name), getattr(split, name)) for name in columns):
        return [(0, ()), (0, ())]
    user, item, time = (np.concatenate((getattr(given, name), getattr(split, name))) for name in columns)
    order = np.lexsort((time, item, user))
    rows = np.column_stack((user, item, time))[order]
    starts = np.flatnonzero(np.append(True, (np.diff(rows, axis=0) != 0).any(axis=1)))
    balance = np.add.reduceat(np.where(order < len(given), 1, -1), starts)
    found = []
    for surplus in (np.maximum(balance, 0), np.maximum(-balance, 0)):
        some = rows[starts[surplus > 0][:SAMPLE]].tolist()
        sample = tuple({"user": user, "item": item, "time": time} for user, item, time in some)
        found.append((int(surplus.sum()), sample))
    return found
