"""GRU4Rec over sessions side by side: whose state goes on and where it ends, and each loss against a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.costs import Shape
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.sequences.gru4rec_session import Gru4recSession, Gru4recSessionNetwork
from recpipe.recipe import Run
from recpipe.training.batches import Batch
from recpipe.training.journal import Journal
from recpipe.training.lanes import lane_batches

N_ITEMS = PADDING = 9
SIZE = 4
SESSIONS = [[3, 1, 4, 1, 5], [2], [6, 5, 3, 5, 8, 0, 7], [2, 7], [1, 8, 2], [0, 4, 6, 2], [], [7, 3]]
WALKED = [(1, 1), (3, 1), (3, 2), (2, 50), (100, 3)]
"""Lanes and steps of a batch."""


def data(sessions: list[list[int]] = SESSIONS) -> TrainingSet:
    users = np.repeat(np.arange(len(sessions)), [len(session) for session in sessions])
    items = np.array([film for session in sessions for film in session], dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, np.arange(len(items)), None, len(sessions), N_ITEMS))


def network(**settings: Any) -> Gru4recSessionNetwork:
    """Random biases too, so that none stays unseen."""
    tiny = {"embedding_size": SIZE, "dropout": 0.0, "negatives": 3, "regularization": 0.5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        learner = Gru4recSession(**tiny | settings).network(len(SESSIONS), N_ITEMS)
        for biases in (learner.biases, learner.entering_bias, learner.recurrent_bias):
            torch.nn.init.normal_(biases)
    return learner


def batches(lanes: int, steps: int) -> Iterator[Batch]:
    return iter(lane_batches(data().interactions.histories(), lanes, steps)(np.random.default_rng(1)))


@pytest.mark.parametrize(("lanes", "steps"), WALKED)
def test_a_state_holds_its_session_up_to_now_and_nothing_else(
    lanes: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that writes down what comes in, a digit a film, so that a state tells the films that it has seen."""
    learner, seen = network(batch_size=lanes), []
    whole = learner.states

    def watched(films: Tensor, begins: Tensor, state: Tensor) -> Tensor:
        states = whole(films, begins, state)
        seen.extend(zip(films.flatten().tolist(), states.reshape(-1, SIZE)[:, 0].tolist(), strict=True))
        return states

    monkeypatch.setattr(learner, "states", watched)
    monkeypatch.setattr(learner, "entered", lambda films: (films + 1.0)[..., None].expand(-1, -1, SIZE))
    monkeypatch.setattr(learner, "after", lambda entered, state: 10 * state + entered)
    for batch in batches(lanes, steps):
        learner.loss(*batch)
    expected = []
    for session in SESSIONS:
        digits = 0.0
        for film in session[:-1]:
            digits = 10 * digits + film + 1
            expected.append((film, digits))
    assert sorted(pair for pair in seen if pair[0] != PADDING) == sorted(expected)


def cell(learner: Gru4recSessionNetwork) -> Callable[[int, Tensor], Tensor]:
    """PyTorch's own cell with the learner's weights, film by film; gradients reach the weights."""
    one_hot = learner.recipe.inputs == "one_hot"
    weights = learner.entering.T if one_hot else learner.entering
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    values = (weights, learner.recurrent, learner.entering_bias, learner.recurrent_bias)
    module = torch.nn.GRUCell(weights.shape[1], SIZE)

    def after(film: int, state: Tensor) -> Tensor:
        vector = torch.eye(N_ITEMS)[film] if one_hot else learner.items[film]
        found: Tensor = torch.func.functional_call(module, dict(zip(names, values, strict=True)), (vector, state))
        return found

    return after


Step = tuple[Tensor, int]
"""The scores of all films, and the film to be found."""


def plain(learner: Gru4recSessionNetwork, epoch: list[Batch]) -> Iterator[list[Step]]:
    """The steps of each batch, lane by lane, one film at a time; the gradient ends where a batch ends."""
    after = cell(learner)
    carried: dict[int, Tensor] = {}
    for films, targets, begins, lanes, _, _ in epoch:
        found: list[Step] = []
        for row, lane in enumerate(lanes.tolist()):
            state = carried.get(lane, torch.full((SIZE,), torch.nan)).detach()
            for film, target, begin in zip(
                films[row].tolist(), targets[row].tolist(), begins[row].tolist(), strict=True
            ):
                if film != PADDING:
                    state = after(film, torch.zeros(SIZE) if begin else state)
                    found.append((learner.items @ state + learner.biases, target))
            carried[lane] = state
        yield found


def cross_entropy(watched: Tensor, others: Tensor) -> Tensor:
    return -torch.log(watched.exp() / (watched.exp() + others.exp().sum()))


def bpr(watched: Tensor, others: Tensor) -> Tensor:
    return -torch.log(torch.sigmoid(watched - others)).mean()


def top1(watched: Tensor, others: Tensor) -> Tensor:
    return (torch.sigmoid(others - watched) + torch.sigmoid(others**2)).mean()


def bpr_max(watched: Tensor, others: Tensor) -> Tensor:
    shares = others.exp() / others.exp().sum()
    return -torch.log((shares * torch.sigmoid(watched - others)).sum()) + 0.5 * (shares * others**2).sum()


def top1_max(watched: Tensor, others: Tensor) -> Tensor:
    shares = others.exp() / others.exp().sum()
    return (shares * (torch.sigmoid(others - watched) + torch.sigmoid(others**2))).sum()


