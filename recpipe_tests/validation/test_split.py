"""Split integrity: every planted fault is caught by the check that names it, and honest splits raise no alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recpipe.data.interactions import Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.splitting import (
    AnyStrategy,
    ByDate,
    Folds,
    Full,
    Holdout,
    LeaveOneOut,
    Quick,
    RatioRandom,
    RatioTime,
    Strong,
)
from recpipe.validation.outcome import ValidationFailed
from recpipe.validation.popularity import rank_agreement
from recpipe.validation.split import SplitLimits, validate_split
from recpipe_tests.data.generated import NO_SHARED, SHARED, generated, movielens

EACH: list[AnyStrategy] = [
    Holdout(), RatioRandom(), RatioTime(), LeaveOneOut(), ByDate(), Strong(), Folds(fold=2), Quick(), Full(),
]  # fmt: skip
IDS = [strategy.strategy for strategy in EACH]
SMALL = SplitLimits(least_hidden_users=5)

Fault = Callable[[Parts], Parts]


@pytest.fixture(scope="module")
def interactions() -> Interactions:
    return generated(repeats=True)


@pytest.mark.parametrize("strategy", EACH, ids=IDS)
def test_an_honest_split_of_generated_data_raises_no_alarm(strategy: AnyStrategy, interactions: Interactions) -> None:
    validate_split(strategy, interactions, strategy.split(interactions), SMALL).raise_if_failed()


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m"])
def test_honest_splits_of_movielens_raise_no_alarm(name: str) -> None:
    if not (SHARED / f"{name}.zip").exists():
        pytest.skip(NO_SHARED)
    real = movielens(name)
    for strategy in EACH:
        validate_split(strategy, real, strategy.split(real)).raise_if_failed()


def moved(source: Part, target: Part, which: Callable[[Parts], np.ndarray] | None = None) -> Fault:
    """A fault: events of one part go to another; all, or those that `which` (bool [events]) chooses."""

    def plant(parts: Parts) -> Parts:
        chosen = parts.part == source
        if which is not None:
            chosen = chosen & which(parts)
        assert chosen.any()
        return replace(parts, part=np.where(chosen, target, parts.part).astype(np.uint8))

    return plant


def first_of(part: Part) -> Callable[[Parts], np.ndarray]:
    """The oldest event in this part of the user who has most events in it."""

    def which(parts: Parts) -> np.ndarray:
        inside = parts.part == part
        user = np.bincount(parts.interactions.users[inside]).argmax()
        chosen = np.zeros(len(parts.part), dtype=bool)
        chosen[np.flatnonzero(inside & (parts.interactions.users == user))[0]] = True
        return chosen

    return which


def of_some_user_with(part: Part) -> Callable[[Parts], np.ndarray]:
    """All events of the first user with an event in this part."""
    return lambda parts: parts.interactions.users == parts.interactions.users[parts.part == part][0]


def repeat_becomes_test(parts: Parts) -> Parts:
    repeats = np.flatnonzero(parts.reason == len(parts.reasons) - 1)[:3]
    part, reason = parts.part.copy(), parts.reason.copy()
    users, items = parts.interactions.users, parts.interactions.items
    for repeat in repeats:  # its first watch trains, whatever was drawn
        part[(users == users[repeat]) & (items == items[repeat])] = Part.TRAIN
    part[repeats], reason[repeats] = Part.TEST, 0
    return replace(parts, part=part, reason=reason)


def without_event(parts: Parts) -> Parts:
    kept = np.arange(len(parts.part)) != 40
    return Parts(parts.interactions.take(kept), parts.part[kept], parts.reason[kept], parts.reasons)


def with_a_changed_time(parts: Parts) -> Parts:
    times = parts.interactions.times.copy()
    times[-1] += 1
    return replace(parts, interactions=replace(parts.interactions, times=times))


def out_of_order(parts: Parts) -> Parts:
    start = int(parts.interactions.offsets[50])
    order = np.arange(len(parts.part))
    order[[start, start + 5]] = order[[start + 5, start]]
    events = parts.interactions
    shuffled = replace(events, items=events.items[order], times=events.times[order])
    return Parts(shuffled, parts.part[order], parts.reason[order], parts.reasons)


def without_reason(parts: Parts) -> Parts:
    return replace(parts, reason=np.zeros_like(parts.reason))


def reason_for_a_kept_event(parts: Parts) -> Parts:
    return replace(parts, reason=np.where(parts.part == Part.TEST, 1, parts.reason).astype(np.uint8))


def unknown_part(parts: Parts) -> Parts:
    return replace(parts, part=np.where(np.arange(len(parts.part)) == 7, 9, parts.part).astype(np.uint8))


def hidden_without_cause(parts: Parts) -> Parts:
    dropped = (parts.part == Part.TRAIN) & (parts.interactions.users == 59)
    part = np.where(dropped, Part.DROPPED, parts.part).astype(np.uint8)
    return replace(parts, part=part, reason=np.where(dropped, 1, parts.reason).astype(np.uint8))


def tie_swapped(parts: Parts) -> Parts:
    """The last two films of everybody at one and the same second, and the parts of some of them exchanged."""
    test = np.flatnonzero(parts.part == Part.TEST)[20:25]
    part = parts.part.copy()
    part[test], part[test - 1] = Part.VALID, Part.TEST
    return replace(parts, part=part)


def rarest_hidden(parts: Parts) -> Parts:
    """As SpectralCF's split: right sizes, right users, but the films of the test part were not drawn."""
    events = parts.interactions
    order = np.lexsort((events.item_counts()[events.items], events.users))
    order = order[parts.part[order] != Part.DROPPED]
    place = np.arange(len(order)) - np.searchsorted(events.users[order], events.users[order])
    n_test = np.bincount(events.users[parts.part == Part.TEST], minlength=events.n_users)
    n_valid = np.bincount(events.users[parts.part == Part.VALID], minlength=events.n_users)
    part = parts.part.copy()
    part[order] = Part.TRAIN
    part[order[place < (n_test + n_valid)[events.users[order]]]] = Part.VALID
    part[order[place < n_test[events.users[order]]]] = Part.TEST
    return replace(parts, part=part)


