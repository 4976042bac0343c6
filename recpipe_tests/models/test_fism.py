"""FISM: the score and both losses against the paper's formulas, and that no film votes for itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.fism import Fism, FismNetwork
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork

HISTORY = torch.tensor([[1.0, 0, 1, 0, 1], [0, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
"""Three users of five films: the second watched one film, the fourth film was watched by nobody."""
USERS = torch.tensor([2, 0, 1])
LOSSES = ["squared", "pairwise"]


def network(loss: str = "squared", **settings: Any) -> FismNetwork:
    recipe = Fism.model_validate({"loss": loss, "embedding_size": 2, "alpha": 0.4, "negatives": 3} | settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = recipe.network(3, 5)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def literal_score(learner: FismNetwork, row: int, film: int, alpha: float = 0.4) -> Tensor:
    """Equation 3 of the paper, with the sum over the history without the film itself."""
    voters = [other for other in HISTORY[row].nonzero()[:, 0].tolist() if other != film]
    votes = [learner.watched[other] @ learner.scored[film] for other in voters]
    total = torch.stack(votes).sum() / len(voters) ** alpha if voters else torch.tensor(0.0)
    return learner.item_biases[film] + total


def literal_loss(learner: FismNetwork) -> Tensor:
    """Squares over watched films and, drawn as often as on average, over the others; or over the pairs of both."""
    terms: list[Tensor] = []
    for row, user in enumerate(USERS.tolist()):
        scores = [literal_score(learner, row, film) for film in range(5)]
        watched = HISTORY[row].nonzero()[:, 0].tolist()
        others = [film for film in range(5) if film not in watched]
        if learner.user_biases is None:
            for film in watched:
                terms += [(1 - scores[film] + scores[other]) ** 2 / len(others) for other in others]
        else:
            chance = 3 * len(watched) / len(others)
            terms += [(1 - learner.user_biases[user] - scores[film]) ** 2 / 4 for film in watched]
            terms += [chance * (learner.user_biases[user] + scores[other]) ** 2 / 4 for other in others]
    return torch.stack(terms).sum() / HISTORY.sum()


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_a_score_is_the_normalised_sum_of_the_other_films_votes(alpha: float) -> None:
    learner = network(alpha=alpha)
    expected = [[float(literal_score(learner, row, film, alpha).detach()) for film in range(5)] for row in range(3)]
    torch.testing.assert_close(learner.scores(HISTORY).detach(), torch.tensor(expected))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_and_its_gradient_are_those_of_the_formula(loss: str) -> None:
    learner, literal = network(loss), network(loss)
    found, expected = learner.loss(HISTORY, USERS), literal_loss(literal)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_all_films_give_is_what_drawn_films_give_on_average(loss: str) -> None:
    learner, numbers = network(loss), np.random.default_rng(0)
    draws, total, watched = 4000, 0.0, 0
    with torch.no_grad():
        scores = learner.scores(HISTORY)
        if learner.user_biases is not None:
            scores = scores + learner.user_biases[USERS, None]
        for row in range(3):
            others = (HISTORY[row] == 0).nonzero()[:, 0].numpy()
            for film in HISTORY[row].nonzero()[:, 0]:
                drawn = scores[row, torch.from_numpy(numbers.choice(others, 3 * draws))]
                watched += 1
                if loss == "pairwise":
                    total += float((1 - scores[row, film] + drawn).square().mean())
                else:
                    total += float((1 - scores[row, film]).square() + drawn.square().mean() * 3) / 4
        assert float(learner.loss(HISTORY, USERS)) == pytest.approx(total / watched, rel=0.03)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_film_alone_in_its_history_learns_nothing_of_itself(loss: str) -> None:
    """The known wrong: with the film left in its own sum, its vectors would learn to find themselves."""
    learner = network(loss)
    only = torch.zeros(1, 5)
    only[0, 3] = 1.0
    torch.testing.assert_close(learner.scores(only)[0, 3], learner.item_biases[3])
    learner.loss(only, torch.tensor([0])).backward()
    assert learner.scored.grad is not None
    torch.testing.assert_close(learner.scored.grad[3], torch.zeros(2), rtol=0.0, atol=1e-6)


def test_films_that_are_never_watched_together_do_not_come_to_vote_for_themselves() -> None:
    """Each user watched one film: nothing can be learned but how popular films are. Left in, p[i] · q[i] would grow."""
    users = np.arange(40)
    train = Interactions.sorted_from(users, users % 5, users, None, 40, 6)
    recipe = Fism(embedding_size=4, learning_rate=0.05, batch_size=8)
    learner = recipe.fit(TrainingSet(train), Run(seed=1, epochs=30)).network
    assert float((learner.watched * learner.scored).detach().sum(dim=1).max()) < 0.1


@pytest.mark.parametrize("loss", LOSSES)
def test_nobody_to_vote_leaves_the_biases(loss: str) -> None:
    learner = network(loss)
    torch.testing.assert_close(learner.scores(torch.zeros(1, 5))[0], learner.item_biases)


@pytest.mark.parametrize("loss", LOSSES)
def test_who_watched_everything_gives_a_finite_loss(loss: str) -> None:
    assert torch.isfinite(network(loss).loss(torch.ones(1, 5), torch.tensor([1])))


def test_scores_follow_the_latest_films_of_people_whom_training_has_not_seen() -> None:
    learner = network().eval()
    rows, films = np.nonzero(HISTORY.numpy())
    histories = Interactions.sorted_from(rows, films, np.arange(len(rows)), None, 3, 5).histories().as_newcomers()
    found = HistoryNetwork(learner, 5, 3).scores(histories)
    np.testing.assert_allclose(found, learner.scores(HISTORY).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_two_fits_with_one_seed_are_equal_to_the_bit(loss: str) -> None:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))
    first, again = (Fism(batch_size=8, loss=loss).fit(train, Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
