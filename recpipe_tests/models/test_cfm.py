"""CFM: score, loss and gradient against the cube of all products and plain convolutions; collapse and its cure."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from recpipe.evaluation.ranking import rank
from recpipe.models.features.cfm import Cfm
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PairNetwork
from recpipe.training import field_networks
from recpipe.training.field_networks import FieldLearner
from recpipe.training.fields import FilmFields
from recpipe.training.health import diagnose, diagnose_scores
from recpipe.training.journal import Journal
from recpipe_tests import worlds
from recpipe_tests.training.test_fields import four_films

USERS, FILMS = torch.tensor([1, 0]), torch.tensor([[2, 3, 0], [1, 2, 3]])
SMALL = Cfm(embedding_size=4, layers=(3, 2), minimum_films=1, batch_size=2, loss="logistic")
FORMS: list[dict[str, Any]] = [
    {"parts": "product"},
    {"parts": "both"},
    {},
    {"depth": 1},
    {"depth": 4, "loss": "squared"},
    {"depth": 4, "batch_norm": False},
    {"depth": 12, "loss": "bpr", "batch_norm": False, "parts": "both"},
]


def learner(form: dict[str, Any]) -> FieldLearner:
    recipe = SMALL.model_copy(update=form)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = FieldLearner(2, FilmFields.of(four_films(), 1), recipe)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
    return made.double()


def literal_scores(made: FieldLearner, recipe: Cfm, users: Tensor, films: Tensor, heard: Tensor) -> Tensor:
    """Equations 2 to 9 of the paper with means in place of attention: the cube, and convolutions of it."""
    among: Any = made.among
    head = among.head
    dtype = among.mean.dtype
    shares = torch.from_numpy(FilmFields.of(four_films(), 1).shares.toarray()).to(dtype).view(4, 5, -1).clone()
    shares[~heard, 0] = 0.0
    vectors = torch.cat((among.users.weight[users][:, None], shares[films] @ made.fields.vectors), dim=1)
    scores = among.mean + among.user_weights[users] + (shares[films] @ made.fields.weights).sum(dim=1)
    if recipe.parts != "conv":
        scores = scores + sum((vectors[:, f] * vectors[:, g]).sum(dim=1) for f, g in combinations(range(6), 2))
    if recipe.parts == "product":
        return scores
    pairs = [torch.einsum("na,nb->nab", vectors[:, f], vectors[:, g]) for f, g in combinations(range(6), 2)]
    cells = functional.conv3d(torch.stack(pairs, dim=1)[:, None], head.kernels[:, None], head.offsets, stride=(1, 2, 2))
    for layer in head.rest:
        if isinstance(layer, torch.nn.BatchNorm3d):
            mean, variance = layer.running_mean, layer.running_var
            if layer.training:
                mean, variance = cells.mean(dim=(0, 2, 3, 4)), cells.var(dim=(0, 2, 3, 4), unbiased=False)
            gain = (layer.weight / (variance + layer.eps).sqrt())[:, None, None, None]
            cells = (cells - mean[:, None, None, None]) * gain + layer.bias[:, None, None, None]
        elif isinstance(layer, torch.nn.Conv3d):
            cells = functional.conv3d(cells, layer.weight, layer.bias, stride=(1, 2, 2))
        else:
            cells = torch.relu(cells)
    assert cells.shape == (len(users), 2, 1, 1, 1)
    return scores + cells.flatten(1) @ head.output.weight[0]


def literal_loss(scores: Tensor, loss: str) -> Tensor:
    targets = torch.zeros_like(scores)
    targets[:, 0] = 1.0
    share = torch.sigmoid(scores)
    return {
        "squared": ((targets - scores) ** 2).mean(),
        "logistic": -(targets * share.log() + (1 - targets) * (1 - share).log()).mean(),
        "bpr": -torch.sigmoid(scores[:, :1] - scores[:, 1:]).log().mean(),
    }[loss]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_loss_and_its_gradient_are_those_of_the_cube(form: dict[str, Any]) -> None:
    made, literal, recipe = learner(form), learner(form), SMALL.model_copy(update=form)
    heard = torch.ones(4, dtype=torch.bool)
    scores = literal_scores(literal, recipe, USERS.repeat_interleave(3), FILMS.flatten(), heard)
    expected = literal_loss(scores.view(2, 3), recipe.loss)
    found = made.loss(USERS, FILMS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for (name, mine), theirs in zip(made.named_parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("units", [1, 2**20], ids=["a film", "all at once"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_scorer_has_the_scores_of_the_cube_and_new_films_by_their_side_data_alone(
    form: dict[str, Any], units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_networks, "UNITS", units)
    made = learner(form).float()
    made.loss(USERS, FILMS)  # so that running means are not those of the start
    made.eval()
    users, films = torch.arange(2).repeat_interleave(4), torch.arange(4).repeat(2)
    heard = torch.tensor([True, True, True, False])
    expected = literal_scores(made, SMALL.model_copy(update=form), users, films, heard).view(2, 4)
    scores = made.as_scorer().scores(four_films().interactions.histories())
    np.testing.assert_allclose(scores, expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_what_batches_were_normalised_by_is_stored_with_the_scorer() -> None:
    made = learner({}).float()
    made.loss(USERS, FILMS)
    scorer = made.eval().as_scorer()
    arrays = scorer.arrays()
    assert np.abs(arrays["weights.among.head.rest.0.running_mean"]).min() > 0
    users = four_films().interactions.histories()
    np.testing.assert_array_equal(type(scorer).from_arrays(arrays, SMALL).scores(users), scorer.scores(users))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_batch_that_is_normalised_is_not_divided(batch_norm: bool) -> None:
    assert learner({"batch_norm": batch_norm}).divisible is not batch_norm


def test_both_parts_together_start_from_the_pretrained_product(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = field_networks.learn

    def only_the_product(made: FieldLearner, batches: Any, as_scorer: Any, *rest: Any) -> PairNetwork:
        is_product = made.among.head.parts == "product"
        return learn(made, batches, as_scorer, *rest) if is_product else as_scorer(made.eval())

    monkeypatch.setattr(field_networks, "learn", only_the_product)
    reports: list[dict[str, Any]] = []
    run = Run(seed=5, epochs=4, report=lambda **numbers: reports.append(numbers))
    product = SMALL.model_copy(update={"parts": "product"}).fit(four_films(), Run(seed=5, epochs=4))
    start = SMALL.model_copy(update={"parts": "both", "pretraining": 4}).fit(four_films(), run)
    users = four_films().interactions.histories()
    np.testing.assert_array_equal(start.scores(users), product.scores(users))
    assert sum("product_epoch" in report for report in reports) == 4


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_deep_convolutions_collapse_without_batch_normalisation_and_the_health_check_says_so(
    batch_norm: bool, loss: str
) -> None:
    """Without it only the weights learn: lists differ by what somebody has watched, and the loss falls all the same."""
    train = worlds.general(n_users=120).train
    recipe = Cfm(
        embedding_size=32, layers=(4, 4, 4, 4, 4), batch_norm=batch_norm, loss=loss, negatives=1, learning_rate=0.01,
        batch_size=128,
    )  # fmt: skip
    journal = Journal()
    scorer = recipe.fit(train, Run(epochs=3, report=journal.report))
    users = train.interactions.histories()
    findings = diagnose_scores(rank(scorer, users, 10).items.astype(np.int64), scorer.scores(users))
    assert any("predictions have collapsed" in finding for finding in findings) is not batch_norm
    assert diagnose(journal.epochs) == []


def test_the_convolutions_read_all_pairs_of_fields() -> None:
    assert Cfm(depth=15).depths == (15, 1, 1, 1)
    assert Cfm(depth=4).depths == (4, 4, 4, 6)
    assert Cfm(depth=6).depths == (6, 6, 5, 1)
    assert Cfm(embedding_size=2, layers=(8,), depth=4).depths == (15,)
    for depth in (1, 4, 15):
        assert Cfm(depth=depth).outputs[-1] == 8


def test_layers_that_do_not_end_in_one_cell_are_refused_with_what_fits() -> None:
    with pytest.raises(ValidationError, match="3 layers want embedding_size 8"):
        Cfm(embedding_size=16, layers=(4, 4, 4))


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    recipe = SMALL.model_copy(update={"film_dropout": 0.5, "dropout": 0.3, "parts": "both", "pretraining": 1})
    first, again = (recipe.fit(four_films(), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