def film_taken_from_training(parts: Parts) -> Parts:
    """A film of the test part vanishes from training, its training events becoming validation events."""
    film = parts.interactions.items[parts.part == Part.TEST][0]
    return moved(Part.TRAIN, Part.VALID, lambda parts: parts.interactions.items == film)(parts)


FAULTS: list[tuple[str, AnyStrategy, Fault, str]] = [
    ("a pair in train and test", RatioRandom(), repeat_becomes_test, "no film of a user stands in two parts"),
    ("a lost event", RatioRandom(), without_event, "every event of the input is in the split"),
    ("an invented event", RatioRandom(), with_a_changed_time, "every event of the split is in the input"),
    ("events out of order", RatioTime(), out_of_order, "events of a user stand in time order"),
    ("a part that does not exist", RatioRandom(), unknown_part, "every event has a part that exists"),
    ("drops without a reason", RatioRandom(), without_reason, "every dropped event has a reason"),
    (
        "kept, with a reason",
        RatioRandom(),
        reason_for_a_kept_event,
        "no event that is kept has a reason for being dropped",
    ),
    ("drops without a cause", Folds(), hidden_without_cause, "only later watches of a film are dropped"),
    (
        "a user who is tested untrained",
        Folds(),
        moved(Part.TRAIN, Part.TEST, of_some_user_with(Part.TEST)),
        "every user with hidden films has training films",
    ),
    (
        "fold-in where nobody is held out",
        RatioRandom(),
        moved(Part.TRAIN, Part.TEST_FOLD_IN, first_of(Part.TRAIN)),
        "no event is set apart as known history",
    ),
    (
        "too much hidden of a user",
        Holdout(),
        moved(Part.TRAIN, Part.TEST, first_of(Part.TRAIN)),
        "each user has as many test films as the settings say",
    ),
    (
        "nothing to validate on",
        LeaveOneOut(),
        moved(Part.VALID, Part.TRAIN),
        "the validation part has enough users",
    ),
    (
        "the future in training",
        RatioTime(),
        moved(Part.VALID, Part.TRAIN, lambda parts: np.arange(len(parts.part)) % 2 == 0),
        "each user's validation films come after the training films",
    ),
    ("ties broken otherwise", LeaveOneOut(), tie_swapped, "each user's test films come after all others"),
    (
        "the latest film not hidden",
        Holdout(),
        lambda parts: moved(Part.TEST, Part.TRAIN, last_of_each)(parts),
        "each user's latest films are in the test part",
    ),
    (
        "the future in training, by date",
        ByDate(),
        moved(Part.TEST, Part.TRAIN, first_of(Part.TEST)),
        "every validation event is later than all training events",
    ),
    (
        "the past in the test part, by date",
        ByDate(),
        moved(Part.TRAIN, Part.TEST, first_of(Part.TRAIN)),
        "every test event is later than all others",
    ),
    ("a film that training lacks", ByDate(), film_taken_from_training, "the training part has every hidden film"),
    (
        "a held-out user in training",
        Strong(),
        moved(Part.TEST_FOLD_IN, Part.TRAIN, first_of(Part.TEST_FOLD_IN)),
        "no held-out user has a training film",
    ),
    (
        "a user held out twice",
        Strong(),
        moved(Part.TEST_FOLD_IN, Part.VALID_FOLD_IN, first_of(Part.TEST_FOLD_IN)),
        "no user is held out for validation and for test",
    ),
    (
        "a test user without target",
        Strong(),
        moved(Part.TEST, Part.TEST_FOLD_IN, of_some_user_with(Part.TEST)),
        "every held-out user has films to find",
    ),
    (
        "a test user without history",
        Strong(),
        moved(Part.TEST_FOLD_IN, Part.TEST, of_some_user_with(Part.TEST)),
        "every held-out user has known films",
    ),
    (
        "a split that was not drawn",
        RatioRandom(),
        rarest_hidden,
        "films are as popular in the test part as in training",
    ),
    (
        "something hidden from the refit",
        Full(),
        moved(Part.TRAIN, Part.TEST, first_of(Part.TRAIN)),
        "each user has as many test films as the settings say",
    ),
]


