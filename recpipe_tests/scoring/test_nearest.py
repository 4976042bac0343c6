"""Sums over the nearest, with the numbers in sight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.nearest import nearest_overall, similarities, sums_over_nearest, sums_over_nearest_overall

SIMILARITY = np.array([[0.5, 0.5, 1.0, 0.5, -1.0]], dtype=np.float32)
RATINGS = sparse.csc_matrix(np.array([[1, 0], [2, 3], [4, 0], [3, 0], [5, 5]], dtype=np.float32))


def in_tenths() -> np.ndarray:
    """Ratings from 0.5 to 10 with gaps; the first two rows do not vary, the third only in one film."""
    random = np.random.default_rng(3)
    ratings = random.integers(5, 101, (12, 1000)) / 10
    ratings[0], ratings[1], ratings[2], ratings[2, 7] = 4.3, 9.7, 6.1, 6.2
    return np.where(random.random(ratings.shape) < 0.8, ratings, 0.0).astype(np.float32)


def test_pearson_of_ratings_in_tenths_is_numpys_on_the_common_films() -> None:
    ratings = in_tenths()
    rows = sparse.csr_matrix(ratings)
    found = similarities(rows, rows, "pearson")
    for (u, v), value in np.ndenumerate(found):
        x, y = ratings.astype(np.float64)[[u, v]][:, (ratings[u] > 0) & (ratings[v] > 0)]
        varied = len(set(x)) > 1 and len(set(y)) > 1
        assert value == (pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6) if varied else 0.0)


def test_one_common_film_says_nothing_of_how_ratings_go_together() -> None:
    one, other = (sparse.csr_matrix(np.array([[rating]], dtype=np.float32)) for rating in (4.3, 9.7))
    assert similarities(one, other, "pearson") == 0.0


def test_msd_and_cosine_of_ratings_in_tenths_are_those_of_doubles() -> None:
    ratings = in_tenths()
    rows = sparse.csr_matrix(ratings)
    squared, cosine = similarities(rows, rows, "msd"), similarities(rows, rows, "cosine")
    for u, v in np.ndindex(squared.shape):
        x, y = ratings.astype(np.float64)[[u, v]][:, (ratings[u] > 0) & (ratings[v] > 0)]
        assert squared[u, v] == np.float32(1 / (np.mean((x - y) ** 2) + 1))
        assert cosine[u, v] == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)), rel=1e-7)


def test_neighbours_that_tie_at_the_last_place_share_it() -> None:
    sums = sums_over_nearest(SIMILARITY, RATINGS, neighbours=3)
    # film 0: the third is whole, the other three share the two places left
    assert sums.weights[0] == pytest.approx([1.0 + 2 * 0.5, 0.5])
    assert sums.weighted[0] == pytest.approx([4.0 + 2 * 0.5 * (1 + 2 + 3) / 3, 0.5 * 3])
    assert sums.counts[0].tolist() == [3, 1]


def test_overall_the_same_neighbours_serve_all_films() -> None:
    sums = sums_over_nearest_overall(nearest_overall(SIMILARITY, 3), RATINGS.tocsr())
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


def test_dislike_is_no_neighbourhood() -> None:
    dislike = -np.abs(SIMILARITY)
    for sums in (
        sums_over_nearest(dislike, RATINGS, neighbours=3),
        sums_over_nearest_overall(nearest_overall(dislike, 3), RATINGS.tocsr()),
    ):
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
