"""Sums over the nearest, with the numbers in sight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.nearest import nearest_overall, sums_over_nearest, sums_over_nearest_overall

SIMILARITY = np.array([[0.5, 0.5, 1.0, 0.5, -1.0]], dtype=np.float32)
RATINGS = sparse.csc_matrix(np.array([[1, 0], [2, 3], [4, 0], [3, 0], [5, 5]], dtype=np.float32))


def test_neighbours_that_tie_at_the_last_place_share_it() -> None:
    sums = sums_over_nearest(SIMILARITY, RATINGS, neighbours=3)
    # film 0: the third is whole, the other three share the two places left
    assert sums.weights[0] == pytest.approx([1.0 + 2 * 0.5, 0.5])
    assert sums.weighted[0] == pytest.approx([4.0 + 2 * 0.5 * (1 + 2 + 3) / 3, 0.5 * 3])
    assert sums.counts[0].tolist() == [3, 1]


def test_overall_the_same_neighbours_serve_all_films() -> None:
    sums = sums_over_nearest_overall(SIMILARITY, RATINGS, neighbours=3)
    assert sums.weights[0] == pytest.approx([1.0 + 2 * 0.5, 0.5 * 2 / 3])
    assert sums.weighted[0] == pytest.approx([4.0 + 2 * 0.5 * (1 + 2 + 3) / 3, 0.5 * 2 / 3 * 3])


@pytest.mark.parametrize("distinct", [3, 20, 10**6])
@pytest.mark.parametrize("n_columns", [6, 100])
def test_of_many_candidates_the_nearest_are_those_of_the_sorted_row_and_ties_share_the_last_places(
    distinct: int, n_columns: int
) -> None:
    similarity = (np.random.default_rng(distinct).integers(-2, distinct, (30, n_columns)) / distinct).astype(np.float32)
    similarity[0], similarity[1] = 0.5, -0.5
    for row, kept in zip(similarity, nearest_overall(similarity, 4).toarray(), strict=True):
        last = max(np.sort(row)[-4], 0.0)
        above, tied = row > last, (row == last) & (row > 0)
        share = (4 - above.sum()) / max(1, tied.sum())
        expected = np.where(above, row, np.where(tied, row * min(1.0, share), 0.0))
        np.testing.assert_allclose(kept, expected, rtol=1e-6)


@pytest.mark.parametrize("add_up", [sums_over_nearest, sums_over_nearest_overall])
def test_dislike_is_no_neighbourhood(add_up) -> None:
    sums = add_up(-np.abs(SIMILARITY), RATINGS, neighbours=3)
    assert not sums.weights.any()
    assert not sums.counts.any()


def test_item_weights_are_square() -> None:
    with pytest.raises(ValueError, match="3 × 2"):
        ItemWeights(np.zeros((3, 2), dtype=np.float32))


def test_item_weights_in_two_parts_fit_together() -> None:
    left, right = np.ones((3, 2), dtype=np.float32), np.ones((2, 3), dtype=np.float32)
    assert ItemWeights(left, right=right).right is right
    with pytest.raises(ValueError, match="a right one of 2 × 3 was wanted, one of 3 × 2 came"):
        ItemWeights(left, right=left)


@pytest.mark.parametrize("weights", [np.eye(3, dtype=np.float32), sparse.csr_matrix(np.eye(3, dtype=np.float32))])
def test_item_weights_may_have_biases_and_an_empty_history_scores_them(weights) -> None:
    biases = np.array([0.5, 0.0, 2.0], dtype=np.float32)
    users = Interactions.sorted_from(np.array([0]), np.array([1]), np.array([0]), None, 2, 3).histories()
    scorer = ItemWeights(weights, biases)
    assert scorer.scores(users).tolist() == [[0.5, 1.0, 2.0], [0.5, 0.0, 2.0]]
    again = ItemWeights.from_arrays(scorer.arrays(), None)
    assert again.scores(users).tolist() == scorer.scores(users).tolist()
