"""The best of each row, against a full sort."""

import numpy as np
import pytest

from recpipe.scoring import top as module
from recpipe.scoring.top import NO_FILM, top


def test_the_order_is_that_of_a_full_sort_with_many_ties():
    random = np.random.default_rng(1)
    scores = random.integers(0, 6, (200, 40)).astype(np.float32)
    items, values = top(scores, 15)
    slow = np.array([sorted(range(40), key=lambda item: (-row[item], item))[:15] for row in scores])
    np.testing.assert_array_equal(items, slow)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, slow, axis=1))


def kinds_of_scores(random, n_rows, n_columns):
    """Rows as models give them, and as would hurt a search for the k-th highest score."""
    plain = random.standard_normal((n_rows, n_columns)).astype(np.float32)
    signs = random.choice(np.array([-1, 1], dtype=np.float32), plain.shape)
    yield plain
    yield np.round(plain)
    yield np.maximum(plain - 2, 0) * signs  # both zeros, which are equal
    yield np.zeros_like(plain)
    yield np.sort(plain, axis=1)
    yield np.where(np.arange(n_columns) % 7 == 3, plain + 100, plain)
    yield np.where(random.random(plain.shape) < 0.9, -np.inf, plain)
    yield np.full_like(plain, -np.inf)
    yield np.where(np.arange(n_rows)[:, None] % 2, np.round(plain), plain)


@pytest.mark.parametrize("n_columns", [1, 7, 96, 500, 1001])
@pytest.mark.parametrize("k", [1, 3, 12, 100])
@pytest.mark.parametrize("many", [module.MANY_CANDIDATES, 100])
def test_lists_are_those_of_a_full_stable_sort_whatever_the_scores(monkeypatch, n_columns, k, many):
    monkeypatch.setattr(module, "MANY_CANDIDATES", many)
    for scores in kinds_of_scores(np.random.default_rng(2), 9, n_columns):
        items, values = top(scores, k)
        slow = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        reached = np.take_along_axis(scores, slow, axis=1)
        padding = ((0, 0), (0, k - slow.shape[1]))
        reached = np.pad(reached, padding, constant_values=-np.inf)
        expected = np.where(reached == -np.inf, NO_FILM, np.pad(slow, padding))
        np.testing.assert_array_equal(items, expected)
        np.testing.assert_array_equal(values.view(np.uint32), reached.view(np.uint32))  # a zero keeps its sign


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 500, 998, 1000])
def test_a_score_that_is_not_finite_is_found_wherever_it_stands(bad, column):
    scores = np.zeros((3, 1001), dtype=np.float32)
    scores[1, column] = bad
    with pytest.raises(ValueError, match="diverged"):
        top(scores, 2)


def test_nobody_asked_is_nobody_told():
    items, values = top(np.zeros((0, 40), dtype=np.float32), 3)
    assert items.shape == values.shape == (0, 3)
