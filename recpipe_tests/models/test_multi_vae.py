"""MultiVAE: the two parts of its loss, the growth of the KL part, and people whom training has not seen."""

from __future__ import annotations

import numpy as np
import torch
from torch.distributions import Normal, kl_divergence

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.autoencoders.multi_vae import MultiVae, MultiVaeNetwork
from recpipe.recipe import Run

HISTORY = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
USERS = torch.arange(3)


def network(**settings: object) -> MultiVaeNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MultiVae(**{"layers": (4,), "embedding_size": 2, "dropout": 0.0} | settings).network(3, 5)


def test_the_loss_is_the_likelihood_plus_the_weighted_kl() -> None:
    learner = network(alpha=0.7, annealing_steps=0)
    mean, log_variance = learner.encode(HISTORY)
    torch.manual_seed(5)
    noise = torch.randn_like(mean)
    total = torch.tensor(0.0)
    for row in range(3):
        deviation = (0.5 * log_variance[row]).exp()
        log_shares = torch.log_softmax(learner.decoder(mean[row] + deviation * noise[row]), dim=0)
        kl = kl_divergence(Normal(mean[row], deviation), Normal(0.0, 1.0)).sum()
        total = total - sum(log_shares[film] for film in HISTORY[row].nonzero()[:, 0]) + 0.7 * kl
    torch.manual_seed(5)
    torch.testing.assert_close(learner.loss(HISTORY, USERS), total / 3)


def test_the_kl_is_reported_as_it_was_in_the_last_step() -> None:
    learner = network()
    learner.loss(HISTORY, USERS)
    mean, log_variance = learner.encode(HISTORY)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(learner.kl, expected)
    assert learner.reported == ("kl",)


def test_the_kl_weight_goes_on_where_stored_weights_left_off() -> None:
    learner, again = network(annealing_steps=4), network(annealing_steps=4)
    learner.loss(HISTORY, USERS)
    again.load_state_dict(learner.state_dict())
    assert again.annealing.weight() == learner.annealing.weight() > 0


def test_scoring_takes_the_mean_and_draws_nothing() -> None:
    learner = network(dropout=0.5).eval()
    scores = learner.scores(HISTORY)
    torch.testing.assert_close(learner.scores(HISTORY), scores, rtol=0, atol=0)
    torch.testing.assert_close(learner.decoder(learner.encode(HISTORY)[0]), scores)


def test_the_input_has_length_one_and_an_empty_one_is_served() -> None:
    learner = network().eval()
    torch.testing.assert_close(learner.scores(HISTORY * 3), learner.scores(HISTORY))
    assert learner.scores(HISTORY[2:]).isfinite().all()


def test_people_unseen_at_training_get_the_films_of_their_taste() -> None:
    """Users of even number watch the first ten films, those of odd number the others; half of the users are new."""
    numbers = np.random.default_rng(0)
    users, items = np.nonzero(
        np.kron(np.ones((40, 1)), np.kron(np.eye(2), np.ones(10))) * (numbers.random((80, 20)) < 0.6)
    )
    everybody = Interactions.sorted_from(users, items, np.arange(len(users)), None, 80, 20)
    recipe = MultiVae(layers=(), embedding_size=4, batch_size=10, learning_rate=0.02, annealing_steps=50)
    scorer = recipe.fit(TrainingSet(everybody.take(everybody.users < 40)), Run(epochs=20))
    newcomers = everybody.histories(np.arange(40, 80)).as_newcomers()
    scores = scorer.scores(newcomers)
    own = np.kron(np.ones((20, 1)), np.kron(np.eye(2), np.ones(10))).astype(bool)
    assert (scores[own].reshape(40, 10).min(axis=1) > scores[~own].reshape(40, 10).max(axis=1)).mean() > 0.9
