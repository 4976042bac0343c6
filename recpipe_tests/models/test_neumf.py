"""NeuMF: the parts against the paper's formulas, scoring against training, and the start from parts trained alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural.neumf import Neumf, NeumfNetwork
from recpipe.recipe import Run

USERS, FILMS = torch.tensor([2, 0]), torch.tensor([[1, 3, 3], [0, 2, 1]])
SMALL = Neumf(embedding_size=3, layers=(4, 2), batch_size=64)
PARTS = ["gmf", "mlp", "both"]


def network(parts: str) -> NeumfNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = SMALL.model_copy(update={"parts": parts}).network(3, 4)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def literal_score(learner: NeumfNetwork, user: int, film: int) -> Tensor:
    """Equations 8, 10 and 12 of the paper, before the sigmoid."""
    features = []
    if learner.gmf is not None:
        features.append(learner.gmf.users.weight[user] * learner.gmf.items.weight[film])
    if learner.mlp is not None:
        mlp = learner.mlp
        first = torch.cat((mlp.user_part.weight, mlp.item_part.weight), dim=1)
        pair = torch.cat((mlp.users.weight[user], mlp.items.weight[film]))
        hidden = torch.relu(first @ pair + mlp.user_part.bias)
        second: Any = mlp.rest[2]
        features.append(torch.relu(second.weight @ hidden + second.bias))
    return learner.output.weight[0] @ torch.cat(features) + learner.output.bias[0]


@pytest.mark.parametrize("parts", PARTS)
def test_the_loss_and_its_gradient_are_those_of_the_formula(parts: str) -> None:
    learner, literal = network(parts), network(parts)
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        for column, film in enumerate(films):
            share = torch.sigmoid(literal_score(literal, user, film))
            terms.append(-torch.log(share if column == 0 else 1 - share))
    expected = torch.stack(terms).mean()
    found = learner.loss(USERS, FILMS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("parts", PARTS)
def test_scores_of_all_films_are_those_of_the_pairs(parts: str) -> None:
    learner = network(parts).eval()
    with torch.no_grad():
        expected = torch.tensor([[float(literal_score(learner, user, film)) for film in range(4)] for user in (2, 0)])
        torch.testing.assert_close(learner.scores(USERS), expected, rtol=1e-4, atol=1e-5)


def test_the_whole_starts_from_its_parts_with_a_weighted_sum_of_their_scores() -> None:
    gmf, mlp, both = (network(parts).eval() for parts in PARTS)
    both.start_from(gmf, mlp, alpha=0.25)
    with torch.no_grad():
        expected = 0.25 * gmf.scores(USERS) + 0.75 * mlp.scores(USERS)
        torch.testing.assert_close(both.scores(USERS), expected, rtol=1e-4, atol=1e-5)


def test_a_start_from_the_wrong_parts_is_refused() -> None:
    gmf, mlp, both = (network(parts) for parts in PARTS)
    with pytest.raises(ValueError, match="pretraining needs"):
        both.start_from(mlp, gmf, alpha=0.5)


def some_events() -> TrainingSet:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    return TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))


def test_pretraining_reports_its_parts_apart_and_changes_the_result() -> None:
    reports: list[dict[str, Any]] = []
    run = Run(seed=5, epochs=2, report=lambda **numbers: reports.append(numbers))
    train = some_events()
    pretrained = SMALL.model_copy(update={"pretraining": 3}).fit(train, run)
    count = {name: sum(name in report for report in reports) for name in ("gmf_epoch", "mlp_epoch", "epoch")}
    assert count == {"gmf_epoch": 3, "mlp_epoch": 3, "epoch": 2}
    users = train.interactions.histories()
    assert not np.allclose(pretrained.scores(users), SMALL.fit(train, Run(seed=5, epochs=2)).scores(users))


@pytest.mark.parametrize("settings", [{}, {"pretraining": 1}, {"dropout": 0.3}, {"parts": "mlp"}])
def test_two_fits_with_one_seed_are_equal_to_the_bit(settings: dict[str, Any]) -> None:
    recipe = Neumf.model_validate(SMALL.model_dump() | settings)
    first, again = (recipe.fit(some_events(), Run(seed=5, epochs=2)) for _ in range(2))
    users = some_events().interactions.histories()
    np.testing.assert_array_equal(first.scores(users), again.scores(users))
