"""What holds for every model that reads windows: no later film is seen, padding does not matter, losses stay finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.sequences.repeat_net import RepeatNetNetwork
from recpipe.recipe import Run
from recpipe.training.windows import LATEST, NextFilmRecipe, WindowLearner, WindowRecipe
from recpipe_tests.networks import PADDING, TINY, random_network
from recpipe_tests.settings_for_tests import model_names, recipe_of, tiny_recipe

MODELS = [
    model for model in model_names("sequences") if isinstance(recipe_of(model), WindowRecipe) and model != "bert4rec"
]
"""BERT4Rec sees both sides of a film and draws what it hides: its own tests say what holds there."""
FILMS = torch.tensor([[7, 7, 3, 1, 4], [2, 5, 2, 0, 6], [7, 7, 7, 7, 1]])
TARGETS = torch.tensor([[7, 7, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 7, 2]])
USERS = torch.tensor([0, 2, 3])

BY_POSITION = {"s3_rec", "sasrec"}
"""What they know of a film's place counts from the end of the window, so that a prefix alone is another input."""

every_model = pytest.mark.parametrize("model", MODELS)
every_prefix_model = pytest.mark.parametrize("model", sorted({*MODELS} - BY_POSITION))


def network(model: str, **settings: Any) -> WindowLearner:
    """The third user is unknown."""
    recipe = tiny_recipe(model, negatives=3, **settings)
    assert isinstance(recipe, WindowRecipe)
    learner: WindowLearner = random_network(type(recipe), **recipe.model_dump() | TINY | settings)
    return learner


def given(learner: WindowLearner, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (*tensors, USERS) if learner.knows_users else tensors


@every_prefix_model
def test_each_state_is_that_of_its_own_prefix_alone(model: str) -> None:
    learner = network(model)
    whole = learner.states(*given(learner, FILMS))
    for length in range(1, 6):
        alone = learner.states(*given(learner, FILMS[:, :length]))[:, -1]
        real = FILMS[:, length - 1] != PADDING
        torch.testing.assert_close(whole[real, length - 1], alone[real])


@every_model
def test_the_amount_of_padding_changes_neither_scores_nor_loss(model: str) -> None:
    learner = network(model)
    films, targets = (torch.nn.functional.pad(tensor, (3, 0), value=PADDING) for tensor in (FILMS, TARGETS))
    torch.testing.assert_close(learner.scores(*given(learner, films)), learner.scores(*given(learner, FILMS)))
    found, expected = (learner.loss(*given(learner, *pair)) for pair in ((films, targets), (FILMS, TARGETS)))
    torch.testing.assert_close(found, expected)


@every_prefix_model
def test_the_loss_is_that_of_the_scores_at_every_target(model: str) -> None:
    learner, terms = network(model), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        scores = learner.scores(*given(learner, FILMS[:, : column + 1]))[row]
        terms.append(-torch.log_softmax(scores, dim=0)[TARGETS[row, column]])
    torch.testing.assert_close(learner.loss(*given(learner, FILMS, TARGETS)), torch.stack(terms).mean())


@every_model
@pytest.mark.parametrize("length", [1, 5, 40])
def test_the_last_state_alone_is_the_last_of_all_states(model: str, length: int) -> None:
    learner = network(model, max_length=40)
    films = torch.randint(PADDING, (3, length), generator=torch.Generator().manual_seed(0))
    films[0, : length // 2], films[1, : length - 1] = PADDING, PADDING
    last_of_all = learner.states(*given(learner, films))[:, -1]
    torch.testing.assert_close(learner.last(*given(learner, films)), last_of_all, rtol=1e-5, atol=1e-5)
    if isinstance(learner, RepeatNetNetwork):
        for alone, every in zip(learner.looks(films, LATEST), learner.looks(films), strict=True):
            torch.testing.assert_close(alone[:, 0], every[:, -1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "growth"), [("caser", 1.0), ("nextitnet", 1.0), ("narm", 2.0), ("repeat_net", 2.0), ("stamp", 2.0)]
)
def test_scoring_multiplies_for_the_latest_film_alone(model: str, growth: float) -> None:
    """growth: of the multiplications where the window is twice as long; twice as many queries would make it four."""
    learner, counts = network(model, max_length=80), []
    for length in (40, 80):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            learner.scores(*given(learner, torch.ones((3, length), dtype=torch.long)))
        counts.append(counter.get_total_flops())
    assert counts[1] <= growth * counts[0]


@every_model
def test_a_row_of_padding_gets_finite_scores_and_breaks_no_gradient(model: str) -> None:
    learner, nothing = network(model), torch.full((3, 5), PADDING)
    assert learner.scores(*given(learner, nothing)).isfinite().all()
    learner.loss(*given(learner, torch.cat((FILMS[:2], nothing[:1])), torch.cat((TARGETS[:2], nothing[:1])))).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())


@pytest.mark.parametrize("loss", ["sampled_softmax", "binary_cross_entropy", "gbce"])
@pytest.mark.parametrize("model", [model for model in MODELS if isinstance(recipe_of(model), NextFilmRecipe)])
def test_every_loss_teaches_every_parameter(model: str, loss: str) -> None:
    learner = network(model, loss=loss)
    torch.manual_seed(0)
    learner.loss(*given(learner, FILMS, TARGETS)).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in learner.parameters())


@pytest.mark.parametrize("model", [model for model in MODELS if network(model).knows_users])
def test_who_has_no_window_to_learn_from_is_scored_as_a_newcomer_with_the_same_history(model: str) -> None:
    users, items = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 2, 3, 2, 0, 3])
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(6), None, 4, 5))
    scorer = tiny_recipe(model, weight_decay=0.1).fit(train, Run(seed=5, epochs=3))
    histories = train.interactions.histories()
    known, newcomers = scorer.scores(histories), scorer.scores(histories.as_newcomers())
    np.testing.assert_array_equal(known[2:], newcomers[2:])
    assert (known[:2] != newcomers[:2]).any(axis=1).all()
