"""ConvNCF: scores, loss and gradient against the map of all products and plain convolutions, and its start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural import conv_ncf
from recpipe.models.neural.conv_ncf import ConvNcf, ConvNcfNetwork
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PairNetwork

USERS, FILMS = torch.tensor([2, 0, 1]), torch.tensor([[1, 3], [0, 2], [4, 4]])
SMALL = ConvNcf(embedding_size=8, layers=(3, 4, 2), batch_size=64)
PARTS = ["product", "conv", "both"]


def network(parts: str) -> ConvNcfNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = SMALL.model_copy(update={"parts": parts}).network(3, 5)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner


def literal_score(learner: ConvNcfNetwork, user: int | Tensor, film: int) -> Tensor:
    """The map, and convolutions of it, one pair at a time."""
    p, q = learner.users.weight[user], learner.items.weight[film]
    score = p @ q if learner.parts != "conv" else p.new_zeros(())
    if learner.parts == "product":
        return score
    cells = torch.outer(p, q)[None, None]
    cells = torch.relu(functional.conv2d(cells, learner.kernels[:, None], learner.offsets, stride=2))
    for layer in (learner.rest[0], learner.rest[2]):
        cells = torch.relu(functional.conv2d(cells, layer.weight, layer.bias, stride=2))
    assert cells.shape == (1, 2, 1, 1)
    return score + learner.output.weight[0] @ cells.flatten()


@pytest.mark.parametrize("parts", PARTS)
def test_the_loss_and_its_gradient_are_those_of_the_map(parts: str) -> None:
    learner, literal = network(parts), network(parts)
    terms = []
    for user, (watched, other) in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        difference = literal_score(literal, user, watched) - literal_score(literal, user, other)
        terms.append(-functional.logsigmoid(difference))
    expected = torch.stack(terms).mean()
    found = learner.loss(USERS, FILMS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for mine, theirs in zip(learner.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("units", [1, 300, conv_ncf.UNITS], ids=["a film", "two films", "all at once"])
@pytest.mark.parametrize("parts", PARTS)
def test_scores_of_all_films_are_those_of_the_pairs_whatever_is_held_at_once(
    parts: str, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_ncf, "UNITS", units)
    learner = network(parts).eval()
    with torch.no_grad():
        expected = torch.tensor(
            [[float(literal_score(learner, user, film)) for film in range(5)] for user in (2, 0, 1)]
        )
        torch.testing.assert_close(learner.scores(USERS), expected, rtol=1e-4, atol=1e-4)


def some_events() -> TrainingSet:
    numbers = np.random.default_rng(0)
    users, items = numbers.integers(0, 20, 200), numbers.integers(0, 30, 200)
    return TrainingSet(Interactions.sorted_from(users, items, np.arange(200), None, 20, 30))


def test_both_parts_together_start_from_the_pretrained_product(monkeypatch: pytest.MonkeyPatch) -> None:
    learn, train = conv_ncf.learn, some_events()

    def only_the_product(network: ConvNcfNetwork, batches: Any, as_scorer: Any, *rest: Any) -> PairNetwork:
        return learn(network, batches, as_scorer, *rest) if network.parts == "product" else as_scorer(network)

    monkeypatch.setattr(conv_ncf, "learn", only_the_product)
    product = SMALL.model_copy(update={"parts": "product"}).fit(train, Run(seed=5, epochs=4))
    start = SMALL.model_copy(update={"pretraining": 4}).fit(train, Run(seed=5, epochs=1))
    users = train.interactions.histories()
    np.testing.assert_array_equal(start.scores(users), product.scores(users))


def test_pretraining_reports_apart() -> None:
    reports: list[dict[str, Any]] = []
    run = Run(seed=5, epochs=2, report=lambda **numbers: reports.append(numbers))
    SMALL.model_copy(update={"pretraining": 3}).fit(some_events(), run)
    count = {name: sum(name in report for report in reports) for name in ("product_epoch", "epoch")}
    assert count == {"product_epoch": 3, "epoch": 2}


def test_layers_that_do_not_end_in_one_cell_are_refused_with_what_fits() -> None:
    with pytest.raises(ValidationError, match="3 layers want embedding_size 8"):
        ConvNcf(embedding_size=16, layers=(4, 4, 4))


@pytest.mark.parametrize("settings", [{}, {"pretraining": 1}, {"parts": "conv"}])
def test_two_fits_with_one_seed_are_equal_to_the_bit(settings: dict[str, Any]) -> None:
    recipe = ConvNcf.model_validate(SMALL.model_dump() | settings)
    first, again = (recipe.fit(some_events(), Run(seed=5, epochs=2)) for _ in range(2))
    users = some_events().interactions.histories()
    np.testing.assert_array_equal(first.scores(users), again.scores(users))
