"""What a GPU would have to be waited for in a step: numbers, and shapes that follow from numbers.

A loss on tensors without values fails where it asks for one. No GPU is needed to see it.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from recpipe.recipe import Run
from recpipe.training import graph
from recpipe.training.batches import Stream
from recpipe.training.descent import Learner
from recpipe.training.loop import CHECK_EVERY, learn
from recpipe.training.settings import Schedule
from recpipe_tests.settings_for_tests import BY_GRADIENTS, model_names, tiny_recipe
from recpipe_tests.test_model_contract import few_ratings

ASK = {
    *model_names("sequences"),  # how many columns are padding, and which targets are none
    "cfm", "deep_fm", "dmf", "logistic_cfm", "ncl", "simplex",  # who is in the batch, each once
    "enmf",  # how many films its users watched
    "rec_vae", "sgl",  # the batch's phase and seed
}  # fmt: skip
"""They make a round trip or two a batch."""
UNTOLD = {"dgcf", "ngcf"}
"""Their sparse matrices do not exist without values."""


class Answered(Exception):
    """The loss of one batch is known."""


def asks(model: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the loss of a batch and its gradient want to know a value of their device."""
    found: list[bool] = []

    def of_one_batch(network: Learner, batches: Any, *rest: Any) -> None:
        batch = next(iter(batches(np.random.default_rng(0))))
        network.train().to("meta")
        try:
            loss = network.loss(*(tensor.to("meta") for tensor in batch))
            learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
            torch.autograd.grad(loss, learned, allow_unused=True)
        except RuntimeError as error:
            if "meta" not in str(error).lower():
                raise
            found.append(True)
        else:
            found.append(False)
        raise Answered

    recipe = tiny_recipe(model, pretraining=0)
    for name, module in list(sys.modules.items()):
        if name.startswith("recpipe.") and hasattr(module, "learn"):
            monkeypatch.setattr(module, "learn", of_one_batch)
    monkeypatch.setattr(torch, "autocast", lambda *about, **more: contextlib.nullcontext())
    monkeypatch.setattr(graph, "sparse_product", lambda matrix, dense: dense.new_empty(len(dense), dense.shape[1]))
    with contextlib.suppress(Answered):
        recipe.fit(few_ratings(), Run(epochs=1))
    return found[0]


@pytest.mark.parametrize("model", sorted({*BY_GRADIENTS} - UNTOLD))
def test_a_step_asks_its_device_for_nothing_but_in_models_that_are_named(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asks(model, monkeypatch) == (model in ASK)


class Line(Learner):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def loss(self, features: Tensor) -> Tensor:
        return self.line(features).square().mean()


class Asked(TorchDispatchMode):
    """Counts the numbers that Python was told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_loop_asks_for_a_number_every_so_many_steps_alone() -> None:
    """Beside those: the loss and the norm of each epoch, once at its end, and whether the weights are finite where
    nothing is validated; and on the CPU, where asking costs nothing, each step's norm, which may spare the clipping."""
    steps, rows = 10 * CHECK_EVERY, torch.ones(2, 3)

    def batches(numbers: np.random.Generator) -> Stream:
        return Stream(np.arange(steps), 1, lambda step: (rows,))

    with Asked() as asked:
        learn(Line(), batches, lambda learned: learned, Schedule(1, 0.1), Run(epochs=1))  # type: ignore[type-var]
    assert asked.count == 10 + 3 + steps
