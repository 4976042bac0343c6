"""Sessions side by side: every step exactly once, in order, in one lane; nothing is lost at the end of an epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Histories, Interactions
from recpipe.training.batches import Batch
from recpipe.training.lanes import lane_batches

PADDING = 1_000_000
Step = tuple[int, int]


class Walk(NamedTuple):
    """What one lane saw, step by step: films, targets, and whether a session begins."""

    films: list[int]
    targets: list[int]
    begins: list[bool]


def sessions(lengths: list[int]) -> Histories:
    """Every event is a film of its own, so that a film says where in which session it stands."""
    users = np.repeat(np.arange(len(lengths)), lengths)
    items = np.arange(len(users))
    return Interactions.sorted_from(users, items, items, None, len(lengths), PADDING).histories()


def some_lengths(seed: int) -> list[int]:
    numbers = np.random.default_rng(seed)
    return [*numbers.choice([0, 1, 2, 3, 5, 8, 40], size=int(numbers.integers(1, 40))).tolist(), 2]


def batches(lengths: list[int], n_lanes: int, n_steps: int, seed: int = 0) -> list[Batch]:
    stream = lane_batches(sessions(lengths), n_lanes, n_steps)(np.random.default_rng(seed))
    found = list(stream)
    assert len(found) == len(stream)
    return found


def walks(found: list[Batch]) -> dict[int, Walk]:
    """By the number of the lane, padding left out."""
    seen: dict[int, Walk] = {}
    for films, targets, begins, lanes, _, _ in found:
        for row, lane in enumerate(lanes.tolist()):
            walk = seen.setdefault(lane, Walk([], [], []))
            real = films[row] != PADDING
            assert torch.equal(real, targets[row] != PADDING)
            for kept, new in zip(walk, (films[row], targets[row], begins[row]), strict=True):
                kept += new[real].tolist()
    return seen


SHAPES = [(seed, n_lanes, n_steps) for seed in range(8) for n_lanes in (1, 2, 7, 1000) for n_steps in (1, 3, 50)]


@pytest.mark.parametrize(("seed", "n_lanes", "n_steps"), SHAPES)
def test_every_step_of_every_session_is_taken_once_and_in_order(seed: int, n_lanes: int, n_steps: int) -> None:
    lengths = some_lengths(seed)
    seen = walks(batches(lengths, n_lanes, n_steps, seed))
    ends = np.cumsum(lengths)
    expected = [film for film in range(sum(lengths)) if film + 1 not in ends]
    assert sorted(film for walk in seen.values() for film in walk.films) == expected
    firsts = {int(end) - length for end, length in zip(ends, lengths, strict=True) if length > 1}
    for walk in seen.values():
        assert walk.targets == [film + 1 for film in walk.films]
        assert [film for film, begins in zip(walk.films, walk.begins, strict=True) if begins] == [
            film for film in walk.films if film in firsts
        ]
        following = zip(walk.targets, walk.films[1:], walk.begins[1:], strict=False)
        assert all(begins or target == film for target, film, begins in following)
        assert walk.begins[0]


@pytest.mark.parametrize(("seed", "n_lanes", "n_steps"), SHAPES)
def test_no_batch_is_empty_and_lanes_only_run_empty_at_the_end(seed: int, n_lanes: int, n_steps: int) -> None:
    lengths = some_lengths(seed)
    found = batches(lengths, n_lanes, n_steps, seed)
    n_sessions = sum(length > 1 for length in lengths)
    assert len(found[0][0]) == min(n_lanes, n_sessions)
    before = len(found[0][0])
    for place, (films, _, begins, lanes, all_targets, turn) in enumerate(found):
        assert (films != PADDING).any(dim=1).all() and (films != PADDING).any(dim=0).all()
        assert not begins[films == PADDING].any()
        assert lanes.tolist() == list(range(len(films))) and len(films) <= before
        assert all_targets.shape == (1, *films.shape) and int(turn) == place % 2
        if place + 1 < len(found):
            going_on = films[: len(found[place + 1][0])]
            assert films.shape[1] == n_steps and (going_on != PADDING).all()
        before = len(films)


def test_a_lane_that_is_free_takes_the_next_session_and_none_waits() -> None:
    found = batches([9, 3, 3, 3, 3, 2, 2], n_lanes=2, n_steps=4)
    totals = sorted(len(walk.films) for walk in walks(found).values())
    assert sum(totals) == 18 and totals[1] - totals[0] <= 2  # 8, and 2 + 2 + 2 + 2 + 1 + 1 shared out


def test_long_sessions_end_with_the_others() -> None:
    lengths = [1001, *[11] * 400]
    for seed in range(5):
        assert sum(len(films) == 5 for films, *_ in batches(lengths, 5, 1, seed)) > 950  # of 1000 at the least


def flat(found: list[Batch]) -> list[Tensor]:
    return [tensor for batch in found for tensor in batch]


def test_a_seed_fixes_the_epoch_and_every_epoch_differs() -> None:
    lengths = some_lengths(3)
    one, again, other = (flat(batches(lengths, 4, 3, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])


@pytest.mark.parametrize("lengths", [[], [0, 0], [1, 1, 0]])
def test_without_a_step_there_is_no_batch(lengths: list[int]) -> None:
    assert batches(lengths, 4, 3) == []
