"""NAIS: attention by matrices over pairs of films against attention looked up pair by pair for each user."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural import nais
from recpipe.models.neural.nais import Nais, NaisNetwork
from recpipe.recipe import Run

HISTORY = torch.tensor([[1.0, 0, 1, 0, 1], [0, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
"""Three users of five films: the second watched one film, the fourth film was watched by nobody."""
ALL = torch.arange(5)
SIMILARITIES = ["product", "concatenation"]


def network(similarity: str = "product", attends: bool = True, **settings: Any) -> NaisNetwork:
    small = {"embedding_size": 2, "layers": (3,), "alpha": 0.4, "negatives": 3, "regularization": 0.1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = Nais.model_validate(small | {"similarity": similarity} | settings).network(3, 5)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    learner.attends = attends
    return learner


def literal_logit(learner: NaisNetwork, film: int, other: int) -> Tensor:
    """Equation 7 of the paper; 0 where only FISM is wanted."""
    if not learner.attends:
        return torch.tensor(0.0)
    scored, watched = learner.scored[film], learner.watched[other]
    pair = scored * watched if learner.recipe.similarity == "product" else torch.cat((scored, watched))
    return learner.output @ torch.relu(learner.weights @ pair + learner.offsets)


def literal_score(learner: NaisNetwork, row: int, film: int) -> Tensor:
    """Equations 5 and 8 of the paper: the softmax over one user's history, its denominator smoothed."""
    voters = [other for other in HISTORY[row].nonzero()[:, 0].tolist() if other != film]
    if not voters:
        return learner.biases[film]
    shares = [literal_logit(learner, film, other).exp() for other in voters]
    below = torch.stack(shares).sum() ** learner.recipe.alpha
    votes = [
        share / below * (learner.scored[film] @ learner.watched[other])
        for share, other in zip(shares, voters, strict=True)
    ]
    return learner.biases[film] + torch.stack(votes).sum()


def literal_loss(learner: NaisNetwork) -> Tensor:
    """Cross-entropy of watched films and of the others, as often as they are drawn on average; and the penalty."""
    terms = []
    for row, film in itertools.product(range(3), range(5)):
        watched = int(HISTORY[row].sum())
        share = torch.sigmoid(literal_score(learner, row, film))
        chance = 3 * watched / (5 - watched)
        terms.append(-torch.log(share) if HISTORY[row, film] else -chance * torch.log(1 - share))
    penalty = learner.weights.square().sum() + learner.output.square().sum()
    return torch.stack(terms).sum() / (4 * HISTORY.sum()) + 0.1 * penalty


def literal_scores(learner: NaisNetwork) -> Tensor:
    return torch.tensor([[float(literal_score(learner, row, film).detach()) for film in range(5)] for row in range(3)])


@pytest.mark.parametrize("attends", [True, False])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_scores_from_pairs_of_films_are_those_of_attention_pair_by_pair(
    alpha: float, similarity: str, attends: bool
) -> None:
    learner = network(similarity, attends, alpha=alpha).eval()
    with torch.no_grad():
        torch.testing.assert_close(learner.scores(HISTORY), literal_scores(learner))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_loss_and_its_gradient_are_those_of_the_formula(similarity: str) -> None:
    learner, literal = network(similarity), network(similarity)
    found, expected = learner.loss(ALL, HISTORY[None]), literal_loss(literal)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_the_losses_of_a_few_films_at_a_time_have_the_whole_loss_as_their_mean() -> None:
    learner = network()
    with torch.no_grad():
        parts = [learner.loss(film[None], HISTORY[None]) for film in ALL]
        torch.testing.assert_close(torch.stack(parts).mean(), learner.loss(ALL, HISTORY[None]))


def test_a_film_alone_in_its_history_learns_nothing_of_itself() -> None:
    """The known wrong: with the film left in its own history, its vectors would learn to find themselves."""
    learner, only = network(regularization=0.0), torch.zeros(1, 1, 5)
    only[0, 0, 3] = 1.0
    learner.loss(torch.tensor([3]), only).backward()
    for parameter in (learner.scored, learner.watched, learner.weights, learner.output):
        assert parameter.grad is not None
        assert not parameter.grad.any()


@pytest.mark.parametrize("hidden", [1, 30])
def test_scores_do_not_depend_on_how_many_films_are_taken_at_once(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = network().eval()
    monkeypatch.setattr(nais, "HIDDEN", hidden)
    with torch.no_grad():
        torch.testing.assert_close(learner.scores(HISTORY), literal_scores(learner))
        monkeypatch.setattr(nais, "KEPT", 0)
        learner.forget()
        torch.testing.assert_close(learner.scores(HISTORY), literal_scores(learner))


def test_attention_that_was_kept_for_scoring_is_not_used_with_other_weights() -> None:
    learner, other = network().eval(), network(attends=False).eval()
    with torch.no_grad():
        learner.scores(HISTORY)
        for parameter in other.parameters():
            parameter.mul_(0.5)
        learner.load_state_dict(other.state_dict())
        torch.testing.assert_close(learner.scores(HISTORY), literal_scores(learner))
        learner.loss(ALL, HISTORY[None])
        learner.biases.add_(1.0)
        learner.scored.mul_(2.0)
        torch.testing.assert_close(learner.scores(HISTORY), literal_scores(learner))


def test_logits_of_any_size_give_finite_scores() -> None:
    learner = network().eval()
    for factor in (1e3, -1e6):
        with torch.no_grad():
            learner.output.mul_(factor)
            learner.forget()
            assert torch.isfinite(learner.scores(HISTORY)).all()
            assert torch.isfinite(learner.loss(ALL, HISTORY[None]))


def test_nobody_to_vote_leaves_the_biases_and_who_watched_everything_gives_a_finite_loss() -> None:
    learner = network().eval()
    with torch.no_grad():
        torch.testing.assert_close(learner.scores(torch.zeros(1, 5))[0], learner.biases)
        assert torch.isfinite(learner.loss(ALL, torch.ones(1, 1, 5)))


def some_events() -> TrainingSet:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    return TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))


SMALL = Nais(embedding_size=4, layers=(3,), batch_size=8)


def test_pretraining_is_without_attention_and_reports_apart() -> None:
    reports: list[dict[str, Any]] = []
    run = Run(seed=5, epochs=2, report=lambda **numbers: reports.append(numbers))
    learner = SMALL.model_copy(update={"pretraining": 3}).fit(some_events(), run).network
    assert learner.attends
    assert [sum(name in report for report in reports) for name in ("fism_epoch", "epoch")] == [3, 2]


@pytest.mark.parametrize("settings", [{}, {"pretraining": 1}, {"similarity": "concatenation"}])
def test_two_fits_with_one_seed_are_equal_to_the_bit(settings: dict[str, Any]) -> None:
    recipe = Nais.model_validate(SMALL.model_dump() | settings)
    first, again = (recipe.fit(some_events(), Run(seed=5, epochs=2)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
