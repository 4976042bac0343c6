"""What scores pairs by fields: blocks of films, the scorer against the learner, films that nobody has watched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recpipe.data.training_set import TrainingSet
from recpipe.models.features.deep_fm import DeepFm
from recpipe.recipe import Run
from recpipe.training import field_networks
from recpipe.training.field_networks import FieldLearner
from recpipe.training.fields import FilmFields
from recpipe_tests.training.test_fields import four_films

USERS, FILMS = torch.tensor([1, 0, 1]), torch.tensor([[2, 3, 0], [1, 2, 3], [0, 0, 1]])
SMALL = DeepFm(embedding_size=3, layers=(4, 2), minimum_films=1, batch_size=2)


def learner() -> FieldLearner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = FieldLearner(2, FilmFields.of(four_films(), 1), SMALL)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
    return made.eval()


def scores_of(made: FieldLearner) -> Any:
    return made.as_scorer().scores(four_films().interactions.histories())


@pytest.mark.parametrize("units", [1, 9, 2**20], ids=["a film", "two films", "all at once"])
def test_scores_of_all_films_are_those_of_the_pairs_whatever_is_held_at_once(
    units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_networks, "UNITS", units)
    made = learner()
    vectors, weights = made.fields(made.fields.watched)
    everything = torch.arange(4).expand(2, -1)
    expected = made.among.pairs(torch.arange(2), everything, vectors, weights)
    np.testing.assert_allclose(scores_of(made), expected.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_side_data_of_other_films_move_a_new_film_and_its_own_number_does_not() -> None:
    """A watched film's genre is what the new one has; what stands at the new film's own number is not asked."""
    made = learner()
    before = scores_of(made)
    with torch.no_grad():
        made.fields.vectors[3] += 1.0
        made.fields.weights[3] += 1.0
    np.testing.assert_array_equal(scores_of(made), before)
    with torch.no_grad():
        made.fields.vectors[5] += 1.0  # drama
    assert (scores_of(made)[:, 3] != before[:, 3]).all()
    assert np.array_equal(scores_of(made)[:, 1], before[:, 1])  # of no genre


def test_the_scorer_keeps_the_films_as_they_were_when_it_was_made() -> None:
    made = learner()
    scorer = made.as_scorer()
    before = scorer.network.vectors.clone()
    with torch.no_grad():
        made.fields.vectors += 1.0
    assert torch.equal(scorer.network.vectors, before)
    assert not scorer.network.training


def test_a_scorer_from_disk_has_the_films_of_the_one_that_was_stored() -> None:
    scorer = learner().as_scorer()
    again = type(scorer).from_arrays(scorer.arrays(), SMALL)
    users = four_films().interactions.histories()
    np.testing.assert_array_equal(again.scores(users), scorer.scores(users))


def test_it_learns_without_side_data() -> None:
    train = TrainingSet(four_films().interactions)
    scorer = SMALL.fit(train, Run(seed=1, epochs=2))
    assert np.isfinite(scorer.scores(train.interactions.histories())).all()


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    recipe = SMALL.model_copy(update={"film_dropout": 0.5, "dropout": 0.3})
    first, again = (recipe.fit(four_films(), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
