"""Where a training stands after an epoch: everything that the next epochs follow from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recpipe.recipe import Run
from recpipe.storage import digest_of
from recpipe.training.descent import Descent, Solving
from recpipe.training.settings import Schedule


@dataclass(frozen=True)
class Best:
    """The weights to return; epoch 0 are the initial ones."""

    weights: dict[str, Tensor]
    epoch: int = 0
    valid: float | None = None

    @classmethod
    def at_first(cls, network: nn.Module) -> Best:
        return cls(_copy(network))

    def after(self, epoch: int, valid: float | None, network: nn.Module) -> Best:
        """The better of this and the network as it is after `epoch`."""
        # a first score that is not a number is beaten by any number, and beats nothing
        better = (
            valid is None or self.valid is None or valid > self.valid or (math.isnan(self.valid) > math.isnan(valid))
        )
        return Best(_copy(network), epoch, valid) if better else self


@dataclass
class State:
    """Changes from epoch to epoch. numbers: of the batches; torch's own are global and belong to the state too.

    epoch: the last one done. told: every report so far, in order. seconds: spent up to the last checkpoint, if any.
    """

    descent: Descent | Solving
    numbers: np.random.Generator
    best: Best
    epoch: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def at_first(cls, descent: Descent | Solving, run: Run) -> State:
        return cls(descent, run.random(), Best.at_first(descent.network))

    def tensors(self) -> dict[str, Tensor]:
        """Weights, best weights, optimiser, torch's random numbers; weights that are the best are there once."""
        held = {f"best.{name}": tensor for name, tensor in self.best.weights.items()}
        if self.best.epoch != self.epoch:
            held |= {f"network.{name}": tensor for name, tensor in self.descent.network.state_dict().items()}
        held |= {f"optimizer.{name}": tensor for name, tensor in self.descent.moments().items()}
        held["random.cpu"] = torch.get_rng_state()
        if self.descent.device == "cuda":
            held["random.cuda"] = torch.cuda.get_rng_state()
        return held

    def figures(self) -> dict[str, Any]:
        """All that is not a tensor, as JSON knows it."""
        return {
            "epoch": self.epoch,
            "best_epoch": self.best.epoch,
            "best_valid": self.best.valid,
            "at_once": self.descent.at_once,
            "seconds": self.seconds,
            "told": self.told,
            "numbers": self.numbers.bit_generator.state,
        }

    def restore(self, tensors: dict[str, Tensor], figures: dict[str, Any]) -> None:
        """Be what `tensors` and `figures` were taken from."""
        self.epoch, self.told, self.seconds = figures["epoch"], figures["told"], figures["seconds"]
        self.best = Best(_under("best.", tensors), figures["best_epoch"], figures["best_valid"])
        self.descent.at_once = figures["at_once"]
        self.descent.network.load_state_dict(_under("network.", tensors) or self.best.weights)
        self.descent.restore(_under("optimizer.", tensors))
        self.numbers.bit_generator.state = figures["numbers"]
        torch.set_rng_state(tensors["random.cpu"])
        if self.descent.device == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"])


def identity(descent: Descent | Solving, schedule: Schedule, run: Run) -> str:
    """Equal where one training could go on from the other's state: network, schedule, run and libraries."""
    shapes = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in descent.network.state_dict().items()}
    run_of = {"seed": run.seed, "epochs": run.epochs, "device": run.device, "mixed": run.mixed_precision}
    libraries = {"torch": str(torch.__version__), "numpy": np.__version__}
    return digest_of({"network": shapes, "schedule": asdict(schedule), "run": run_of, "libraries": libraries})


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
