"""Batches that do not fit into memory: parts, and the same step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recpipe.recipe import Checkpoints, Run
from recpipe.training.batches import Stream
from recpipe.training.descent import Descent, Learner
from recpipe.training.journal import Journal
from recpipe.training.loop import learn, seeded
from recpipe.training.settings import Schedule
from recpipe_tests.settings_for_tests import BY_GRADIENTS, tiny_recipe
from recpipe_tests.test_model_contract import few_ratings

ROWS, WIDTH = 21, 4
FEATURES = torch.from_numpy(np.random.default_rng(5).normal(size=(ROWS, WIDTH)).astype(np.float32))
TARGETS = FEATURES @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + 0.7
SCALE = torch.tensor([2.0, 0.5])
EXACT = {"bpr", "cfm", "conv_ncf", "deep_fm", "dmf", "enmf", "gcmc", "lightgcn", "line", "logistic_cfm", "mf",
         "multi_dae", "nais", "neumf", "ngcf", "nncf", "sgl", "simplex", "spectral_cf"}  # fmt: skip
"""Their loss is a mean over the rows, without random numbers; that of windows is one over their targets."""
EXACT_AT_FIRST = {"conv_ncf"}
"""Rounding at one of their rectifiers' kinks grows to 5e-4 of the loss in three epochs, with some seeds."""
FEW_TARGETS = {"bert4rec"}
"""A mean over so few targets a row that parts weighed by rows are further from the whole."""
SCHEDULE = Schedule(epochs=3, learning_rate=0.05, weight_decay=0.1, clip_norm=100.0)


class Small(Learner):
    """Least squares on a device that takes so many rows at once. steps: losses counted, as an annealed loss counts."""

    steps: Tensor

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.line = nn.Linear(WIDTH, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.seen: list[int] = []
        self.refused = 0

    def loss(self, features: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
        assert len(scale) == 2
        self.steps += 1
        if len(features) > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory, says the test")
        self.seen.append(len(features))
        return scale.prod() * ((self.line(features)[:, 0] - targets) ** 2).mean()


class Compared(Small):
    divisible = False


def small(room: int, kind: type[Small] = Small) -> Small:
    with seeded(Run(seed=3)):
        return kind(room)


def stepped(network: Small, n_steps: int = 3) -> tuple[Descent, list[float]]:
    descent = Descent.of(network, SCHEDULE, "cpu")
    told = []
    for _ in range(n_steps):
        loss, norm = descent.step((FEATURES, TARGETS, SCALE))
        told += [loss.item(), norm.item()]
    return descent, told


@pytest.mark.parametrize(("room", "at_once"), [(20, 11), (7, 6), (1, 1)])
def test_a_batch_in_parts_makes_the_step_of_the_whole(room: int, at_once: int) -> None:
    whole, told_of_whole = stepped(small(ROWS))
    parts, told_of_parts = stepped(small(room))
    assert whole.at_once is None
    assert parts.at_once == at_once
    assert told_of_parts == pytest.approx(told_of_whole, rel=1e-5)
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_size_that_fitted_is_remembered_and_the_parts_are_about_equal() -> None:
    network = small(6)
    stepped(network, 2)
    assert network.seen == [6, 5, 5, 5] * 2
    stepped_on = Descent.of(network, SCHEDULE, "cpu")
    stepped_on.at_once = 6
    stepped_on.step((FEATURES[:4], TARGETS[:4], SCALE))
    assert network.seen[-1] == 4


def test_what_a_loss_counts_in_a_buffer_is_counted_once_a_step() -> None:
    network = small(5)
    stepped(network, 3)
    assert network.steps.item() == 3


def test_one_example_that_does_not_fit_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="says the test") as raised:
        stepped(small(0))
    assert "one example at a time" in raised.value.__notes__[0]
    assert "device: cpu" in raised.value.__notes__[0]


def test_a_batch_whose_examples_are_compared_is_not_divided() -> None:
    network = small(5, Compared)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        stepped(network)
    assert "choose a smaller batch_size" in raised.value.__notes__[0]
    assert network.seen == []


def whole_batches(numbers: np.random.Generator) -> Stream:
    return Stream(numbers.permutation(ROWS), ROWS, lambda rows: (FEATURES[rows], TARGETS[rows], SCALE))


def trained(network: Small, run: Run) -> Small:
    return learn(network, whole_batches, lambda learned: learned, SCHEDULE, run)  # type: ignore[type-var]


def test_a_training_says_once_what_did_not_fit_and_what_does_now() -> None:
    reports: list[dict[str, Any]] = []
    trained(small(6), Run(seed=3, report=lambda **numbers: reports.append(numbers)))
    notes = [numbers["note"] for numbers in reports if "note" in numbers]
    assert len(notes) == 1
    assert "a batch of 21 examples did not fit" in notes[0] and "at most 6 " in notes[0]


def test_the_size_that_fitted_survives_a_kill(tmp_path: Path) -> None:
    def dies(**numbers: Any) -> None:
        if numbers.get("epoch") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(small(6), Run(seed=3, checkpoints=Checkpoints(tmp_path, 0.0), report=dies))
    reports: list[dict[str, Any]] = []
    run = Run(seed=3, checkpoints=Checkpoints(tmp_path, 0.0), report=lambda **numbers: reports.append(numbers))
    resumed, undisturbed = trained(small(6), run), trained(small(6), Run(seed=3))
    assert (resumed.refused, resumed.seen) == (0, [6, 5, 5, 5])
    assert torch.equal(resumed.line.weight, undisturbed.line.weight)
    assert sum("note" in numbers for numbers in reports) == 1


@pytest.mark.parametrize("model", BY_GRADIENTS)
def test_every_recipe_learns_in_parts_what_it_learns_in_whole_batches(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(
        model, epochs=3, batch_size=16, dropout=0.0, edge_dropout=0.0, assignment="soft", batch_norm=False
    )
    whole, parts = Journal(), Journal()
    recipe.fit(few_ratings(), Run(seed=5, report=whole.report))
    of = Descent.of

    def on_a_small_device(network: Learner, schedule: Schedule, device: str, mixed_precision: bool) -> Descent:
        loss = network.loss

        def limited(*batch: Tensor) -> Tensor:
            if len(batch[0]) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory, says the test")
            return loss(*batch)

        network.loss = limited
        return of(network, schedule, device, mixed_precision)

    monkeypatch.setattr(Descent, "of", on_a_small_device)
    recipe.fit(few_ratings(), Run(seed=5, report=parts.report))
    assert "at most 4 are computed at once" in parts.closing["note"]
    losses, in_parts = ([row["loss"] for row in journal.epochs] for journal in (whole, parts))
    tolerance = 1e-5 if model in EXACT else 0.05 if model in FEW_TARGETS else 0.01
    exact = 1 if model in EXACT_AT_FIRST else len(losses)
    assert in_parts[:exact] == pytest.approx(losses[:exact], rel=tolerance)
    assert in_parts == pytest.approx(losses, rel=max(tolerance, 1e-3 if model in EXACT_AT_FIRST else 0.0))
