"""Vectors of users and films."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data.interactions import Histories, Interactions
from recpipe.recipe import UnknownUsers
from recpipe.scoring.factors import Factors

USERS = np.array([[1, 0], [0, 2]], dtype=np.float32)
FILMS = np.array([[1, 1], [3, 0], [0, 5]], dtype=np.float32)


def histories() -> Histories:
    no_events = np.zeros(0, dtype=np.int64)
    return Interactions.sorted_from(no_events, no_events, no_events, None, 2, 3).histories()


def test_a_score_is_the_product_of_two_vectors() -> None:
    assert Factors(USERS, FILMS).scores(histories()).tolist() == [[1, 3, 0], [2, 0, 10]]


def test_films_may_have_biases() -> None:
    biases = np.array([0, 10, 20], dtype=np.float32)
    assert Factors(USERS, FILMS, biases).scores(histories()).tolist() == [[1, 13, 20], [2, 10, 30]]


def test_newcomers_are_refused_with_what_to_do() -> None:
    assert not Factors(USERS, FILMS).serves_newcomers
    with pytest.raises(UnknownUsers, match=r"2 of 2 users were not seen at training.*fit again"):
        Factors(USERS, FILMS).scores(histories().as_newcomers())


def test_users_beyond_the_table_are_unknown_too() -> None:
    with pytest.raises(UnknownUsers, match="1 of 2"):
        Factors(USERS[:1], FILMS).scores(histories())


def test_a_vector_may_stand_for_newcomers() -> None:
    scorer = Factors(USERS, FILMS, newcomer_factors=np.array([1, 1], dtype=np.float32))
    assert scorer.serves_newcomers
    assert scorer.scores(histories().as_newcomers()).tolist() == [[2, 3, 5]] * 2
    assert scorer.scores(histories())[1].tolist() == [2, 0, 10]


def test_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="length 2"):
        Factors(USERS, FILMS[:, :1])
