"""DMF: the loss against the literal formula with the film to be found in neither input, and what scores read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural.dmf import Dmf, Tower, Towers
from recpipe.recipe import Run

RATINGS = np.array([[5.0, 3.0, 0.0, 1.0], [0.0, 4.0, 2.0, 0.0], [1.0, 0.0, 0.0, 5.0]], dtype=np.float32)
USERS, FILMS = torch.tensor([0, 1, 0]), torch.tensor([[1, 2, 2], [2, 0, 3], [3, 2, 2]])


def rated() -> TrainingSet:
    users, items = np.nonzero(RATINGS)
    return TrainingSet(Interactions.sorted_from(users, items, np.arange(len(users)), RATINGS[users, items], 3, 4))


def towers(recipe: Dmf) -> Towers:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = Towers(rated().interactions.rating_matrix(), recipe)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def literal_vector(tower: Tower, row: np.ndarray) -> torch.Tensor:
    """A tower over one dense row at length 1; a row of zeros stays one."""
    given = torch.from_numpy(row / max(float(np.linalg.norm(row)), 1e-3))
    vector = tower.rest(given @ tower.table + tower.bias)
    return vector / vector.norm()


def literal_loss(learner: Towers, recipe: Dmf, left_in: bool = False) -> torch.Tensor:
    terms = []
    for user, (watched, *others) in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        matrix = RATINGS.copy()
        if not left_in:
            matrix[user, watched] = 0.0
        of_user = literal_vector(learner.users, matrix[user])
        for film, target in ((watched, RATINGS[user, watched] / 5.0), *((other, 0.0) for other in others)):
            column = matrix[:, film] if film == watched else RATINGS[:, film]
            cosine = of_user @ literal_vector(learner.items, column)
            share = torch.sigmoid(cosine / recipe.temperature + learner.offset)
            if recipe.loss == "clamped":
                share = cosine.clamp(1e-6, 1 - 1e-6)
            terms.append(-(target * torch.log(share) + (1 - target) * torch.log(1 - share)))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("loss", ["logistic", "clamped"])
@pytest.mark.parametrize("layers", [(3,), (4, 3)])
def test_the_loss_and_its_gradient_are_those_of_the_formula(loss: str, layers: tuple[int, ...]) -> None:
    recipe = Dmf(layers=layers, loss=loss)
    learner, literal = towers(recipe), towers(recipe)
    found, expected = learner.loss(USERS, FILMS), literal_loss(literal, recipe)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


def test_a_film_left_in_the_inputs_would_give_another_loss() -> None:
    recipe = Dmf(layers=(3,))
    learner = towers(recipe)
    with torch.no_grad():
        difference = learner.loss(USERS, FILMS) - literal_loss(learner, recipe, left_in=True)
    assert abs(float(difference)) > 1e-2


def test_scores_are_cosines_of_whole_rows_and_columns() -> None:
    recipe = Dmf(layers=(3,), weighting="ratings")
    learner = towers(recipe)
    tower = learner.for_users()
    found = tower.scores(torch.from_numpy(RATINGS)).detach()
    for user in range(3):
        for film in range(4):
            of_user = literal_vector(learner.users, RATINGS[user])
            of_film = literal_vector(learner.items, RATINGS[:, film])
            assert float(found[user, film]) == pytest.approx(float((of_user @ of_film).detach()), abs=1e-5)


@pytest.mark.parametrize(("weighting", "differ"), [("ratings", True), ("none", False)])
def test_ratings_are_read_where_they_are_asked_for(weighting: str, differ: bool) -> None:
    train = rated()
    scorer = Dmf(layers=(3,), weighting=weighting, epochs=1, batch_size=4).fit(train, Run())
    told = train.interactions.histories()
    reversed_ratings = Interactions(told.users.repeat(told.lengths), told.items, told.times, 6.0 - told.ratings, 3, 4)
    assert (np.abs(scorer.scores(told) - scorer.scores(reversed_ratings.histories())).max() > 1e-4) == differ
