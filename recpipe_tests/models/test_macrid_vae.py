"""MacridVAE: its loss against a literal formula, kind by kind, the drawn shares, and histories without films."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.autoencoders.macrid_vae import MacridVae, MacridVaeNetwork
from recpipe.recipe import Run

HISTORY = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]])
USERS = torch.arange(3)
SETTINGS = {"layers": (4,), "embedding_size": 2, "prototypes": 3, "dropout": 0.0, "annealing_steps": 0}


def network(**settings: Any) -> MacridVaeNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MacridVae(**SETTINGS | {"assignment": "soft", "temperature": 0.3, "alpha": 0.7} | settings).network(3, 5)


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one @ other / (one.square().sum() * other.square().sum()).sqrt()


def shares(learner: MacridVaeNetwork) -> list[torch.Tensor]:
    """For each film, its share in each kind."""
    return [
        torch.softmax(torch.stack([cosine(film, kind) / 0.3 for kind in learner.prototypes]), dim=0)
        for film in learner.items
    ]


def codes(learner: MacridVaeNetwork, row: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(mean, deviation) of one user's code for each kind."""
    found = []
    for kind in range(3):
        part = torch.stack([watched * share[kind] for watched, share in zip(row, shares(learner), strict=True)])
        both = learner.encoder(part / part.square().sum().sqrt())
        mean, deviation = both[:2] / both[:2].square().sum().sqrt(), 0.075 * (0.5 * both[2:]).exp()
        found.append((mean, deviation))
    return found


def literal_scores(learner: MacridVaeNetwork, vectors: list[torch.Tensor]) -> torch.Tensor:
    """ln Σ over the kinds of share · exp(cosine / τ), film by film."""
    return torch.stack([
        torch.log(sum(share[kind] * torch.exp(cosine(film, vectors[kind]) / 0.3) for kind in range(3)))
        for film, share in zip(learner.items, shares(learner), strict=True)
    ])  # fmt: skip


def test_scores_are_a_mixture_over_the_kinds_at_the_means() -> None:
    learner = network().eval()
    expected = [literal_scores(learner, [mean for mean, _ in codes(learner, row)]) for row in HISTORY]
    torch.testing.assert_close(learner.scores(HISTORY), torch.stack(expected))


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    """The literal KL is whole; the loss leaves out the part that the means of length one make constant."""
    learner = network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        noise = torch.randn(3, 3, 2)
        torch.manual_seed(5)
        loss = learner.loss(HISTORY, USERS)
    total = torch.zeros(())
    for row, drawn in zip(HISTORY, noise, strict=True):
        found = codes(learner, row)
        samples = [mean + deviation * each for (mean, deviation), each in zip(found, drawn, strict=True)]
        log_chances = torch.log_softmax(literal_scores(learner, samples), dim=0)
        kl = sum(kl_divergence(Normal(*code), Normal(0.0, 0.075)).sum() for code in found) - 3 / (2 * 0.075**2)
        total = total - sum(log_chances[film] for film in row.nonzero()[:, 0]) + 0.7 * kl
    torch.testing.assert_close(loss, total / 3, atol=1e-4, rtol=1e-5)
    parameters = list(learner.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(total / 3, parameters), atol=1e-4, rtol=1e-4
    )


def test_drawn_shares_are_those_of_gumbels_trick_and_scoring_takes_the_soft_ones() -> None:
    """The largest of a drawn film's shares is each kind's with the probability of its soft share."""
    learner = network(assignment="drawn")
    soft = torch.stack(shares(learner))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        draws = torch.stack([learner.log_assignment().argmax(dim=0) for _ in range(4000)])
        sums = learner.log_assignment().exp().sum(dim=0)
    frequencies = torch.stack([(draws == kind).float().mean(dim=0) for kind in range(3)], dim=1)
    torch.testing.assert_close(frequencies, soft.detach(), atol=0.03, rtol=0)
    torch.testing.assert_close(sums, torch.ones(5))
    torch.testing.assert_close(learner.eval().log_assignment().exp().T, soft)


def test_scores_stay_between_the_bounds_of_a_cosine() -> None:
    scores = network(temperature=0.1).eval().scores(HISTORY)
    assert scores.abs().max() <= 10.0 + 1e-4


def test_the_length_of_a_history_alone_changes_nothing() -> None:
    learner = network().eval()
    torch.testing.assert_close(learner.scores(3 * HISTORY), learner.scores(HISTORY))


@pytest.mark.parametrize("layers", [(), (4,)])
def test_a_history_whose_films_are_all_dropped_leaves_the_gradient_small(layers: tuple[int, ...]) -> None:
    """Without biases the mean had no direction, and the gradient of its length was infinite or nearly so."""
    learner = network(layers=layers)
    loss = (
        learner.loss(torch.zeros(1, 5), USERS[:1])
        + learner.decode(learner.encode(torch.zeros(1, 5), learner.log_assignment())[0], learner.log_assignment()).sum()
    )
    slopes = torch.autograd.grad(loss, list(learner.encoder.parameters()))
    assert max(float(slope.abs().max()) for slope in slopes) < 1000.0
    assert learner.eval().scores(torch.zeros(1, 5)).isfinite().all()


def test_people_get_the_films_that_people_like_them_watch() -> None:
    """Each person watches some of one half of the films."""
    numbers = np.random.default_rng(0)
    of_kind = np.kron(np.ones((60, 1)), np.kron(np.eye(2), np.ones(10)))
    users, items = np.nonzero(of_kind * (numbers.random((120, 20)) < 0.6))
    train = TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), None, 120, 20))
    recipe = MacridVae(layers=(), embedding_size=8, prototypes=2, batch_size=10, learning_rate=0.02, annealing_steps=50)
    scorer = recipe.fit(train, Run(epochs=20))
    scores = scorer.scores(train.interactions.histories())
    own = of_kind.astype(bool)
    assert (scores[own].reshape(120, 10).min(axis=1) > scores[~own].reshape(120, 10).max(axis=1)).mean() > 0.9
