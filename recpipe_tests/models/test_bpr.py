"""BPR: the loss and its gradient against the literal formula, and both ways to draw negatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.bpr import Bpr, RankedFactors
from recpipe.recipe import Run

USERS, FILMS = torch.tensor([2, 0]), torch.tensor([[1, 3, 3], [0, 2, 1]])


def network() -> RankedFactors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = RankedFactors(n_users=3, n_items=4, embedding_size=2)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def literal_score(learner: RankedFactors, user: int, film: int) -> torch.Tensor:
    products = [learner.users.weight[user, k] * learner.items.weight[film, k] for k in range(2)]
    return learner.item_biases[film] + products[0] + products[1]


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    learner, literal = network(), network()
    terms = []
    for user, (watched, *others) in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        for other in others:
            difference = literal_score(literal, user, watched) - literal_score(literal, user, other)
            terms.append(-torch.log(1 / (1 + torch.exp(-difference))))
    expected = torch.stack(terms).mean()
    found = learner.loss(USERS, FILMS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


def test_the_factors_give_the_networks_scores() -> None:
    learner = network().float()
    users = Interactions.sorted_from(np.arange(3), np.arange(3), np.arange(3), None, 3, 4).histories()
    expected = [[float(literal_score(learner, user, film).detach()) for film in range(4)] for user in range(3)]
    np.testing.assert_allclose(learner.as_factors().scores(users), expected, rtol=1e-5)


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_a_fit_ranks_what_was_watched_above_what_was_not(sampling: str) -> None:
    blocks = np.add.outer(np.arange(16) // 8 * 8, np.arange(8))  # two groups of eight users with eight films each
    users, items = np.repeat(np.arange(16), 8), blocks.ravel()
    kept = np.random.default_rng(0).random(len(users)) < 0.7
    train = Interactions.sorted_from(users[kept], items[kept], np.arange(kept.sum()), None, 16, 16)
    recipe = Bpr(learning_rate=0.05, batch_size=32, embedding_size=4, sampling=sampling)
    scorer = recipe.fit(TrainingSet(train), Run(seed=1, epochs=30))
    scores = scorer.scores(train.histories())
    hidden = np.zeros((16, 16), dtype=bool)
    hidden[users[~kept], items[~kept]] = True
    others = np.ones((16, 16), dtype=bool)
    others[users, items] = False
    assert scores[hidden].mean() > scores[others].mean() + 1.0


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))
    first, again = (Bpr(batch_size=64).fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
