"""DMF: both towers over sparse rows against dense ones, with what is to be predicted taken out of both inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural.dmf import Dmf, Tower, Towers
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork

RATINGS = torch.tensor([[5.0, 0, 3, 0, 1], [0, 2, 0, 0, 0], [4, 1, 2, 0, 0]])
"""Three users of five films: the second watched one film, the fourth film was watched by nobody."""
USERS, FILMS = torch.tensor([0, 1, 2, 0]), torch.tensor([[2, 3, 1], [1, 0, 4], [0, 4, 4], [4, 1, 3]])
"""Four events, each with two films not watched."""

each_loss = pytest.mark.parametrize("loss", ["logistic", "clamped"])
each_depth = pytest.mark.parametrize("layers", [(4,), (4, 3)])


def interactions(rated: bool = True) -> Interactions:
    users, films = RATINGS.nonzero(as_tuple=True)
    ratings = RATINGS[users, films].numpy() if rated else None
    return Interactions.sorted_from(users.numpy(), films.numpy(), np.arange(len(users)), ratings, 3, 5)


def towers(**settings: Any) -> Towers:
    """With random parameters; `weighting` decides between ratings and ones, as `fit` does."""
    recipe = Dmf.model_validate({"layers": (4,)} | settings)
    events = interactions()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = Towers(events.rating_matrix() if recipe.weighting == "ratings" else events.matrix(), recipe)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def literal_vector(tower: Tower, row: Tensor) -> Tensor:
    """One dense row through a tower; equation 8 of the paper, the row at length 1 and no ReLU at the end."""
    hidden = (row / row.norm().clamp(min=1e-3)) @ tower.table + tower.bias
    if len(tower.rest):
        linear: Any = tower.rest[1]
        hidden = linear.weight @ torch.relu(hidden) + linear.bias
    return hidden / hidden.norm()


def literal_loss(learner: Towers, matrix: Tensor, taken_out: bool = True) -> Tensor:
    """Equations 9, 12 and 13, event by event, from a matrix in which the event's own entry is 0."""
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        seen = matrix.clone()
        if taken_out:
            seen[user, films[0]] = 0.0
        for film in films:
            cosine = literal_vector(learner.users, seen[user]) @ literal_vector(learner.items, seen[:, film])
            target = matrix[user, film] / matrix.max()
            share = torch.sigmoid(cosine / learner.recipe.temperature + learner.offset)
            if learner.recipe.loss == "clamped":
                share = cosine.clamp(1e-6, 1 - 1e-6)
            terms.append(-(target * share.log() + (1 - target) * (1 - share).log()))
    return torch.stack(terms).mean()


@each_loss
@each_depth
@pytest.mark.parametrize("weighting", ["none", "ratings"])
def test_the_loss_and_its_gradient_are_those_of_the_formula(weighting: str, layers: tuple[int, ...], loss: str) -> None:
    settings = {"weighting": weighting, "layers": layers, "loss": loss}
    learner, literal = towers(**settings), towers(**settings)
    matrix = RATINGS if weighting == "ratings" else RATINGS.sign()
    found, expected = learner.loss(USERS, FILMS), literal_loss(literal, matrix)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert abs(float(expected.detach() - literal_loss(literal, matrix, taken_out=False).detach())) > 1e-3
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        wanted = torch.zeros_like(mine) if theirs.grad is None else theirs.grad
        torch.testing.assert_close(
            torch.zeros_like(mine) if mine.grad is None else mine.grad, wanted, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("row", range(4))
def test_what_is_to_be_predicted_gives_nothing_of_itself_away(row: int) -> None:
    """An event's film is no input of its user, nor its user one of the film: neither of their vectors is moved."""
    learner = towers(weighting="ratings")
    learner.loss(USERS[row : row + 1], FILMS[row : row + 1]).backward()
    moved_of_users, moved_of_items = learner.users.table.grad, learner.items.table.grad
    assert moved_of_users is not None and moved_of_items is not None
    assert float(moved_of_users[FILMS[row, 0]].abs().max()) < 1e-6
    assert float(moved_of_items[USERS[row]].abs().max()) < 1e-6
    assert float(moved_of_items.abs().max()) > 1e-3


def test_rows_without_entries_leave_the_first_gradient_of_ordinary_size() -> None:
    """Nobody watched the fourth film, and the second user watched nothing but the film that is to be predicted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = Towers(interactions().rating_matrix(), Dmf(layers=(4,)))
    learner.loss(USERS, FILMS).backward()
    gradients = [parameter.grad for parameter in learner.parameters() if parameter.grad is not None]
    assert float(torch.nn.utils.get_total_norm(gradients)) < 100


@each_depth
@pytest.mark.parametrize("weighting", ["none", "ratings"])
def test_scores_are_the_cosines_of_both_towers(weighting: str, layers: tuple[int, ...]) -> None:
    learner = towers(weighting=weighting, layers=layers)
    matrix = RATINGS if weighting == "ratings" else RATINGS.sign()
    scorer = HistoryNetwork(learner.for_users(), 5, 3)
    with torch.no_grad():
        expected = [
            [float(literal_vector(learner.users, row) @ literal_vector(learner.items, column)) for column in matrix.T]
            for row in matrix
        ]
    np.testing.assert_allclose(scorer.scores(interactions().histories()), expected, rtol=1e-4, atol=1e-5)


def test_only_a_model_of_ratings_scores_by_them() -> None:
    rated, unrated = interactions().histories(), interactions(rated=False).histories()
    for weighting in ("none", "ratings"):
        scorer = HistoryNetwork(towers(weighting=weighting).for_users(), 5, 3)
        same = np.allclose(scorer.scores(rated), scorer.scores(unrated), atol=1e-3)
        assert same == (weighting == "none")


def test_data_without_ratings_is_learned_as_ones() -> None:
    unrated = TrainingSet(interactions(rated=False))
    by_ratings, by_ones = (
        Dmf(layers=(4,), epochs=2, batch_size=4, weighting=weighting).fit(unrated, Run(seed=3))
        for weighting in ("ratings", "none")
    )
    histories = unrated.interactions.histories()
    np.testing.assert_array_equal(by_ratings.scores(histories), by_ones.scores(histories))


def test_the_films_vectors_are_stored_with_the_network() -> None:
    recipe = Dmf(layers=(4,), epochs=2, batch_size=4)
    scorer = recipe.fit(TrainingSet(interactions()), Run(seed=3))
    back = HistoryNetwork.from_arrays(scorer.arrays(), recipe)
    assert float(back.network.item_vectors.norm(dim=1).min()) == pytest.approx(1.0)
    histories = interactions().histories()
    np.testing.assert_array_equal(back.scores(histories), scorer.scores(histories))


def test_a_history_without_films_and_a_film_without_users_have_finite_scores() -> None:
    scorer = Dmf(layers=(4, 4), epochs=2, batch_size=4).fit(TrainingSet(interactions()), Run(seed=3))
    nobody = Interactions.sorted_from(*np.zeros((3, 0), dtype=np.int64), None, 1, 5).histories()
    assert np.isfinite(scorer.scores(nobody)).all()
    assert np.isfinite(scorer.scores(interactions().histories())).all()
