"""Vectors of users and films."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recpipe.data.interactions import Histories, Interactions
from recpipe.recipe import UnknownUsers
from recpipe.scoring.factors import Factors
from recpipe.scoring.folding import FoldIn

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


FOLD_IN = FoldIn(alpha=0.3, regularization=0.05, scaling=0.7)


def long_and_short() -> Histories:
    """Of 40 films: everybody has others, from none at all to 25; the third person is known from training."""
    lengths = [0, 1, 7, 8, 9, 25]
    users = np.repeat(np.arange(6), lengths)
    items = np.concatenate([np.arange(length) * 3 % 40 for length in lengths])
    rows = Interactions.sorted_from(users, items, np.arange(len(users)), None, 6, 40).histories()
    return replace(rows, users=np.array([-1, -1, 0, -1, -1, -1], dtype=np.int32))


def test_newcomers_may_be_folded_in_by_the_normal_equations_of_their_history() -> None:
    factors = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    known = np.ones((1, 5), dtype=np.float32)
    scorer, asked = Factors(known, factors, fold_in=FOLD_IN), long_and_short()
    assert scorer.serves_newcomers
    wide = factors.astype(np.float64)
    for row, watched in enumerate(asked.matrix().toarray()):
        of_row = wide[watched > 0]
        penalty = 0.05 * (len(of_row) + 0.3 * 40) ** 0.7
        matrix = of_row.T @ of_row + 0.3 * wide.T @ wide + penalty * np.eye(5)
        vector = known[0] if row == 2 else np.linalg.solve(matrix, of_row.sum(axis=0))
        np.testing.assert_allclose(scorer.scores(asked)[row], wide @ vector, atol=1e-5)


def test_a_newcomer_is_folded_in_alone_as_among_others() -> None:
    factors = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    watched = long_and_short().matrix()
    together = FOLD_IN.vectors(watched, factors)
    alone = np.concatenate([FOLD_IN.vectors(watched[[row]], factors) for row in range(6)])
    np.testing.assert_array_equal(together, alone)


def test_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="length 2"):
        Factors(USERS, FILMS[:, :1])
