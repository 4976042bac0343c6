"""MF: the loss and its gradient against the literal formula, and the scorer against the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.mf import BiasedFactors, Mf
from recpipe.recipe import Run

USERS, FILMS = torch.tensor([2, 0]), torch.tensor([[1, 3, 3], [0, 2, 1]])


def network(loss: str) -> BiasedFactors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = BiasedFactors(n_users=3, n_items=4, embedding_size=2, loss=loss)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def literal_score(learner: BiasedFactors, user: int, film: int) -> torch.Tensor:
    products = [learner.users.weight[user, k] * learner.items.weight[film, k] for k in range(2)]
    return learner.mean + learner.user_biases[user] + learner.item_biases[film] + products[0] + products[1]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_loss_and_its_gradient_are_those_of_the_formula(loss: str) -> None:
    learner, literal = network(loss), network(loss)
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        for column, film in enumerate(films):
            score, target = literal_score(literal, user, film), float(column == 0)
            share = 1 / (1 + torch.exp(-score))
            logistic = -(target * torch.log(share) + (1 - target) * torch.log(1 - share))
            terms.append((target - score) ** 2 if loss == "squared" else logistic)
    expected = torch.stack(terms).mean()
    found = learner.loss(USERS, FILMS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


def test_the_factors_give_the_networks_scores_in_full() -> None:
    learner = network("logistic").float()
    users = Interactions.sorted_from(np.arange(3), np.arange(3), np.arange(3), None, 3, 4).histories()
    expected = [[float(literal_score(learner, user, film).detach()) for film in range(4)] for user in range(3)]
    np.testing.assert_allclose(learner.as_factors().scores(users), expected, rtol=1e-5)


def test_the_scorer_does_not_follow_the_network() -> None:
    learner = network("logistic").float()
    factors = learner.as_factors()
    before = {name: array.copy() for name, array in factors.arrays().items()}
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(1.0)
    for name, array in factors.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))
    first, again = (Mf(batch_size=64).fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
