"""What every split strategy does to histories that are in sight."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import recpipe
from recpipe.data.interactions import NEWCOMER, Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.ratios import ratio_sizes
from recpipe.data.splits.strategy import REPEAT
from recpipe.data.splitting import (
    STRATEGIES,
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
    strategy_from,
)
from recpipe.storage import content_digest
from recpipe_tests.data.generated import NO_SHARED, SHARED, generated, movielens, of_rows

CONF = Path(recpipe.__file__).parent / "conf" / "splits"
EACH: list[AnyStrategy] = [
    Holdout(), RatioRandom(), RatioTime(), LeaveOneOut(), ByDate(), Strong(), Folds(fold=2), Quick(), Full(),
]  # fmt: skip
IDS = [strategy.strategy for strategy in EACH]


def one_user(n: int) -> Interactions:
    """Films 0, 1, ... in this order."""
    return of_rows([(0, place, place) for place in range(n)])


def films(parts: Parts, part: Part) -> list[int]:
    return parts.events(part).items.tolist()


@pytest.mark.parametrize("strategy", EACH, ids=IDS)
def test_every_event_has_one_part_and_every_drop_a_reason(strategy: AnyStrategy) -> None:
    interactions = generated(repeats=True)
    parts = strategy.split(interactions)
    assert parts.interactions is interactions
    dropped = parts.part == Part.DROPPED
    assert all(parts.reasons[reason] for reason in parts.reason[dropped])
    assert not parts.reason[~dropped].any()


@pytest.mark.parametrize("strategy", EACH, ids=IDS)
def test_the_same_settings_give_the_same_split_and_another_seed_another(strategy: AnyStrategy) -> None:
    interactions = generated()
    assert strategy.split(interactions).digest() == strategy.split(interactions).digest()
    if "seed" in type(strategy).model_fields:
        other = strategy.model_copy(update={"seed": 1})
        assert other.split(interactions).digest() != strategy.split(interactions).digest()


@pytest.mark.parametrize("strategy", [each for each in EACH if each.strategy != "full"], ids=IDS[:-1])
def test_a_later_watch_of_the_same_film_is_dropped(strategy: AnyStrategy) -> None:
    interactions = generated(repeats=True)
    parts = strategy.split(interactions)
    pairs = interactions.users.astype(np.int64) * interactions.n_items + interactions.items
    later = np.ones(len(pairs), dtype=bool)
    later[np.unique(pairs, return_index=True)[1]] = False
    assert later.sum() > 50
    assert {parts.reasons[reason] for reason in parts.reason[later]} == {REPEAT}
    assert np.array_equal(parts.part[~later], strategy.split(interactions.take(~later)).part)


def test_full_trains_on_everything() -> None:
    interactions = generated(repeats=True)
    parts = Full().split(interactions)
    assert len(parts.train) == len(interactions) and not len(parts.test)


@pytest.mark.parametrize("strategy", [each for each in EACH if each.sizes(np.arange(3)) is not None], ids=str)
def test_the_sizes_of_the_parts_are_those_that_the_strategy_says(strategy: AnyStrategy) -> None:
    parts = strategy.split(generated())
    kept = parts.events(Part.TRAIN, Part.VALID, Part.TEST)
    wanted = strategy.sizes(np.diff(kept.offsets))
    assert wanted is not None
    for part, sizes in zip((Part.VALID, Part.TEST), wanted, strict=True):
        assert np.array_equal(np.diff(parts.events(part).offsets), sizes)


def test_holdout_hides_the_last_films_and_drawn_ones() -> None:
    parts = Holdout().split(one_user(100))
    test, valid = films(parts, Part.TEST), films(parts, Part.VALID)
    assert len(test) == len(valid) == 10
    assert test[-5:] == [95, 96, 97, 98, 99] and test[4] < 95
    rest = [film for film in range(100) if film not in test]
    assert valid[-5:] == rest[-5:] and valid[:5] != rest[-10:-5]


def test_short_histories_hide_at_most_the_share() -> None:
    hidden = {n: len(films(Holdout().split(one_user(n)), Part.TEST)) for n in (4, 5, 9, 10, 15, 49, 50, 51)}
    assert hidden == {4: 0, 5: 1, 9: 1, 10: 2, 15: 3, 49: 9, 50: 10, 51: 10}
    assert films(Holdout().split(one_user(5)), Part.TEST) == [4]
    assert films(Holdout().split(one_user(15)), Part.TEST)[-2:] == [13, 14]


def test_drawn_films_are_drawn_evenly() -> None:
    drawn = [films(Holdout(seed=seed).split(one_user(60)), Part.TEST)[:5] for seed in range(300)]
    counts = np.bincount(np.concatenate(drawn), minlength=55)
    assert len(counts) == 55 and counts.min() > 10 and counts.max() < 50


def recbole_sizes(n: int, ratios: list[float]) -> list[int]:
    counts = [int(ratio * n) for ratio in ratios]
    counts[0] = n - sum(counts[1:])
    for back in range(1, len(ratios)):
        if counts[0] <= 1:
            break
        if 0 < ratios[-back] * n < 1:
            counts[-back] += 1
            counts[0] -= 1
    return counts


def test_ratios_are_rounded_as_recbole_rounds_them() -> None:
    n = np.arange(200)
    valid, test = ratio_sizes(n, 0.8, 0.1)
    for size in n:
        assert [size - valid[size] - test[size], valid[size], test[size]] == recbole_sizes(int(size), [0.8, 0.1, 0.1])


def test_ratio_time_hides_the_latest_tenth() -> None:
    parts = RatioTime().split(one_user(20))
    assert films(parts, Part.VALID) == [16, 17] and films(parts, Part.TEST) == [18, 19]


def test_ratio_random_hides_films_of_any_age() -> None:
    parts = RatioRandom().split(one_user(100))
    assert np.ptp(films(parts, Part.TEST)) > 50 and np.ptp(films(parts, Part.VALID)) > 50


def test_leave_one_out_hides_the_last_two_of_three() -> None:
    parts = LeaveOneOut().split(of_rows([(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 4, 1), (1, 5, 2)]))
    assert films(parts, Part.TRAIN) == [1, 4, 5]
    assert films(parts, Part.VALID) == [2] and films(parts, Part.TEST) == [3]


def test_equal_times_keep_the_order_of_delivery() -> None:
    parts = LeaveOneOut().split(of_rows([(0, 7, 5), (0, 3, 5), (0, 9, 5), (0, 1, 4)]))
    assert films(parts, Part.TRAIN) == [1, 7] and films(parts, Part.VALID) == [3] and films(parts, Part.TEST) == [9]


def test_strong_keeps_held_out_users_outside_training() -> None:
    interactions = generated()
    parts = Strong().split(interactions)
    trained = set(parts.train.users.tolist())
    for held_out, known in ((parts.valid, Part.VALID_FOLD_IN), (parts.test, Part.TEST_FOLD_IN)):
        assert len(held_out) == 20  # a tenth of the 196 users with two films, one film of the rest
        assert (held_out.histories.users == NEWCOMER).all()
        assert not trained & set(parts.events(known).users.tolist())
        assert (held_out.histories.lengths > 0).all() and (held_out.targets.lengths > 0).all()
        lengths = held_out.histories.lengths + held_out.targets.lengths
        assert (held_out.targets.lengths == np.maximum(1, lengths * 2 // 10)).all()
    assert set(parts.test.targets.items.tolist()) <= set(parts.train.items.tolist())


def test_folds_are_disjoint_and_cover_everything() -> None:
    interactions = generated()
    hidden = np.array([Folds(fold=fold).split(interactions).part == Part.TEST for fold in range(1, 6)])
    several = np.diff(interactions.offsets)[interactions.users] > 1
    assert (hidden.sum(axis=0) == several).all()
    assert np.ptp(hidden.sum(axis=1)) < 0.05 * len(interactions)
    a_user = np.array([np.bincount(interactions.users[fold], minlength=200) for fold in hidden])
    assert np.ptp(a_user, axis=0).max() <= 1


def test_quick_keeps_a_deterministic_share_of_the_users() -> None:
    interactions = generated()
    parts = Quick(at_least=30).split(interactions)
    assert len(np.unique(interactions.users[parts.part != Part.DROPPED])) == 30
    assert len(np.unique(Quick(users_share=0.5).split(interactions).train.users)) == 100
    assert len(np.unique(Quick(at_least=5000).split(interactions).train.users)) == 200
    assert set(parts.summary()["dropped"]) == {"not in the quick sample"}


def test_by_date_follows_the_calendar() -> None:
    day = 86_400
    old = [(user, film, film) for user in range(5) for film in range(3)]
    valid = [(0, 10, 90 * day), (0, 2, 90 * day + 1), (1, 0, 90 * day + 2), (1, 1, 90 * day + 3), (2, 0, 91 * day)]
    valid = [(user + 5, film, time) for user, film, time in valid]
    test = [(8, 0, 110 * day), (8, 1, 111 * day), (9, 99, 111 * day), (8, 2, 112 * day)]
    parts = ByDate(days=14).split(of_rows(old + valid + test))
    assert len(parts.train) == 15
    assert parts.events(Part.VALID).users.tolist() == [6, 6]  # 5 keeps one known film, 7 has but one
    assert films(parts, Part.TEST) == [0, 1, 2]
    assert parts.summary()["dropped"] == {
        "the training part does not have this film": 2,
        "the user has fewer than 2 events in this part": 2,
    }
    assert (parts.test.histories.users == NEWCOMER).all()


def test_an_event_on_the_boundary_belongs_to_the_later_part() -> None:
    old = [(user, film, film) for user in range(5) for film in range(3)]
    day = 86_400
    parts = ByDate(days=1, least_session=1).split(of_rows([*old, (6, 0, 10 * day), (7, 0, 20 * day), (8, 1, 21 * day)]))
    assert films(parts, Part.VALID) == [0] and films(parts, Part.TEST) == [0, 1]


@pytest.mark.skipif(not (SHARED / "ml-1m.zip").exists(), reason=NO_SHARED)
def test_by_date_gives_the_figures_of_the_session_experiment() -> None:
    parts = ByDate(days=14).split(movielens("ml-1m"))

    def row(part: Part) -> tuple[Any, ...]:
        events = parts.events(part)
        first, last = (datetime.fromtimestamp(int(time), UTC) for time in (events.times.min(), events.times.max()))
        counts = len(events), len(np.unique(events.users)), len(np.unique(events.items))
        return *counts, f"{first:%Y-%m-%d %H:%M:%S}", f"{last:%Y-%m-%d %H:%M:%S}"

    assert row(Part.TRAIN) == (998_112, 6_040, 3_416, "2000-04-25 23:05:32", "2003-01-31 12:16:30")
    assert row(Part.VALID) == (883, 39, 692, "2003-01-31 17:23:06", "2003-02-14 02:02:32")
    assert row(Part.TEST) == (575, 44, 489, "2003-02-15 00:15:09", "2003-02-28 17:49:50")


@pytest.mark.parametrize("with_ratings", [True, False])
def test_a_split_comes_back_from_its_folder_with_equal_bytes(tmp_path: Path, with_ratings: bool) -> None:
    interactions = generated(repeats=True)
    if not with_ratings:
        rows = interactions.users, interactions.items, interactions.times
        interactions = Interactions(*rows, None, interactions.n_users, interactions.n_items)
    parts = Strong().split(interactions)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        parts.write(tmp_path / name)
    assert content_digest(tmp_path / "one") == content_digest(tmp_path / "two")
    back = Parts.read(tmp_path / "one")
    assert back.digest() == parts.digest() and back.reasons == parts.reasons
    assert np.array_equal(back.reason, parts.reason)
    assert (back.interactions.ratings is None) is not with_ratings
    assert back.interactions.users.dtype == np.int32 and back.interactions.times.dtype == np.int64


def test_the_summary_counts_every_part() -> None:
    parts = LeaveOneOut().split(of_rows([(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 1, 4), (1, 4, 1)]))
    assert parts.summary() == {
        "train": {"events": 2, "users": 2, "items": 2},
        "valid": {"events": 1, "users": 1, "items": 1},
        "test": {"events": 1, "users": 1, "items": 1},
        "dropped": {REPEAT: 1},
    }


def test_the_digest_tells_one_changed_event() -> None:
    parts = RatioRandom().split(generated())
    part = parts.part.copy()
    part[17] = Part.TEST if part[17] != Part.TEST else Part.TRAIN
    assert Parts(parts.interactions, part, parts.reason).digest() != parts.digest()


def test_every_yaml_is_a_strategy_with_all_its_settings() -> None:
    files = sorted(CONF.glob("*.yaml"))
    assert len(files) == 13
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# "), f"{file.name} does not say what it is for"
        settings = yaml.safe_load(text)
        strategy = strategy_from(settings)
        assert settings == strategy.model_dump(), f"{file.name} leaves settings out"
        assert file.stem == (f"fold_{settings['fold']}" if settings["strategy"] == "folds" else settings["strategy"])
    assert {yaml.safe_load(file.read_text(encoding="utf-8"))["strategy"] for file in files} == set(STRATEGIES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "hold_out"}, r"nearest: holdout"),
        ({}, r"wanted one of holdout, .*; got None"),
        ({"strategy": "holdout", "lst": 3}, r"lst: unknown setting \(nearest: last\)"),
        ({"strategy": "quick", "within": {"most_shares": 0.2}}, r"within\.most_shares: unknown .*nearest: most_share"),
        ({"strategy": "ratio_time", "train": 1.5}, r"train: .*less than 1; got 1\.5"),
        ({"strategy": "ratio_random", "train": 0.9, "valid": 0.1}, r"wanted below 1, the rest is the test part"),
        ({"strategy": "folds", "fold": 6}, r"fold 6 of 5 does not exist"),
        ({"strategy": "holdout", "last": 0, "random": 0}, r"hides nothing"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strategy_from(settings)


def test_what_cannot_be_split_is_refused() -> None:
    nothing = generated().take(np.array([], dtype=np.int64))
    with pytest.raises(ValueError, match="at least one event"):
        LeaveOneOut().split(nothing)
    with pytest.raises(ValueError, match="lower `days`"):
        ByDate().split(one_user(10))
    with pytest.raises(ValueError, match="users left for training"):
        Strong(valid_users=0.4, test_users=0.4).split(of_rows([(0, 1, 1), (0, 2, 2), (1, 1, 1), (1, 2, 2)]))
