"""LINE: loss, sign and gradient against the formula, the noise that the scores take back, and what is sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.line import Line, LineNetwork, edge_loss, edges, film_biases
from recpipe.recipe import Run

PAIRS = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]  # user 1 has seen all but film 4, which nobody has
USERS, FILMS, STRANGERS = torch.tensor([[2], [0]]), torch.tensor([[0, 3, 4], [2, 1, 1]]), torch.tensor([[3, 3], [2, 3]])
PARTS = [("first",), ("second",), ("first", "second")]


def interactions() -> Interactions:
    users, items = np.array(PAIRS).T
    return Interactions.sorted_from(users, items, np.arange(len(PAIRS)), None, 4, 5)


def network(orders: tuple[str, ...]) -> LineNetwork:
    parts = "both" if len(orders) == 2 else orders[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = LineNetwork(interactions(), Line(embedding_size=2, parts=parts))
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def literal_score(learner: LineNetwork, order: str, user: int, film: int) -> torch.Tensor:
    p, q = learner.users[order].weight, learner.items[order].weight
    return p[user, 0] * q[film, 0] + p[user, 1] * q[film, 1]


def log_sigmoid(value: torch.Tensor) -> torch.Tensor:
    return -torch.log(1 + torch.exp(-value))


@pytest.mark.parametrize("orders", PARTS)
def test_the_loss_and_its_gradient_are_those_of_the_formula(orders: tuple[str, ...]) -> None:
    learner, literal = network(orders), network(orders)
    expected = torch.zeros(())
    for (user,), (film, *others), strangers in zip(USERS.tolist(), FILMS.tolist(), STRANGERS.tolist(), strict=True):
        for order in orders:
            ways = 2 if order == "first" else 1
            expected = expected - ways * log_sigmoid(literal_score(literal, order, user, film))
            for other in others:
                expected = expected - log_sigmoid(-literal_score(literal, order, user, other))
            for stranger in strangers if order == "first" else []:
                expected = expected - log_sigmoid(-literal_score(literal, order, stranger, film))
    expected = expected / 2
    found = learner.loss(USERS, FILMS, STRANGERS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


def test_the_loss_is_positive_and_falls_where_watched_films_rise_and_the_wrong_sign_does_neither() -> None:
    def wrong(scores: torch.Tensor) -> torch.Tensor:
        return -edge_loss(scores)

    before, watched_higher = torch.zeros(1, 3), torch.tensor([[2.0, -2.0, -2.0]])
    assert float(edge_loss(before)) == pytest.approx(3 * math.log(2))
    assert 0 < float(edge_loss(watched_higher)) < float(edge_loss(before))
    assert float(wrong(before)) < 0 and float(wrong(watched_higher)) > float(wrong(before))
    for loss, rises in ((edge_loss, True), (wrong, False)):
        scores = torch.zeros(1, 3, requires_grad=True)
        loss(scores).backward()
        assert (float(-scores.grad[0, 0]) > 0) == rises


def test_before_anything_is_learned_the_loss_is_that_of_a_coin_for_each_pair() -> None:
    learner = network(("first", "second"))
    for table in learner.parameters():
        torch.nn.init.zeros_(table)
    assert float(learner.loss(USERS, FILMS, STRANGERS).detach()) == pytest.approx((6 + 3) * math.log(2))


@pytest.mark.parametrize("orders", PARTS)
@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_the_factors_give_the_products_of_the_orders_and_the_films_bias(orders: tuple[str, ...], sampling: str) -> None:
    learner = network(orders).float()
    learner.biases = sum(film_biases(interactions(), sampling)[order] for order in orders)
    degrees = np.array([3.0, 1, 2, 1, 1])  # the film of nobody counts as one of somebody
    drawn = degrees**0.75 if sampling == "popularity" else np.ones(5)
    noise = {"second": drawn / drawn.sum(), "first": drawn / drawn.sum() + degrees / degrees.sum()}
    expected = [
        [
            sum(
                float(literal_score(learner, order, user, film).detach()) + np.log(noise[order][film])
                for order in orders
            )
            for film in range(5)
        ]
        for user in range(4)
    ]
    np.testing.assert_allclose(learner.factors().scores(interactions().histories()), expected, rtol=1e-4, atol=1e-5)


def test_what_is_drawn_is_never_joined_by_an_edge_and_every_edge_that_allows_it_is_a_row() -> None:
    stream = edges(interactions(), 4, 20, "popularity")(np.random.default_rng(0))
    met = []
    for users, films, strangers in stream:
        assert films.shape == (len(users), 21) and strangers.shape == (len(users), 20)
        for (user,), (film, *others), others_users in zip(
            users.tolist(), films.tolist(), strangers.tolist(), strict=True
        ):
            met.append((user, film))
            assert not {(user, other) for other in others} & set(PAIRS)
            assert not {(stranger, film) for stranger in others_users} & set(PAIRS)
    assert sorted(met) == PAIRS


def test_an_edge_for_which_nothing_can_be_drawn_is_left_out() -> None:
    users, items = np.array([0, 0, 1]), np.array([0, 1, 0])  # user 0 has seen all films, and film 0 all have seen
    everything = Interactions.sorted_from(users, items, np.arange(3), None, 2, 2)
    assert list(edges(everything, 4, 2, "uniform")(np.random.default_rng(0))) == []


def test_scores_take_back_what_popularity_had_in_the_drawing() -> None:
    """Without any taste in the data the best list is the one by popularity, which negatives by popularity hide."""
    numbers = np.random.default_rng(0)
    watched = numbers.random((300, 12)) < np.linspace(0.8, 0.1, 12)
    users, items = watched.nonzero()
    train = Interactions.sorted_from(users, items, np.arange(len(users)), None, 300, 12)
    recipe = Line(embedding_size=2, batch_size=256, learning_rate=0.02, weight_decay=1.0, parts="second")
    scores = recipe.fit(TrainingSet(train), Run(seed=1, epochs=20)).scores(train.histories()).mean(axis=0)
    popularity = train.item_counts()
    assert np.corrcoef(np.argsort(np.argsort(scores)), np.argsort(np.argsort(popularity)))[0, 1] > 0.95


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    first, again = (Line(batch_size=3).fit(TrainingSet(interactions()), Run(seed=5, epochs=3)).arrays() for _ in "ab")
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