def last_of_each(parts: Parts) -> np.ndarray:
    """bool [events]: the last event of each user that is not dropped."""
    kept = np.flatnonzero(parts.part != Part.DROPPED)
    users = parts.interactions.users[kept]
    chosen = np.zeros(len(parts.part), dtype=bool)
    chosen[kept[np.append(users[1:] != users[:-1], True)]] = True
    return chosen


@pytest.mark.parametrize(("strategy", "plant", "check"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_caught_by_name(
    strategy: AnyStrategy, plant: Fault, check: str, interactions: Interactions
) -> None:
    outcome = validate_split(strategy, interactions, plant(strategy.split(interactions)), SMALL)
    failed = {failure.name: failure for failure in outcome.failures()}
    assert check in failed
    assert not failed[check].crashed
    with pytest.raises(ValidationFailed, match=check):
        outcome.raise_if_failed()


def test_the_popularity_checks_catch_a_split_that_was_not_drawn(interactions: Interactions) -> None:
    outcome = validate_split(RatioRandom(), interactions, rarest_hidden(RatioRandom().split(interactions)), SMALL)
    popular = {f"films are as popular in the {part} part as in training" for part in ("validation", "test")}
    assert (
        popular
        <= {check.name for check in outcome.failures()}
        <= {
            *popular,
            "the training part has nearly every hidden film",
        }
    )


def test_another_digest_than_the_recorded_one_is_caught(interactions: Interactions) -> None:
    parts = RatioRandom(seed=1).split(interactions)
    recorded = RatioRandom(seed=0).split(interactions).digest()
    outcome = validate_split(RatioRandom(seed=0), interactions, parts, SMALL, expected_digest=recorded)
    assert [check.name for check in outcome.failures()] == ["the digest of the split is the recorded one"]
    assert recorded[:16] in outcome.to_markdown()
    assert parts.digest()[:16] in outcome.to_markdown()


def test_a_failing_check_shows_rows_that_break_it(interactions: Interactions) -> None:
    parts = repeat_becomes_test(RatioRandom().split(interactions))
    outcome = validate_split(RatioRandom(), interactions, parts, SMALL)
    torn = next(check for check in outcome.failures() if check.name.startswith("no film of a user"))
    assert torn.observed == "3 events" and len(torn.sample) == 3
    assert set(torn.sample[0]) == {"event", "user", "item", "time", "part"}


@pytest.mark.parametrize("seed", range(5))
def test_drawn_parts_rank_the_films_as_drawn_parts_do(seed: int) -> None:
    parts = RatioRandom(seed=seed).split(generated(seed=seed))
    assert rank_agreement(parts, Part.TEST).gap < 0.15
    assert rank_agreement(rarest_hidden(parts), Part.TEST).gap > 0.5
