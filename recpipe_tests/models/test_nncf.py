"""NNCF: its formula event by event, the pair itself taken out of its neighbourhoods, scoring against training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural.nncf import Nncf, NncfLearner
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PairNetwork

WATCHED = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
"""Of four users one watched a single film and one nothing; two of five films have one user and the last has none."""
USERS, FILMS = torch.tensor([0, 0, 1, 2]), torch.tensor([[1, 2, 4], [3, 2, 2], [1, 0, 4], [0, 1, 3]])
"""Events, each with two films not watched; the first two of one user, and two of one film."""
SMALL = Nncf(embedding_size=3, layers=(4, 2), alpha=0.7, batch_size=4)

each_form = pytest.mark.parametrize("neighbourhoods", ["crossed", "joined"])
each_part = pytest.mark.parametrize("parts", ["linear", "mlp", "both"])


def interactions() -> Interactions:
    users, films = (column.numpy() for column in WATCHED.nonzero(as_tuple=True))
    return Interactions.sorted_from(users, films, np.arange(len(users)), None, 4, 5)


def learner(**settings: Any) -> NncfLearner:
    """With random parameters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = NncfLearner(interactions().matrix(), Nncf.model_validate(SMALL.model_dump() | settings))
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
    return made


def literal_score(of: NncfLearner, watched: Tensor, user: int, film: int) -> Tensor:
    """The formula for one pair, with the neighbourhoods that a dense matrix of users and films has."""
    p, q = of.vectors[:4], of.vectors[4:]
    b, a = of.neighbours[:4], of.neighbours[4:]
    films, users = watched[user].nonzero()[:, 0], watched[:, film].nonzero()[:, 0]
    m = a[films].sum(dim=0) / max(1, len(films)) ** 0.7
    n = b[users].sum(dim=0) / max(1, len(users)) ** 0.7
    if of.recipe.neighbourhoods == "crossed":
        m, n = m * q[film], p[user] * n
    z = torch.cat((p[user] * q[film], m, n))
    weights, offsets = of.head.first.weight, of.head.first.bias
    score = torch.zeros(())
    if of.recipe.parts != "mlp":
        score = weights[0] @ z + offsets[0]
        weights, offsets = weights[1:], offsets[1:]
    if of.recipe.parts != "linear":
        second: Any = of.head.rest[1]
        last: Any = of.head.rest[3]
        hidden = torch.relu(second.weight @ torch.relu(weights @ z + offsets) + second.bias)
        score = score + last.weight[0] @ hidden + (0.0 if last.bias is None else last.bias[0])
    return score


def literal_loss(of: NncfLearner, taken_out: bool = True) -> Tensor:
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        seen = WATCHED.clone()
        if taken_out:
            seen[user, films[0]] = 0
        for column, film in enumerate(films):
            neighbourhood = seen if column == 0 else WATCHED
            share = torch.sigmoid(literal_score(of, neighbourhood, user, film))
            terms.append(-torch.log(share if column == 0 else 1 - share))
    return torch.stack(terms).mean()


@each_form
@each_part
def test_the_loss_and_its_gradient_are_those_of_the_formula(neighbourhoods: str, parts: str) -> None:
    ours, literal = (learner(neighbourhoods=neighbourhoods, parts=parts) for _ in range(2))
    found, expected = ours.loss(USERS, FILMS), literal_loss(literal)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert abs(float(expected.detach() - literal_loss(literal, taken_out=False).detach())) > 1e-3
    found.backward()
    expected.backward()
    for mine, theirs in zip(ours.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


@each_form
@pytest.mark.parametrize("row", range(4))
def test_a_pair_gives_nothing_of_itself_away(neighbourhoods: str, row: int) -> None:
    """The loss of a pair is the same whatever its film is as the user's neighbour, and its user as the film's."""
    ours = learner(neighbourhoods=neighbourhoods)
    user, film = USERS[row : row + 1], FILMS[row : row + 1, :1]
    before = ours.loss(user, film)
    before.backward()
    moved = ours.neighbours.grad
    assert moved is not None
    nodes = torch.cat((user, film[0] + 4))
    assert float(moved[nodes].abs().max()) < 1e-6
    with torch.no_grad():
        ours.neighbours[nodes] += 1.0
        torch.testing.assert_close(ours.loss(user, film), before.detach(), rtol=1e-4, atol=1e-5)


@each_form
@each_part
def test_scores_are_those_of_the_formula_with_whole_neighbourhoods(neighbourhoods: str, parts: str) -> None:
    ours = learner(neighbourhoods=neighbourhoods, parts=parts)
    everybody = [[literal_score(ours, WATCHED, user, film).detach() for film in range(5)] for user in range(4)]
    scorer = PairNetwork(ours.network(), 4, 5)
    np.testing.assert_allclose(scorer.scores(interactions().histories()), everybody, rtol=1e-4, atol=1e-5)


def test_the_neighbourhoods_are_stored_with_the_network() -> None:
    scorer = SMALL.fit(TrainingSet(interactions()), Run(seed=3, epochs=2))
    back = PairNetwork.from_arrays(scorer.arrays(), SMALL)
    assert float(back.network.items[:4].abs().min()) > 0
    histories = interactions().histories()
    np.testing.assert_array_equal(back.scores(histories), scorer.scores(histories))


@pytest.mark.parametrize("settings", [{}, {"neighbourhoods": "joined", "parts": "mlp"}, {"parts": "linear"}])
def test_two_fits_with_one_seed_are_equal_to_the_bit(settings: dict[str, Any]) -> None:
    recipe = SMALL.model_copy(update=settings)
    first, again = (recipe.fit(TrainingSet(interactions()), Run(seed=5, epochs=3)) for _ in range(2))
    histories = interactions().histories()
    assert np.isfinite(first.scores(histories)).all()
    np.testing.assert_array_equal(first.scores(histories), again.scores(histories))


def test_a_film_watched_twice_is_one_neighbour() -> None:
    users, films = (np.tile(column.numpy(), 2) for column in WATCHED.nonzero(as_tuple=True))
    twice = Interactions.sorted_from(users, films, np.arange(len(users)), None, 4, 5)
    once, again = learner(), NncfLearner(twice.matrix(), SMALL)
    again.load_state_dict(once.state_dict())
    torch.testing.assert_close(again.loss(USERS, FILMS), once.loss(USERS, FILMS))
