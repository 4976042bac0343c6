"""Popularity counts users, each once."""

from __future__ import annotations

from collections import Counter

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.baselines.popularity import Popularity
from recpipe.recipe import Run

DAY = 86_400
EVENTS = [(0, 2, 1), (0, 2, 9), (0, 1, 3), (1, 2, 2), (1, 0, 10), (2, 2, 4), (2, 1, 8)]
"""(user, film, day); user 0 watched film 2 twice; nobody watched film 3."""


def train() -> TrainingSet:
    users, items, days = np.array(EVENTS).T
    return TrainingSet(Interactions.sorted_from(users, items, days * DAY, None, 3, 4))


def counted(since: float) -> list[int]:
    counts = Counter(film for _, film in {(user, film) for user, film, day in EVENTS if day > since})
    return [counts[film] for film in range(4)]


def test_the_score_is_the_number_of_users_who_watched_the_film() -> None:
    scorer = Popularity().fit(train(), Run())
    assert scorer.film_scores.tolist() == counted(since=-1) == [1, 2, 3, 0]


def test_a_window_counts_its_days_before_the_newest_event() -> None:
    scorer = Popularity(window_days=3).fit(train(), Run())
    assert scorer.film_scores.tolist() == counted(since=10 - 3) == [1, 1, 1, 0]


def test_everybody_gets_the_same_scores() -> None:
    scores = Popularity().fit(train(), Run()).scores(train().interactions.histories().as_newcomers())
    assert scores.tolist() == [[1, 2, 3, 0]] * 3
