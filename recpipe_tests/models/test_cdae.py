"""CDAE: both losses against a literal formula, the user's node, the negatives, and the plateau of popularity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from recpipe.data.interactions import NEWCOMER, Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.autoencoders.cdae import Cdae, CdaeNetwork
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe_tests import worlds

HISTORY = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]])
USERS = torch.arange(3)
ALL = 100
"""So many negatives a film watched that every other film is one."""


def network(**settings: Any) -> CdaeNetwork:
    """With a node for each user that is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        learner = Cdae(**{"embedding_size": 2, "dropout": 0.0, "negatives": ALL} | settings).network(3, 5)
        with torch.no_grad():
            learner.users.weight[:3].normal_()
    return learner


def literal(learner: CdaeNetwork, row: torch.Tensor, user: torch.Tensor | float) -> list[torch.Tensor]:
    """The scores of one user, film by film."""
    code = learner.encoder.bias + user
    for film in row.nonzero()[:, 0]:
        code = code + learner.encoder.weight[film]
    if learner.recipe.activation == "sigmoid":
        code = 1 / (1 + torch.exp(-code))
    return [learner.decoder.weight[film] @ code + learner.decoder.bias[film] for film in range(5)]


def literal_loss(learner: CdaeNetwork) -> torch.Tensor:
    total = torch.zeros(())
    for row, user in zip(HISTORY, USERS, strict=True):
        for watched, score in zip(row, literal(learner, row, learner.users.weight[user]), strict=True):
            chance = 1 / (1 + torch.exp(-score))
            logistic = -torch.log(chance if watched else 1 - chance)
            total = total + ((watched - score) ** 2 if learner.recipe.loss == "squared" else logistic)
    return total / 3


@pytest.mark.parametrize("activation", ["identity", "sigmoid"])
@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_loss_and_its_gradient_are_those_of_the_formula(activation: str, loss: str) -> None:
    learner = network(activation=activation, loss=loss)
    torch.testing.assert_close(learner.loss(HISTORY, USERS), literal_loss(learner))
    parameters = list(learner.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(learner.loss(HISTORY, USERS), parameters),
        torch.autograd.grad(literal_loss(learner), parameters),
    )


def test_newcomers_have_no_node_and_known_users_their_own() -> None:
    learner = network().eval()
    rows, films = np.nonzero(HISTORY.numpy())
    histories = Interactions.sorted_from(rows, films, np.zeros_like(rows), None, 3, 5).histories()
    scorer = HistoryNetwork(learner, n_items=5, n_users=3)
    for users, nodes in ((histories, learner.users.weight), (histories.as_newcomers(), torch.zeros(3, 2))):
        expected = [torch.stack(literal(learner, row, node)) for row, node in zip(HISTORY, nodes, strict=False)]
        np.testing.assert_allclose(scorer.scores(users), torch.stack(expected).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert (histories.as_newcomers().users == NEWCOMER).all()


def test_nobodys_node_stays_zero_and_so_does_that_of_a_user_without_films() -> None:
    world = worlds.general()
    train = TrainingSet(world.train.interactions.take(world.train.interactions.users > 0))
    scorer = Cdae(embedding_size=4, learning_rate=0.05, weight_decay=0.1).fit(train, Run(epochs=2))
    nodes = scorer.network.users.weight
    assert (nodes[[0, -1]] == 0).all()
    assert (nodes[1:-1].abs().sum(dim=1) > 0).all()


def test_so_many_negatives_are_asked_for_as_the_setting_says() -> None:
    """With every score at zero each film that is asked for costs ln 2."""
    learner = network(negatives=3)
    history = torch.zeros(2000, 50)
    history[:, :4] = 1.0
    torch.nn.init.zeros_(learner.decoder.weight)
    learner.scores = lambda history, users: torch.zeros_like(history)  # type: ignore[method-assign]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        asked = float(learner.loss(history, torch.zeros(2000, dtype=torch.int64))) / math.log(2)
    assert asked == pytest.approx(4 + 3 * 4, rel=0.02)


def test_no_film_is_asked_for_twice_where_hardly_any_is_left_and_none_where_none_is() -> None:
    learner = network(negatives=5)
    almost, whole = torch.ones(1, 5), torch.ones(1, 5)
    almost[0, 2] = 0.0
    for history in (almost, whole):
        full = torch.nn.functional.binary_cross_entropy_with_logits(
            learner.scores(history, USERS[:1]), history, reduction="sum"
        )
        torch.testing.assert_close(learner.loss(history, USERS[:1]), full)


def test_the_input_is_dropped_with_the_rest_scaled_and_never_when_scores_are_asked_for() -> None:
    learner = network(dropout=0.5)
    torch.testing.assert_close(learner.eval().scores(HISTORY, USERS), network().eval().scores(HISTORY, USERS))
    assert learner.train().encoder.dropout == 0.5


def test_lists_are_personal_and_not_those_of_popularity() -> None:
    """Its known fault elsewhere: it stops while it has learned the films' popularity and nothing of anybody's taste."""
    world = worlds.general()
    scorer = Cdae(embedding_size=8, batch_size=32, learning_rate=0.01, negatives=5).fit(world.train, Run(epochs=15))
    assert world.recall(scorer) > world.between(0.75)
    lists = np.argsort(-scorer.scores(world.held_out.histories), axis=1)[:, :10]
    assert len(np.unique(lists, axis=0)) > 100
