"""kNN on ratings against a loop over every pair, and on the published folds of MovieLens 100K."""

from __future__ import annotations

import zipfile
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from recpipe.costs import Shape
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.knn_basic import KnnBasic
from recpipe.recipe import Run
from recpipe.scoring import nearest

MOVIELENS = Path(__file__).parents[2] / "../shared/data/ml-100k.zip"


def rated(n_users: int = 14, n_items: int = 9) -> TrainingSet:
    random = np.random.default_rng(2)
    users, items = np.nonzero(random.random((n_users, n_items)) < 0.6)
    ratings = random.integers(1, 6, len(users))
    return TrainingSet(
        Interactions.sorted_from(users, items, np.zeros(len(users), np.int64), ratings.astype(float), n_users, n_items)
    )


def alike(x: np.ndarray, y: np.ndarray, measure: str) -> float:
    """Two rows of ratings, NaN where there is none."""
    if measure == "history_cosine":
        a, b = np.nan_to_num(x), np.nan_to_num(y)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[both], y[both]
    if not both.any():
        return 0.0
    if measure == "msd":
        return float(1 / (np.mean((x - y) ** 2) + 1))
    if measure == "pearson":
        x, y = x - x.mean(), y - y.mean()
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(x @ y / lengths) if lengths > 1e-9 else 0.0


def literal(train: TrainingSet, recipe: KnnBasic) -> np.ndarray:
    """Every user's rating of every film, a pair at a time; ties at the last place share it."""
    ratings = train.interactions.rating_matrix().toarray().astype(np.float64)
    ratings[ratings == 0] = np.nan
    rows = ratings if recipe.based_on == "users" else ratings.T
    predicted = np.full(rows.shape, np.nanmean(ratings))
    for row, column in product(*map(range, rows.shape)):
        others = [v for v in range(len(rows)) if not np.isnan(rows[v, column])]
        pairs = [(alike(rows[row], rows[v], recipe.similarity), rows[v, column]) for v in others if v != row]
        pairs = sorted((pair for pair in pairs if pair[0] > 1e-9), reverse=True)
        if len(pairs) < recipe.min_neighbours or not pairs:
            continue
        last = pairs[min(recipe.neighbours, len(pairs)) - 1][0]
        sure = [pair for pair in pairs if pair[0] > last + 1e-9]
        tied = [pair for pair in pairs if abs(pair[0] - last) <= 1e-9]
        share = min(1.0, (recipe.neighbours - len(sure)) / len(tied))
        weighed = [*sure, *((share * weight, rating) for weight, rating in tied)]
        predicted[row, column] = sum(w * r for w, r in weighed) / sum(w for w, _ in weighed)
    return predicted if recipe.based_on == "users" else predicted.T


@pytest.mark.parametrize("similarity", nearest.SIMILARITIES)
@pytest.mark.parametrize("based_on", ["users", "items"])
@pytest.mark.parametrize(("neighbours", "min_neighbours"), [(3, 1), (3, 3), (40, 6)])
def test_predictions_are_those_of_a_loop_over_pairs(
    similarity: str, based_on: str, neighbours: int, min_neighbours: int
) -> None:
    train = rated()
    recipe = KnnBasic(
        similarity=similarity, based_on=based_on, neighbours=neighbours, min_neighbours=min_neighbours
    )  # fmt: skip
    unknown = np.argwhere(train.interactions.matrix().toarray() == 0)
    predicted = recipe.fit(train, Run()).predict(train.interactions.histories(), *unknown.T)
    np.testing.assert_allclose(predicted, literal(train, recipe)[tuple(unknown.T)], rtol=1e-4)


def test_ratings_of_a_film_in_small_groups_give_the_same_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    train = rated()
    histories = train.interactions.histories()
    scorer = KnnBasic(neighbours=3).fit(train, Run())
    whole = scorer.scores(histories)
    monkeypatch.setattr(nearest, "_CELLS", 1)
    monkeypatch.setattr(nearest, "CHUNK", 4)
    np.testing.assert_allclose(scorer.scores(histories), whole, rtol=1e-6)


def test_neighbours_overall_are_those_of_the_whole_table() -> None:
    train = rated()
    ratings = train.interactions.rating_matrix().toarray()
    cosine = ratings @ ratings.T / np.outer(*[np.linalg.norm(ratings, axis=1)] * 2)
    np.fill_diagonal(cosine, 0.0)
    cosine[cosine < np.sort(cosine, axis=1)[:, -3, None]] = 0.0
    wanted = cosine @ ratings / (cosine @ (ratings > 0) + 2.0)
    recipe = KnnBasic(similarity="history_cosine", nearest="overall", neighbours=3, shrinkage=2.0)
    scores = recipe.fit(train, Run()).scores(train.interactions.histories())
    np.testing.assert_allclose(scores[wanted > 0], wanted[wanted > 0], rtol=1e-5)


def test_films_with_too_few_neighbours_come_last_by_popularity() -> None:
    users, items = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 2, 2, 3])
    ratings = np.array([5.0, 3.0, 5.0, 3.0, 1.0, 5.0, 5.0])
    train = TrainingSet(Interactions.sorted_from(users, items, np.zeros(7, np.int64), ratings, 3, 5))
    scores = KnnBasic().fit(train, Run()).scores(train.interactions.histories(np.array([0])))[0]
    assert scores[2] == 1.0  # one neighbour, user 1, gave one star
    assert 0.0 > scores[3] > scores[4]  # user 2 shares nothing with user 0; nobody watched film 4


def test_similarities_that_compare_ratings_are_refused_where_there_are_none() -> None:
    events = rated().interactions
    without = Interactions(events.users, events.items, events.times, None, events.n_users, events.n_items)
    with pytest.raises(ValueError, match="set similarity: history_cosine"):
        KnnBasic().fit(TrainingSet(without), Run())
    with pytest.raises(ValueError, match="set shrinkage above 0"):
        KnnBasic(similarity="history_cosine").fit(TrainingSet(without), Run())
    with pytest.raises(ValueError, match="these histories have none"):
        KnnBasic().fit(rated(), Run()).scores(without.histories())


def test_similarities_between_films_are_in_the_estimate() -> None:
    many = Shape(np.full(100, 10), np.full(20_000, 1))
    beside_users = KnnBasic(based_on="items").cost(many).memory - KnnBasic().cost(many).memory
    assert 4 * 20_000**2 < beside_users < 2 * 4 * 20_000**2
    assert "based_on: users" in KnnBasic.memory_hint


@pytest.mark.skipif(not MOVIELENS.exists(), reason="../shared/data is not beside the checkout")
def test_rmse_on_the_published_folds_is_that_of_surprise() -> None:
    """Its README has 0.98 for its own folds; two of the five published ones here, whose mean over all is 0.9801."""
    with zipfile.ZipFile(MOVIELENS) as archive:
        tables = [
            np.loadtxt(archive.read(f"ml-100k/u{fold}.{part}").decode().splitlines(), dtype=np.int64).T
            for fold, part in product((2, 3), ("base", "test"))
        ]
    errors = []
    for (users, items, ratings, times), test in list(pairwise(tables))[::2]:
        base = Interactions.sorted_from(users, items, times, ratings.astype(float), 944, 1683)
        predicted = KnnBasic().fit(TrainingSet(base), Run()).predict(base.histories(), test[0], test[1])
        errors.append(float(np.sqrt(np.mean((predicted - test[2]) ** 2))))
    assert np.mean(errors) == pytest.approx(0.98, abs=0.003)
