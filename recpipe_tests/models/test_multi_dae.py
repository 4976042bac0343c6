"""MultiDAE: its loss and gradient against a literal formula, the code's tanh, and whom it serves."""

from __future__ import annotations

import pytest
import torch

from recpipe.models.autoencoders.multi_dae import MultiDae, MultiDaeNetwork

HISTORY = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 0]])
USERS = torch.arange(3)


def network(**settings: object) -> MultiDaeNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MultiDae(**{"layers": (4,), "embedding_size": 2, "dropout": 0.0} | settings).network(3, 5)


def literal(learner: MultiDaeNetwork, row: torch.Tensor) -> torch.Tensor:
    """Logits of one user: linear maps by hand, tanh after each but the last."""
    weights = dict(learner.layers.named_parameters())
    names = sorted({int(name.split(".")[0]) for name in weights})
    value = row / row.square().sum().sqrt()
    for name in names:
        weight = weights[f"{name}.weight"]
        value = (weight.T if name == 0 else weight) @ value + weights[f"{name}.bias"]
        value = value if name == names[-1] else torch.tanh(value)
    return value


@pytest.mark.parametrize("layers", [(), (4,), (4, 3)])
def test_scores_are_those_of_the_layers_one_after_the_other(layers: tuple[int, ...]) -> None:
    learner = network(layers=layers).eval()
    torch.testing.assert_close(learner.scores(HISTORY), torch.stack([literal(learner, row) for row in HISTORY]))


def test_the_loss_is_the_mean_of_the_likelihoods_and_so_is_its_gradient() -> None:
    learner = network()
    total = torch.zeros(())
    for row in HISTORY:
        log_shares = torch.log_softmax(literal(learner, row), dim=0)
        total = total - sum(log_shares[film] for film in row.nonzero()[:, 0])
    torch.testing.assert_close(learner.loss(HISTORY, USERS), total / 3)
    parameters = list(learner.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(learner.loss(HISTORY, USERS), parameters), torch.autograd.grad(total / 3, parameters)
    )


def test_films_left_out_of_the_input_are_still_asked_for() -> None:
    """Without an input every row has the logits of the biases, yet its loss is that of all its films."""
    learner = network(dropout=0.999)
    empty = learner.eval().scores(torch.zeros_like(HISTORY))
    expected = -(torch.log_softmax(empty, dim=1) * HISTORY).sum(dim=1).mean()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.testing.assert_close(learner.train().loss(HISTORY, USERS), expected)


def test_the_input_has_length_one_and_scoring_drops_nothing() -> None:
    learner = network(dropout=0.5).eval()
    torch.testing.assert_close(learner.scores(HISTORY * 3), learner.scores(HISTORY))


def test_a_row_without_films_is_served() -> None:
    assert network().eval().scores(torch.zeros(1, 5)).isfinite().all()
