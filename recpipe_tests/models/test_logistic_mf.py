"""Logistic MF: the paper's likelihood, over all pairs and over sampled ones, and the scorer against the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.logistic_mf import LogisticFactors, LogisticMf
from recpipe.recipe import Run

USERS, FILMS = torch.tensor([2, 0]), torch.tensor([[1, 3, 3], [0, 2, 1]])
HISTORIES = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0]])


def network(negatives: int | None = None, alpha: float = 2.5) -> LogisticFactors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = LogisticFactors(3, 4, LogisticMf(embedding_size=2, alpha=alpha, negatives=negatives))
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def literal_score(learner: LogisticFactors, user: int, film: int) -> torch.Tensor:
    products = [learner.users.weight[user, k] * learner.items.weight[film, k] for k in range(2)]
    return learner.user_biases[user] + learner.item_biases[film] + products[0] + products[1]


def literal(learner: LogisticFactors, user: int, film: int, watched: bool) -> torch.Tensor:
    """Minus the logarithm of Johnson's p^(alpha r) (1 − p)."""
    share = 1 / (1 + torch.exp(-literal_score(learner, user, film)))
    return -torch.log(share ** (learner.alpha * watched) * (1 - share))


@pytest.mark.parametrize("negatives", [None, 2])
def test_the_loss_and_its_gradient_are_those_of_the_formula(negatives: int | None) -> None:
    learner, other = network(negatives), network(negatives)
    if negatives is None:
        batch = (HISTORIES.double(), USERS)
        pairs = [(user, film, bool(HISTORIES[row, film])) for row, user in enumerate((2, 0)) for film in range(4)]
    else:
        batch = (USERS, FILMS)
        pairs = [(user, int(FILMS[row, k]), k == 0) for row, user in enumerate((2, 0)) for k in range(3)]
    expected = torch.stack([literal(other, *pair) for pair in pairs]).mean()
    found = learner.loss(*batch)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


def test_alpha_counts_what_was_watched_and_nothing_else() -> None:
    nothing, everything = torch.zeros(2, 4).double(), torch.ones(2, 4).double()
    one, five = network(alpha=1.0), network(alpha=5.0)
    torch.testing.assert_close(one.loss(nothing, USERS), five.loss(nothing, USERS))
    against = one.loss(nothing, USERS)
    times = (five.loss(everything, USERS) - against) / (one.loss(everything, USERS) - against)
    assert times.item() == pytest.approx(5.0, rel=1e-5)


def test_large_scores_do_not_overflow() -> None:
    learner = network()
    with torch.no_grad():
        learner.item_biases.fill_(1e4)
    assert learner.loss(HISTORIES.double(), USERS).isfinite()


def test_the_factors_give_the_networks_scores_in_full() -> None:
    learner = network().float()
    users = Interactions.sorted_from(np.arange(3), np.arange(3), np.arange(3), None, 3, 4).histories()
    expected = [[literal_score(learner, user, film).item() for film in range(4)] for user in range(3)]
    np.testing.assert_allclose(learner.as_factors().scores(users), expected, rtol=1e-5)


@pytest.mark.parametrize("negatives", [None, 4])
def test_a_fit_ranks_what_was_watched_above_what_was_not(negatives: int | None) -> None:
    blocks = np.add.outer(np.arange(16) // 8 * 8, np.arange(8))  # two groups of eight users with eight films each
    users, items = np.repeat(np.arange(16), 8), blocks.ravel()
    kept = np.random.default_rng(0).random(len(users)) < 0.7
    train = Interactions.sorted_from(users[kept], items[kept], np.arange(kept.sum()), None, 16, 16)
    recipe = LogisticMf(learning_rate=0.05, batch_size=8, embedding_size=4, negatives=negatives)
    scores = recipe.fit(TrainingSet(train), Run(seed=1, epochs=30)).scores(train.histories())
    hidden = np.zeros((16, 16), dtype=bool)
    hidden[users[~kept], items[~kept]] = True
    others = np.ones((16, 16), dtype=bool)
    others[users, items] = False
    assert scores[hidden].mean() > scores[others].mean() + 1.0
