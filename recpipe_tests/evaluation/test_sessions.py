"""Every step of a session is asked about, with what came before it and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recpipe.data.interactions import Histories, Interactions, LongArray
from recpipe.evaluation.sessions import every_step


def sessions(*films: list[int]) -> Histories:
    users = np.repeat(np.arange(len(films)), [len(each) for each in films])
    items = np.array([film for each in films for film in each])
    return Interactions.sorted_from(users, items, np.arange(len(items)) * 10, None, len(films), 9).histories()


def rows(histories: Histories) -> list[list[int]]:
    return [histories.items[begin:end].tolist() for begin, end in pairwise(histories.offsets)]


def test_each_film_but_the_first_is_to_be_found_after_those_before_it() -> None:
    steps = every_step(sessions([3, 1, 4], [5], [], [2, 6]))
    assert rows(steps.histories) == [[3], [3, 1], [2]]
    assert rows(steps.targets) == [[1], [4], [6]]
    assert steps.histories.users.tolist() == steps.targets.users.tolist() == [0, 0, 3]
    assert steps.histories.times.tolist() == [0, 0, 10, 40]


@pytest.mark.parametrize(("begins", "expected"), [(0, [[], [3], [3, 1], []]), (np.array([2, 1]), [[3, 1]])])
def test_the_first_step_to_be_found_can_be_chosen(begins: LongArray | int, expected: list[list[int]]) -> None:
    assert rows(every_step(sessions([3, 1, 4], [5]), begins).histories) == expected


def test_without_sessions_there_is_no_step() -> None:
    assert len(every_step(sessions([3], []))) == 0
