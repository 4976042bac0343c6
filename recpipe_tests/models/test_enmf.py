"""ENMF: its loss against the sum over all pairs, and that it falls and stays finite, at a far too high rate as well."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.enmf import Enmf, EnmfNetwork, active_users
from recpipe.recipe import Run
from recpipe.training.dropout import dropout
from recpipe.training.journal import Journal
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import recipe_of

WATCHED = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]], dtype=np.float32)
USERS = torch.tensor([3, 0, 2])  # one film, two films, all films; user 1 has none


def interactions(watched: np.ndarray = WATCHED) -> Interactions:
    users, items = watched.nonzero()
    return Interactions.sorted_from(users, items, np.arange(len(users)), None, *watched.shape)


def network(**settings: float) -> EnmfNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = EnmfNetwork(interactions(), Enmf(**{"embedding_size": 3, "dropout": 0.0} | settings))
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def naive(learner: EnmfNetwork, vectors: torch.Tensor) -> torch.Tensor:
    """Over all pairs one by one. vectors: [rows × embedding], h not in them."""
    total = torch.zeros((), dtype=torch.float64)
    for user, vector in zip(USERS.tolist(), vectors, strict=True):
        for film in range(5):
            score = sum(learner.weights[k] * vector[k] * learner.items.weight[film, k] for k in range(3))
            total = total + ((1 - score) ** 2 if WATCHED[user, film] else learner.negative_weight * score**2)
    return total / len(USERS)


@pytest.mark.parametrize("negative_weight", [0.05, 1.0])
def test_the_efficient_loss_and_its_gradient_are_those_of_the_sum_over_all_pairs(negative_weight: float) -> None:
    learner, literal = network(negative_weight=negative_weight), network(negative_weight=negative_weight)
    expected, found = naive(literal, literal.users(USERS)), learner.loss(USERS)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_dropout_takes_the_same_units_from_both_terms() -> None:
    learner = network(dropout=0.5).train()
    torch.manual_seed(4)
    dropped = dropout(learner.users(USERS), 0.5)
    assert 0 < int((dropped == 0).sum()) < dropped.numel()
    torch.manual_seed(4)
    torch.testing.assert_close(learner.loss(USERS), naive(learner, dropped))


def test_the_loss_is_never_negative_and_near_zero_where_every_pair_is_right() -> None:
    learner = network()
    assert all(float(network(negative_weight=c).loss(USERS).detach()) > 0 for c in (0.01, 0.3, 1.0))
    with torch.no_grad():
        learner.users.weight.fill_(1.0)
        learner.items.weight.fill_(1 / 3)
        learner.weights.fill_(1.0)
    assert float(learner.loss(torch.tensor([2])).detach()) == pytest.approx(0.0, abs=1e-12)


def test_what_the_paper_drops_is_the_number_of_films_watched() -> None:
    learner = network(negative_weight=0.1)
    vectors = learner.users(USERS)
    scores = (vectors * learner.weights) @ learner.items.weight.T
    watched = torch.from_numpy(WATCHED)[USERS].double()
    papers = (watched * (0.9 * scores.square() - 2 * scores)).sum() + 0.1 * scores.square().sum()
    torch.testing.assert_close(learner.loss(USERS), (papers + watched.sum()) / 3)


@pytest.mark.parametrize("learning_rate", [None, 0.3])
def test_a_hundred_epochs_have_finite_losses_that_fall_also_at_a_far_too_high_rate(learning_rate: float | None) -> None:
    journal, shipped = Journal(), recipe_of("enmf")
    recipe = shipped if learning_rate is None else shipped.model_copy(update={"learning_rate": learning_rate})
    train = uneven()
    scorer = recipe.fit(TrainingSet(train), Run(seed=2, epochs=100, report=journal.report))
    losses = [row["loss"] for row in journal.epochs]
    assert len(losses) == 100 and all(math.isfinite(loss) and loss >= 0 for loss in losses)
    assert np.mean(losses[-10:]) < 0.8 * max(losses[:10])
    assert np.isfinite(scorer.scores(train.histories())).all()


def uneven() -> Interactions:
    """A world of blocks where one user has seen a single film, one nearly all, and one film is nobody's."""
    watched = worlds.general().train.interactions.matrix().toarray()
    watched[0], watched[1] = 0.0, 1.0
    watched[0, 3], watched[:, 7] = 1.0, 0.0
    return interactions(watched)


def test_every_user_with_an_event_is_an_example_once_an_epoch() -> None:
    batches = list(active_users(interactions(), 2)(np.random.default_rng(0)))
    assert [len(users) for (users,) in batches] == [2, 1]
    assert sorted(torch.cat([users for (users,) in batches]).tolist()) == [0, 2, 3]


def test_a_film_watched_twice_counts_once() -> None:
    twice = Interactions.sorted_from(np.zeros(3, int), np.array([2, 0, 2]), np.arange(3), None, 1, 3)
    once = Interactions.sorted_from(np.zeros(2, int), np.array([0, 2]), np.arange(2), None, 1, 3)
    one, other = (EnmfNetwork(given, Enmf(dropout=0.0)) for given in (twice, once))
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one.loss(torch.tensor([0])), other.loss(torch.tensor([0])))


def test_the_factors_give_the_networks_scores() -> None:
    learner = network().float()
    p, q, h = (table.detach().tolist() for table in (learner.users.weight, learner.items.weight, learner.weights))
    expected = [[sum(h[k] * p[u][k] * q[i][k] for k in range(3)) for i in range(5)] for u in range(4)]
    np.testing.assert_allclose(learner.factors().scores(interactions().histories()), expected, rtol=1e-5, atol=1e-6)
