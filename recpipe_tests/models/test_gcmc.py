"""GC-MC: loss and gradient against loops over messages, with and without ratings; the pair itself is never heard."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.graphs.gcmc import Gcmc, GcmcNetwork
from recpipe.recipe import Run

RATED = np.array([[5, 3, 0, 0], [0, 3, 4, 0], [0, 0, 0, 0]], dtype=np.float32)  # user 2 and film 3 have no edge
USERS, ITEMS = RATED.nonzero()
BATCH = torch.tensor([0, 1, 0]), torch.tensor([[1, 2, 3], [2, 0, 0], [0, 3, 2]])

VARIANTS = [
    {},
    {"normalisation": "left", "loss": "logistic"},
    {"channels": "ratings"},
    {"channels": "ratings", "accumulation": "stack", "normalisation": "left"},
]
variants = pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: "-".join(settings.values()) or "one")


def interactions(rated: bool = True) -> Interactions:
    ratings = RATED[USERS, ITEMS] if rated else None
    return Interactions.sorted_from(USERS, ITEMS, np.arange(len(USERS)), ratings, 3, 4)


def network(**settings: object) -> GcmcNetwork:
    recipe = Gcmc(**{"embedding_size": 6, "layers": (2,), "dropout": 0.0} | settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return GcmcNetwork(interactions(), recipe)


def literal_vector(learner: GcmcNetwork, node: int, unheard: int | None = None) -> torch.Tensor:
    """z of one node, message by message, but that of `unheard`."""
    recipe, ratings = learner.recipe, sorted(set(RATED[RATED > 0].tolist()))
    degrees = [*(RATED > 0).sum(axis=1).tolist(), *(RATED > 0).sum(axis=0).tolist()]
    total = torch.zeros(6)
    for user, film in zip(USERS.tolist(), ITEMS.tolist(), strict=True):
        for hears, says in ((user, 3 + film), (3 + film, user)):
            if hears != node or says == unheard:
                continue
            channel = ratings.index(RATED[user, film]) if recipe.channels == "ratings" else 0
            if recipe.accumulation == "stack" and recipe.channels == "ratings":
                message = torch.zeros(6)
                message[2 * channel : 2 * channel + 2] = 1.0  # three ratings share six columns
                message = message * learner.initial[0, says]
            else:
                message = sum(learner.initial[better, says] for better in range(channel + 1))
            shared = np.sqrt(degrees[hears] * degrees[says])
            total = total + message / (float(shared) if recipe.normalisation == "symmetric" else degrees[hears])
    return torch.relu(total) @ learner.dense


def literal_loss(learner: GcmcNetwork) -> torch.Tensor:
    terms = []
    for user, (film, *others) in zip(*(part.tolist() for part in BATCH), strict=True):
        of_user = literal_vector(learner, user, unheard=3 + film) @ learner.bilinear
        found = of_user @ literal_vector(learner, 3 + film, unheard=user)
        scores = [of_user @ literal_vector(learner, 3 + other) for other in others]
        if learner.recipe.loss == "bpr":
            terms += [-torch.log(torch.sigmoid(found - score)) for score in scores]
        else:
            terms += [-torch.log(torch.sigmoid(found)), *(-torch.log(1 - torch.sigmoid(score)) for score in scores)]
    return torch.stack(terms).mean()


@variants
def test_the_loss_and_its_gradient_are_those_of_the_formula(settings: dict[str, str]) -> None:
    learner, literal = network(**settings), network(**settings)
    found, expected = learner.loss(*BATCH), literal_loss(literal)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for one, other in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


@variants
def test_scores_hear_everything(settings: dict[str, str]) -> None:
    learner = network(**settings, dropout=0.5).eval()
    scores = learner.factors().scores(interactions().histories())
    for user in range(3):
        of_user = literal_vector(learner, user) @ learner.bilinear
        expected = [float((of_user @ literal_vector(learner, 3 + film)).detach()) for film in range(4)]
        np.testing.assert_allclose(scores[user], expected, rtol=1e-4, atol=1e-6)


def test_who_is_dropped_is_heard_by_nobody_and_the_others_weigh_more_for_it() -> None:
    learner = network(dropout=0.75, channels="ratings")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        dropped = learner.messages()
    whole = learner.eval().messages()
    heard = dropped.abs().sum(dim=(0, 2)) > 0
    assert 0 < heard.sum() < 7
    torch.testing.assert_close(dropped[:, heard], 4 * whole[:, heard])


def test_without_ratings_there_is_one_channel() -> None:
    learner = GcmcNetwork(interactions(rated=False), Gcmc(channels="ratings"))
    assert learner.initial.shape == (1, 7, 64)
    assert network(channels="ratings").initial.shape == (3, 7, 6)


def test_too_many_ratings_are_an_error_that_says_what_to_do() -> None:
    ratings = np.linspace(0, 5, 11, dtype=np.float32)
    many = Interactions.sorted_from(np.zeros(11, dtype=int), np.arange(11), np.arange(11), ratings, 1, 12)
    with pytest.raises(ValueError, match="at most 10 ratings apart, and these events have 11: set channels: one"):
        Gcmc(channels="ratings").fit(TrainingSet(many), Run())


def test_stacked_ratings_without_a_column_each_are_an_error_that_says_what_to_do() -> None:
    told = "embedding_size 2 has no column for each of 3 stacked ratings: set embedding_size 3 or more, or accumulation"
    with pytest.raises(ValueError, match=told):
        network(channels="ratings", accumulation="stack", embedding_size=2)
    assert network(channels="ratings", accumulation="stack", embedding_size=3).blocks.any(dim=2).all()
    network(channels="ratings", embedding_size=2)


@pytest.mark.parametrize("channels", ["one", "ratings"])
def test_two_fits_with_one_seed_are_equal_to_the_bit(channels: str) -> None:
    recipe = Gcmc(batch_size=3, channels=channels)
    first, again = (recipe.fit(TrainingSet(interactions()), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
