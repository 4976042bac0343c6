"""GRU4Rec: causality, padding, and each of its losses against a literal loop."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from recpipe.models.sequences.gru4rec import Gru4rec, Gru4recNetwork

N_ITEMS = PADDING = 7
FILMS = torch.tensor([[7, 7, 3, 1, 4], [2, 5, 2, 0, 6], [7, 7, 7, 7, 1]])
TARGETS = torch.tensor([[7, 7, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 7, 2]])


def network(**settings: object) -> Gru4recNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        recipe = Gru4rec(
            **{"embedding_size": 4, "layers": 2, "dropout": 0.0, "max_length": 5, "negatives": 3} | settings
        )
        learner = recipe.network(3, N_ITEMS)
        torch.nn.init.normal_(learner.biases)
    return learner


def test_a_later_film_does_not_change_earlier_states() -> None:
    learner, changed = network(), FILMS.clone()
    changed[:, 4] = 0
    before, after = learner.states(FILMS), learner.states(changed)
    earlier = (FILMS != PADDING)[:, :4]
    torch.testing.assert_close(after[:, :4][earlier], before[:, :4][earlier], rtol=0, atol=0)
    assert (after[:, 4] != before[:, 4]).any(dim=1).all()


def test_the_amount_of_padding_does_not_change_scores() -> None:
    learner = network()
    more = torch.nn.functional.pad(FILMS, (3, 0), value=PADDING)
    torch.testing.assert_close(learner.scores(more), learner.scores(FILMS))


def test_the_states_are_those_of_the_films_alone() -> None:
    learner = network()
    alone, _ = learner.gru(learner.items(FILMS[:1, 2:]))
    torch.testing.assert_close(learner.states(FILMS)[:1, 2:], alone)


def test_a_row_of_padding_gets_finite_scores_and_breaks_no_gradient() -> None:
    learner, nothing = network(), torch.full((1, 5), PADDING)
    assert learner.scores(nothing).isfinite().all()
    learner.loss(torch.cat((FILMS, nothing)), torch.cat((TARGETS, nothing))).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())


def test_cross_entropy_is_that_of_all_films_at_each_target() -> None:
    learner, terms = network(), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        real = FILMS[row, : column + 1][FILMS[row, : column + 1] != PADDING]
        scores = learner.scores(real[None, :])[0]
        terms.append(-torch.log(scores.exp()[TARGETS[row, column]] / scores.exp().sum()))
    torch.testing.assert_close(learner.loss(FILMS, TARGETS), torch.stack(terms).mean())


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def shares(others: list[float]) -> list[float]:
    return [math.exp(other) / sum(map(math.exp, others)) for other in others]


def bpr(watched: float, others: list[float]) -> float:
    return sum(-math.log(sigmoid(watched - other)) for other in others) / len(others)


def top1(watched: float, others: list[float]) -> float:
    return sum(sigmoid(other - watched) + sigmoid(other**2) for other in others) / len(others)


def bpr_max(watched: float, others: list[float]) -> float:
    weighted = list(zip(shares(others), others, strict=True))
    ranking = -math.log(sum(share * sigmoid(watched - other) for share, other in weighted))
    return ranking + 0.5 * sum(share * other**2 for share, other in weighted)


def top1_max(watched: float, others: list[float]) -> float:
    weighted = zip(shares(others), others, strict=True)
    return sum(share * (sigmoid(other - watched) + sigmoid(other**2)) for share, other in weighted)


@pytest.mark.parametrize("literal", [bpr, bpr_max, top1, top1_max], ids=lambda literal: literal.__name__)
def test_sampled_losses_are_those_of_the_papers(literal: Callable[[float, list[float]], float]) -> None:
    learner = network(loss=literal.__name__, regularization=0.5)
    torch.manual_seed(9)
    found = learner.loss(FILMS, TARGETS)
    torch.manual_seed(9)
    drawn = torch.multinomial(learner.popularity, 3, replacement=True)
    scores = (learner.states(FILMS) @ learner.items.weight[:-1].T + learner.biases).detach()
    terms = [
        literal(float(scores[row, column, TARGETS[row, column]]), scores[row, column, drawn].tolist())
        for row, column in (TARGETS != PADDING).nonzero().tolist()
    ]
    assert float(found.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


@pytest.mark.parametrize("loss", ["bpr", "bpr_max", "top1", "top1_max", "cross_entropy"])
def test_extreme_scores_keep_every_loss_finite(loss: str) -> None:
    learner = network(loss=loss)
    with torch.no_grad():
        learner.biases[:] = torch.tensor([300.0, -300, 0, 300, -300, 0, 300])
    value = learner.loss(FILMS, TARGETS)
    value.backward()
    assert value.isfinite()
    assert value >= 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())
