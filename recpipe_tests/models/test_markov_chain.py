"""The Markov chain against counts by hand."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.sequences.markov_chain import MarkovChain, transitions
from recpipe.recipe import Run

USERS = np.array([0, 0, 0, 0, 1, 1, 2])
ITEMS = np.array([1, 2, 1, 2, 2, 0, 3])


def interactions() -> Interactions:
    return Interactions.sorted_from(USERS, ITEMS, np.zeros(7, dtype=np.int64), np.ones(7, dtype=np.float32), 3, 4)


def test_pairs_are_counted_within_a_history_and_ties_in_time_keep_their_order() -> None:
    expected = np.zeros((4, 4))
    expected[1, 2], expected[2, 1], expected[2, 0] = 2, 1, 1
    assert np.array_equal(transitions(interactions()).toarray(), expected)


def test_scores_are_shrunken_shares_of_what_followed_the_latest_film() -> None:
    recipe = MarkovChain(shrinkage=2.0, alpha=0.1, half_life=0.01)
    scores = recipe.fit(TrainingSet(interactions()), Run()).scores(interactions().histories())
    popular = 0.1 * np.array([1, 2, 3, 1]) / 7
    after_two, after_one = np.array([1, 1, 0, 0]) / (2 + 2), np.array([0, 0, 2, 0]) / (2 + 2)
    np.testing.assert_allclose(scores[0], after_two + popular, rtol=1e-6)
    np.testing.assert_allclose(scores[1:], [popular, popular], rtol=1e-6)
    fading = MarkovChain(shrinkage=2.0, alpha=0.1, half_life=1.0).fit(TrainingSet(interactions()), Run())
    found = fading.scores(interactions().histories())[0]
    np.testing.assert_allclose(found, after_two + 0.5 * after_one + popular, rtol=1e-6)