@pytest.mark.parametrize(("lanes", "steps"), WALKED)
@pytest.mark.parametrize("inputs", ["shared", "one_hot"])
@pytest.mark.parametrize("literal", [cross_entropy, bpr, bpr_max, top1, top1_max], ids=lambda loss: loss.__name__)
def test_each_batch_has_the_loss_and_the_gradient_of_a_plain_loop(
    literal: Callable[[Tensor, Tensor], Tensor], inputs: str, lanes: int, steps: int
) -> None:
    learner = network(loss=literal.__name__, inputs=inputs, batch_size=lanes, truncation=steps)
    epoch = list(batches(lanes, steps))
    for batch, found in zip(epoch, plain(learner, epoch), strict=True):
        torch.manual_seed(9)
        loss = learner.loss(*batch)
        torch.manual_seed(9)
        drawn = torch.multinomial(learner.popularity, 3, replacement=True).tolist()
        terms = []
        for place, (scores, target) in enumerate(found):
            others = [film for film in range(N_ITEMS) if film != target]
            if literal is not cross_entropy:
                others = [other for at, (_, other) in enumerate(found) if at != place] + drawn
            terms.append(literal(scores[target], scores[others]))
        expected = torch.stack(terms).mean()
        torch.testing.assert_close(loss, expected)
        parameters = list(learner.parameters())
        for one, other in zip(
            torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("lanes", "steps"), WALKED)
def test_an_epoch_of_a_frozen_network_sums_up_to_that_of_its_sessions_one_by_one(lanes: int, steps: int) -> None:
    learner = network(batch_size=lanes, truncation=steps)
    after, expected = cell(learner), 0.0
    with torch.no_grad():
        for session in SESSIONS:
            state = torch.zeros(SIZE)
            for film, target in pairwise(session):
                state = after(film, state)
                expected -= float(torch.log_softmax(learner.items @ state + learner.biases, dim=0)[target])
        sums = [float(learner.loss(*batch)) * int((batch[1] != PADDING).sum()) for batch in batches(lanes, steps)]
    assert sum(sums) == pytest.approx(expected, rel=1e-6)


@torch.no_grad()
def test_a_step_that_is_taken_again_in_parts_reads_what_it_read_before() -> None:
    learner = network(batch_size=4, truncation=2, loss="bpr_max")
    for batch in batches(4, 2):
        rows, targets = len(batch[0]), batch[1] != PADDING
        torch.manual_seed(2)
        whole = float(learner.loss(*batch))
        parts = [tuple(each[row : row + 1] if len(each) == rows else each for each in batch[:4]) for row in range(rows)]
        total = 0.0
        for row, part in enumerate(parts):
            torch.manual_seed(2)
            total += float(learner.loss(*part, *batch[4:])) * int(targets[row].sum())
        assert total / int(targets.sum()) == pytest.approx(whole, rel=1e-5)


FILMS = torch.tensor([[9, 9, 3, 1, 4], [2, 5, 2, 0, 6], [9, 9, 9, 9, 1]])


@pytest.mark.parametrize("inputs", ["shared", "one_hot"])
def test_scores_are_those_after_the_films_alone_however_much_padding_there_is(inputs: str) -> None:
    learner = network(inputs=inputs)
    after, scores = cell(learner), learner.scores(FILMS)
    torch.testing.assert_close(learner.scores(torch.nn.functional.pad(FILMS, (3, 0), value=PADDING)), scores)
    for row, films in enumerate(FILMS.tolist()):
        state = torch.zeros(SIZE)
        for film in films:
            state = state if film == PADDING else after(film, state)
        torch.testing.assert_close(scores[row], learner.items @ state + learner.biases)


def test_without_a_film_the_biases_are_the_scores() -> None:
    learner = network()
    assert torch.equal(learner.scores(torch.full((1, 3), PADDING))[0], learner.biases)


def test_dropout_of_one_hot_films_takes_them_whole() -> None:
    learner = network(inputs="one_hot", dropout=0.5).train()
    torch.manual_seed(0)
    brought = learner.entered(torch.arange(N_ITEMS)[None])[0] - learner.entering_bias
    gone = (brought == 0).all(dim=1)
    assert 0 < gone.sum() < N_ITEMS
    torch.testing.assert_close(brought[~gone], 2 * learner.entering[~gone])


@pytest.mark.parametrize(("size", "parameters"), [(50, 694_416), (100, 1_400_416)])
def test_the_network_of_the_session_experiment_has_its_number_of_parameters(size: int, parameters: int) -> None:
    shape = Shape(np.zeros(6040, dtype=np.int64), np.zeros(3416, dtype=np.int64))
    assert Gru4recSession(inputs="one_hot", embedding_size=size).parameter_count(shape) == parameters


@pytest.mark.parametrize("loss", ["bpr", "bpr_max", "top1", "top1_max", "cross_entropy"])
@pytest.mark.parametrize("sessions", [SESSIONS, [[3, 1]], [[3, 1, 4, 1, 5, 6, 2]]], ids=["many", "one step", "one"])
def test_a_batch_larger_than_the_sessions_trains_and_stays_finite(loss: str, sessions: list[list[int]]) -> None:
    journal = Journal()
    recipe = Gru4recSession(loss=loss, embedding_size=SIZE, batch_size=1000, truncation=3, negatives=2, epochs=3)
    train = data(sessions)
    scores = recipe.fit(train, Run(report=journal.report)).scores(train.interactions.histories())
    assert np.isfinite(scores).all()
    assert all(math.isfinite(row["loss"]) for row in journal.epochs) and len(journal.epochs) == 3


@pytest.mark.parametrize("loss", ["bpr", "bpr_max", "top1", "top1_max", "cross_entropy"])
def test_extreme_scores_keep_every_loss_finite(loss: str) -> None:
    learner = network(loss=loss, batch_size=4)
    with torch.no_grad():
        learner.biases[:] = torch.tensor([300.0, -300, 0, 300, -300, 0, 300, 0, -300])
    value = learner.loss(*next(batches(4, 3)))
    value.backward()
    assert value.isfinite() and value >= 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())
