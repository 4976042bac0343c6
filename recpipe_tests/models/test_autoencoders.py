"""What is asked of every autoencoder: it knows people by their films, so whoever is new is served as well."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from recpipe.data.interactions import NEWCOMER, Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.strong import Strong
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import model_names, tiny_recipe


@cache
def strong() -> Parts:
    """Of 900 users in blocks, 360 are not trained on: a fifth of their films is hidden."""
    world = worlds.general(n_users=900)
    return Strong(valid_users=0.2, test_users=0.2).split(world.train.interactions)


def recall(model: str, train: Interactions) -> float:
    """Of the hidden films of the users that the split holds out, whoever was trained on."""
    scorer = tiny_recipe(model).fit(TrainingSet(train), Run())
    shares = []
    for held_out in (strong().valid, strong().test):
        assert (held_out.histories.users == NEWCOMER).all()
        users = np.unique(held_out.targets.users)
        known = strong().events(Part.TRAIN, Part.VALID_FOLD_IN, Part.TEST_FOLD_IN).histories(users)
        candidates = known.matrix().toarray() == 0
        trained = np.bincount(train.users, minlength=train.n_users)[users] > 0
        asked = known if trained.all() else known.as_newcomers()
        assert trained.all() or not trained.any()
        shares.append(worlds.recall(scorer.scores(asked), held_out, 10, candidates))
    return float(np.mean(shares))


@pytest.mark.parametrize("model", model_names("autoencoders"))
def test_users_never_trained_on_are_served_as_well_as_if_they_had_been(model: str) -> None:
    """The same users with the same known films, once new to the model and once trained on.

    New ones may fare better: of the others it has learned that they did not watch the films that are hidden.
    """
    without = strong().train
    with_them = strong().events(Part.TRAIN, Part.VALID_FOLD_IN, Part.TEST_FOLD_IN)
    assert recall(model, without) > 0.95 * recall(model, with_them)
