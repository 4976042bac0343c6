"""What a ranker is told, against loops; candidates are what a member names among what was not seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recpipe.data.features import BAGS, UNKNOWN_YEAR, Bag, ItemFeatures
from recpipe.data.interactions import Histories, Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.scoring.pair_features import Films, candidates, features, names

GENRES = [["a", "b"], ["a"], [], ["b"], ["c"]]
YEARS = [1990, UNKNOWN_YEAR, 2000, 1980, 1995]
IN_1997, IN_1999 = 852_076_800, 915_148_800
EVENTS = {0: [0, 3], 1: [1], 3: [4, 0, 1]}
"""The third user of four watched nothing, the films are five."""


def train(features: bool = True) -> TrainingSet:
    users = np.array([user for user, films in EVENTS.items() for _ in films])
    items = np.concatenate([np.array(films) for films in EVENTS.values()])
    times = np.array([IN_1997, IN_1999, IN_1997, IN_1997, IN_1997 + 1, IN_1999])
    bags = {name: Bag.from_lists(GENRES if name == "genres" else [[]] * 5) for name in BAGS}
    side = ItemFeatures(("",) * 5, np.array(YEARS, dtype=np.int32), bags)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, 4, 5), side if features else None)


def histories() -> Histories:
    return train().interactions.histories()


def said() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {"one": random.standard_normal((4, 5)).astype(np.float32), "other": np.zeros((4, 5), dtype=np.float32)}


def column(name: str, told: np.ndarray) -> np.ndarray:
    return told[:, names(("one", "other")).index(name)]


def test_a_candidate_is_among_a_members_best_that_the_user_has_not_seen() -> None:
    scores = said()
    found = candidates(scores, histories(), each=2)
    for user in range(4):
        seen = EVENTS.get(user, [])
        unseen = [film for film in range(5) if film not in seen]
        best = sorted(unseen, key=lambda film: -scores["one"][user, film])[:2]
        assert set(best) <= set(np.flatnonzero(found[user]).tolist()) <= set(unseen)
        assert found[user].sum() <= 4


def test_of_equal_scores_the_lower_films_are_candidates() -> None:
    watched = Interactions.sorted_from(np.array([0, 1]), np.array([3, 0]), np.array([0, 1]), None, 2, 500)
    scores = np.zeros((2, 500), dtype=np.float32)
    scores[:, [200, 400]] = 1.0, -1.0
    found = candidates({"one": scores}, watched.histories(), each=100)
    assert np.flatnonzero(found[0]).tolist() == [film for film in range(100) if film != 3] + [200]
    assert np.flatnonzero(found[1]).tolist() == [*range(1, 100), 200]


def test_members_are_told_in_deviations_and_places_among_what_is_unseen() -> None:
    chosen = candidates(said(), histories(), each=5)
    told = features(Films.of(train()), said(), histories(), chosen)
    rows, items = np.nonzero(chosen)
    for pair, (user, film) in enumerate(zip(rows.tolist(), items.tolist(), strict=True)):
        unseen = [each for each in range(5) if each not in EVENTS.get(user, [])]
        scores = said()["one"][user]
        spread = scores[unseen].std()
        assert column("one score", told)[pair] == pytest.approx(
            (scores[film] - scores[unseen].mean()) / spread, abs=1e-5
        )
        place = 1 + sum(scores[each] > scores[film] for each in unseen)
        assert column("one place", told)[pair] == pytest.approx(math.log2(place))
    assert not column("other score", told).any()  # a member that says the same of all says nothing


def test_users_and_films_are_told_as_counted_by_hand() -> None:
    chosen = np.zeros((4, 5), dtype=bool)
    chosen[[0, 0, 2, 3], [1, 2, 2, 3]] = True
    told = features(Films.of(train()), said(), histories(), chosen)
    watchers = [2, 2, 0, 1, 1]
    np.testing.assert_allclose(column("watchers", told), np.log1p([watchers[film] for film in (1, 2, 2, 3)]), rtol=1e-6)
    np.testing.assert_array_equal(column("year", told), [np.nan, 2000, 2000, 1980])
    np.testing.assert_allclose(column("films", told), np.log1p([2, 2, 0, 3]), rtol=1e-6)
    of_first = np.log1p([2, 1]).mean()
    np.testing.assert_allclose(
        column("usual watchers", told), [of_first, of_first, np.nan, np.log1p([1, 2, 2]).mean()], rtol=1e-6
    )
    np.testing.assert_allclose(column("usual year", told), [1985, 1985, np.nan, 1992.5])
    np.testing.assert_allclose(column("years from usual", told), [np.nan, 15, np.nan, -12.5])
    np.testing.assert_allclose(column("years before last watch", told), [np.nan, -1, np.nan, 19])


def test_a_film_is_liked_as_much_as_its_genres_are_the_histories() -> None:
    """The first user's films have a and b by halves, and b; the last's c, a and b by halves, and a."""
    chosen = np.zeros((4, 5), dtype=bool)
    chosen[[0, 0, 2, 3], [1, 2, 2, 3]] = True
    told = features(Films.of(train()), said(), histories(), chosen)
    np.testing.assert_allclose(column("genres ever", told), [0.25, 0, 0, (0.5 * 1) / 3], rtol=1e-5)
    older = 2 ** (-1 / 5.0)
    np.testing.assert_allclose(column("genres lately", told)[0], 0.5 * older / (1 + older), rtol=1e-5)
    assert not column("directors ever", told).any()


def test_without_side_data_years_are_unknown_and_nothing_is_liked() -> None:
    told = features(Films.of(train(features=False)), said(), histories(), candidates(said(), histories(), 5))
    assert np.isnan(column("year", told)).all()
    assert not column("genres lately", told).any()


def test_a_row_is_told_the_same_whoever_else_is_asked() -> None:
    chosen = candidates(said(), histories(), each=3)
    together = features(Films.of(train()), said(), histories(), chosen)
    one = slice(3, 4)
    alone = features(
        Films.of(train()), {name: scores[one] for name, scores in said().items()}, histories().rows(one), chosen[one]
    )
    np.testing.assert_array_equal(together[-len(alone) :], alone)


def test_films_come_back_from_their_arrays() -> None:
    films = Films.of(train())
    again = Films.from_arrays(films.arrays())
    np.testing.assert_array_equal(again.years, films.years)
    assert (again.bags["genres"] != films.bags["genres"]).nnz == 0
