"""User kNN against the formulas of its docstring, worked out one pair of users at a time."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.user_knn import UserKnn
from recpipe.recipe import Run
from recpipe.scoring import user_neighbours

SETTINGS = [
    {"similarity": "cosine"},
    {"similarity": "cosine", "shrinkage": 5.0, "weighting": "tfidf"},
    {"similarity": "jaccard", "shrinkage": 2.0},
    {"similarity": "asymmetric_cosine", "alpha": 0.2, "beta": 0.5},
    {"similarity": "asymmetric_cosine", "alpha": 0.8, "weighting": "bm25", "shrinkage": 1.0},
    {"similarity": "dot", "weighting": "bm25", "beta": 1.0},
]


def training_set(watched: np.ndarray) -> TrainingSet:
    users, items = np.nonzero(watched)
    return TrainingSet(
        Interactions.sorted_from(users, items, np.zeros(len(users), dtype=np.int64), None, *watched.shape)
    )


def drawn(n_users: int = 25, n_items: int = 14) -> np.ndarray:
    """The last film nobody watched, the last user watched one film, the one before none."""
    watched = np.random.default_rng(1).random((n_users, n_items)) < np.linspace(0.6, 0.1, n_items)
    watched[:, -1] = False
    watched[-2:] = False
    watched[-1, 0] = True
    return watched


def alike(watched: np.ndarray, recipe: UserKnn) -> np.ndarray:
    """s(u, v), a pair of users at a time; nobody is like themselves."""
    X = watched.astype(np.float64)
    users_of, films_of = X.sum(axis=0), X.sum(axis=1)
    if recipe.weighting != "none":
        X = X * np.log(len(X) / np.maximum(users_of, 1))
    if recipe.weighting == "bm25":
        X = X * (2.2 / (1 + 1.2 * (0.25 + 0.75 * films_of / films_of.mean())))[:, None]
    found = np.zeros((len(X), len(X)))
    for u in range(len(X)):
        for v in range(len(X)):
            lengths = np.linalg.norm(X[u]), np.linalg.norm(X[v])
            below = {
                "cosine": lengths[0] * lengths[1],
                "asymmetric_cosine": lengths[0] ** (2 * recipe.alpha) * lengths[1] ** (2 * (1 - recipe.alpha)),
                "jaccard": films_of[u] + films_of[v] - X[u] @ X[v],
                "dot": 1.0,
            }[recipe.similarity]
            if u != v and X[u] @ X[v] > 0:
                found[u, v] = X[u] @ X[v] / (below + recipe.shrinkage)
    return found


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("neighbours", [3, 100])
def test_scores_are_sums_of_the_nearest_users_likeness(settings: dict, neighbours: int) -> None:
    recipe, watched = UserKnn(neighbours=neighbours, **settings), drawn()
    near = alike(watched, recipe)
    for row in near:
        last = np.sort(row)[-min(neighbours, len(row))]
        tied = np.isclose(row, last, rtol=1e-6)
        room = neighbours - (row[~tied] > last).sum()
        row[~tied & (row < last)] = 0.0
        row[tied] *= min(1.0, room / tied.sum())
    expected = near @ (watched / np.maximum(watched.sum(axis=0), 1) ** recipe.beta)
    train = training_set(watched)
    scores = recipe.fit(train, Run()).scores(train.interactions.histories())
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_a_newcomer_is_served_from_the_history_and_is_a_neighbour_of_the_user_with_the_same() -> None:
    train = training_set(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]], dtype=bool))
    scorer = UserKnn(neighbours=1).fit(train, Run())
    first = train.interactions.histories(np.array([0]))
    assert scorer.scores(first)[0].tolist() == pytest.approx([0.5, 0.0, 0.5, 0.0])
    assert scorer.scores(first.as_newcomers())[0].tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0])


def test_beta_changes_what_a_vote_is_worth_and_not_who_is_near() -> None:
    train = training_set(drawn())
    plain, held_back = (UserKnn(neighbours=3, weighting="bm25", beta=beta).fit(train, Run()) for beta in (0.0, 0.7))
    histories = train.interactions.histories()
    worth = np.maximum(train.interactions.item_counts(), 1) ** -0.7
    np.testing.assert_allclose(held_back.scores(histories), plain.scores(histories) * worth, rtol=1e-5)


def test_users_who_tie_at_the_last_place_share_it() -> None:
    watched = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]], dtype=bool)
    scorer = UserKnn(neighbours=1).fit(training_set(watched), Run())
    scores = scorer.scores(training_set(watched).interactions.histories(np.array([0])))[0]
    assert scores[1:].tolist() == pytest.approx([1 / 3 / np.sqrt(2)] * 3)


def test_few_rows_at_once_give_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    train = training_set(drawn())
    scorer = UserKnn(neighbours=3, weighting="tfidf").fit(train, Run())
    whole = scorer.scores(train.interactions.histories())
    monkeypatch.setattr(user_neighbours, "CELLS", 4 * 25)
    assert np.array_equal(scorer.scores(train.interactions.histories()), whole)


def test_jaccard_with_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="jaccard counts entries"):
        UserKnn(similarity="jaccard", weighting="tfidf")
