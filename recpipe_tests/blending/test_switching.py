from dataclasses import replace

import numpy as np
import pytest

from recpipe.blending.blend import Blend, blend
from recpipe.blending.choosing import choose
from recpipe.blending.pages import markdown
from recpipe.blending.settings import EnsembleSettings
from recpipe.blending.switching import SECONDS_A_DAY, Switch, activity
from recpipe.data.parts import HeldOut
from recpipe.evaluation.ranking import rank
from recpipe_tests.evaluation.scorers import Known, hidden, watched

N_USERS, N_ITEMS = 400, 60


def world(apart: bool):
    """Two members. Where `apart`, "long" sees the taste of users with ten films and "short" that of those with two."""
    random = np.random.default_rng(0)
    taste = random.normal(size=(N_USERS, N_ITEMS))
    long = np.arange(N_USERS) % 2 == 1
    histories = [list(range(10 if each else 2)) for each in long]
    targets = (10 + np.argsort(-taste[:, 10:], axis=1)[:, :5]).tolist()
    held_out = hidden(histories, targets, N_ITEMS)
    lists = {}
    for member, sees in (("long", long), ("short", ~long)):
        blind = np.where(sees[:, None], 0.7, 30.0) if apart else 1.0
        noisy = taste + blind * random.normal(size=taste.shape)
        lists[member] = rank(Known(noisy.astype(np.float32)), held_out.histories, 30)
    return lists, held_out, long


def settings(**changes) -> EnsembleSettings:
    return EnsembleSettings(
        **{"members": ("long", "short"), "metric": "ndcg@10", "candidates": 30, "switch_by": "length"} | changes
    )


def test_users_of_two_kinds_get_the_member_that_knows_them():
    lists, held_out, long = world(apart=True)
    chosen = choose(lists, held_out, settings())
    assert chosen.switch is not None and chosen.switch.limit == 6 and "Switching by length is used" in chosen.verdict
    assert chosen.switch.weights["long"] > 0.8 and chosen.weights["short"] > 0.8
    assert chosen.used["long"] == pytest.approx(0.5, abs=0.1)
    assert chosen.score > choose(lists, held_out, settings(switch_by="none")).score + 0.01
    made = blend(lists, chosen, held_out.histories, 10)
    for rows, weights in ((long, chosen.switch.weights), (~long, chosen.weights)):
        users = np.flatnonzero(rows)
        alike = replace(chosen, weights=weights, switch=None)
        np.testing.assert_array_equal(made.items[users], blend(lists, alike, held_out.histories, 10).items[users])


def test_without_a_member_the_others_have_its_weight():
    lists, held_out, _ = world(apart=True)
    chosen = choose(lists, held_out, settings())
    three = {"long": 0.2, "short": 0.3, "other": 0.5}
    assert chosen.limited_to(["short", "long", "more"]) is chosen
    plain = replace(chosen, weights=three, switch=None).limited_to(["long", "short"])
    assert plain.used == pytest.approx({"long": 0.4, "short": 0.6})
    assert chosen.switch is not None
    above = replace(chosen.switch, weights={"long": 1.0})
    one = replace(chosen, kept=True, weights=three, switch=above).limited_to(["short"])
    assert one.used == pytest.approx({"short": 1.0})
    assert [dict(weights) for _, weights in one.groups(held_out.histories)] == [{"short": 1.0}] * 2
    with pytest.raises(ValueError, match="none of long, short"):
        replace(chosen, weights={"long": 0.5, "short": 0.5}, switch=None).limited_to(["other"])


def test_where_users_are_alike_there_is_one_set_of_weights():
    lists, held_out, _ = world(apart=False)
    chosen = choose(lists, held_out, settings())
    plain = choose(lists, held_out, settings(switch_by="none"))
    assert chosen.switch is None and "Switching by length is not used" in chosen.verdict
    assert chosen.weights == plain.weights and chosen.score == plain.score


def test_too_few_users_on_a_side_are_said_and_nothing_is_tried():
    lists, held_out, long = world(apart=False)
    few = np.sort(np.concatenate([np.flatnonzero(long)[:20], np.flatnonzero(~long)]))
    lists = {member: replace(each, items=each.items[few], scores=each.scores[few]) for member, each in lists.items()}
    chosen = choose(lists, HeldOut(held_out.histories.rows(few), held_out.targets.rows(few)), settings())
    assert chosen.kept and chosen.switch is None
    assert "Switching by length was not tried: fewer than 50 users on one side" in chosen.verdict


def test_the_switch_comes_back_from_its_folder_and_stands_on_the_page(tmp_path):
    lists, held_out, _ = world(apart=True)
    chosen = choose(lists, held_out, settings())
    chosen.write(tmp_path)
    again = Blend.read(tmp_path)
    assert again == chosen
    assert "films watched have weights of their own" in markdown(again)


def test_recent_films_are_those_of_the_month_up_to_each_users_own_last():
    month, day = 30 * SECONDS_A_DAY, SECONDS_A_DAY
    events = watched([[0, 1, 2], [3], [4, 5]], 9)
    times = np.array([0, day, month + day, 7, 0, month - 1])
    histories = replace(events, times=times).histories()
    assert activity(histories, "recent").tolist() == [1, 1, 2]
    assert activity(histories, "length").tolist() == [3, 1, 2]
    assert activity(histories.rows(np.array([2])), "recent").tolist() == [2]
    assert activity(histories.rows(np.array([], dtype=np.int64)), "recent").tolist() == []


def test_nobody_with_an_empty_history_is_above():
    histories = watched([[], [1, 2]], 3).histories()
    assert Switch("recent", 0, 0.5, {}).above(histories).tolist() == [False, True]


def test_an_unknown_way_to_tell_users_apart_is_named():
    with pytest.raises(ValueError, match="'age'; known are length, recent"):
        activity(watched([[1]], 2).histories(), "age")
