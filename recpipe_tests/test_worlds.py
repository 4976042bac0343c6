"""The generated worlds are what they say: the answer is there to find, and chance does not find it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recpipe_tests import worlds

WORLDS = [worlds.general, worlds.two_hop, worlds.first_order, worlds.second_order, worlds.repeats]


@pytest.mark.parametrize("world", WORLDS)
def test_the_optimum_is_far_above_chance(world: Callable[[], worlds.World]) -> None:
    assert world().optimum > 3 * world().chance


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_is_the_same_under_the_same_seed(world: Callable[..., worlds.World]) -> None:
    one, other = world(seed=3), world(seed=3)
    assert np.array_equal(one.train.interactions.items, other.train.interactions.items)
    assert np.array_equal(one.held_out.targets.items, other.held_out.targets.items)


@pytest.mark.parametrize("field", ["genres", "directors", "writers"])
def test_new_films_are_known_by_one_field_alone(field: str) -> None:
    world = worlds.new_films(field)
    assert world.optimum > 3 * world.chance
    assert not world.train.interactions.item_counts()[world.candidates].any()
    features = world.train.features
    assert features is not None
    assert [name for name, bag in features.bags.items() if len(bag.values)] == [field]


def test_far_films_never_share_a_history_with_what_the_asked_users_know() -> None:
    world = worlds.two_hop()
    watched = world.train.interactions.matrix()
    together = (watched.T @ watched).toarray() > 0
    known, hidden = world.held_out.histories.matrix(), world.held_out.targets.matrix()
    assert not ((known @ together) * hidden.toarray()).any()


@pytest.mark.parametrize("world", [worlds.first_order, worlds.second_order])
def test_films_of_a_chain_are_about_equally_frequent(world: Callable[[], worlds.World]) -> None:
    counts = np.bincount(world().train.interactions.items)
    assert counts.max() < 1.2 * counts.min()


def test_one_of_the_last_two_films_tells_nothing_in_the_second_order_chain() -> None:
    events = worlds.second_order().train.interactions
    pairs = np.zeros((5, 5))
    same_user = events.users[1:] == events.users[:-1]
    np.add.at(pairs, (events.items[:-1][same_user], events.items[1:][same_user]), 1)
    assert (pairs / pairs.sum(axis=1, keepdims=True)).max() < 0.26


def test_ties_count_against_a_scorer() -> None:
    world = worlds.general()
    nothing = np.zeros((len(world.held_out), world.train.n_items))
    assert worlds.recall(nothing, world.held_out, world.at, world.candidates) == 0.0


def test_the_noise_is_what_the_truth_leaves_of_the_ratings() -> None:
    world = worlds.rated()
    assert world.optimum == pytest.approx(0.3, abs=0.02)
    assert world.chance > 3 * world.optimum
