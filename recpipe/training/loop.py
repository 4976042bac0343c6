"""The one training loop: AdamW (Loshchilov and Hutter 2019) and early stopping; the best epoch's weights are kept."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recpipe.recipe import NonFiniteScores, Run, Scorer
from recpipe.training.settings import Schedule

Batch: TypeAlias = tuple[Tensor, ...]
Batches: TypeAlias = Callable[[np.random.Generator], Iterable[Batch]]

CHECK_EVERY = 16
"""Steps between looks at the clock and at the loss: each look makes a GPU wait."""
PROBE_SECONDS = 3.0
"""How long the first epoch runs before its whole cost is predicted."""


class Learner(nn.Module):
    """A network that offers its loss on a batch; it owns no optimiser and no device.

    loss(*batch): the mean over the batch's examples, a 0-d tensor. A batch's first tensor has one row an example.
    """

    loss: Callable[..., Tensor]


L = TypeVar("L", bound=Learner)
S = TypeVar("S", bound=Scorer)


@contextmanager
def seeded(run: Run) -> Iterator[None]:
    """Torch's random numbers come from the run's seed inside, and go on as if nothing had been outside.

    A recipe builds its network in it, so that the initial weights follow from the seed.
    """
    devices = [torch.cuda.current_device()] if run.device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(run.seed)
        yield


def learn(network: L, batches: Batches, as_scorer: Callable[[L], S], schedule: Schedule, run: Run) -> S:
    """Train `network` and return the scorer of its best epoch.

    batches: called once an epoch, always with the same generator, so that every epoch differs; CPU tensors.
    as_scorer: wraps the network, in evaluation mode and without gradients; called for every validation and at the end.

    Stops when the schedule's epochs are done, when `patience` epochs brought no better validation score, when the
    time budget is spent (in the middle of an epoch if need be: what it learned counts), or at a loss that is not
    finite. With `run.epochs` exactly so many epochs are run and none is validated. Without validation the last sound
    epoch is kept.

    Reports after each epoch: epoch (from 1), loss (mean an example), valid (None without validation), seconds,
    valid_seconds, examples, gradient_norm (mean a step, before clipping), peak_memory_mb. Once, where the first epoch
    is long: predicted_epoch_seconds. At the end: best_epoch, best_valid, parameters, stopped, and problem where there
    is one.
    """
    network.to(run.device)
    fit = _Fit(network, schedule, run, _optimizer(network, schedule), time.monotonic())
    numbers, best, stopped = run.random(), _Best(_copy(network)), "epochs"
    validate = run.validate if run.epochs is None else None
    with seeded(run):
        for epoch in range(1, (schedule.epochs if run.epochs is None else run.epochs) + 1):
            figures = fit.epoch(batches(numbers), probe=epoch == 1)
            sound = math.isfinite(figures["loss"] + figures["gradient_norm"])
            clock = time.monotonic()
            try:
                valid = _valid(network, as_scorer, validate) if validate and sound else None
            except NonFiniteScores:  # the weights overflowed in the epoch's last steps
                sound, valid = False, None
            figures |= {"valid_seconds": time.monotonic() - clock, "peak_memory_mb": _peak_memory(run)}
            run.report(epoch=epoch, valid=valid, **figures)
            if not sound:
                stopped = "non-finite loss"
                run.report(problem=_non_finite(epoch, best.epoch))
                break
            best = best.after(epoch, valid, network)
            if valid is not None and epoch - best.epoch >= schedule.patience:
                stopped = "patience"
                break
            if fit.time_is_up():
                stopped = "time budget"
                break
    network.load_state_dict(best.weights)
    network.eval()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    run.report(best_epoch=best.epoch, best_valid=best.valid, parameters=parameters, stopped=stopped)
    with torch.no_grad():
        return as_scorer(network)


@dataclass(frozen=True)
class _Best:
    """The weights to return; epoch 0 are the initial ones."""

    weights: dict[str, Tensor]
    epoch: int = 0
    valid: float | None = None

    def after(self, epoch: int, valid: float | None, network: nn.Module) -> _Best:
        # a first score that is not a number is beaten by any number, and beats nothing
        better = (
            valid is None or self.valid is None or valid > self.valid or (math.isnan(self.valid) > math.isnan(valid))
        )
        return _Best(_copy(network), epoch, valid) if better else self


@dataclass(frozen=True)
class _Fit:
    """One fit under way: what stays the same from step to step."""

    network: Learner
    schedule: Schedule
    run: Run
    optimizer: torch.optim.Optimizer
    started: float

    def time_is_up(self) -> bool:
        return self.run.time_budget is not None and time.monotonic() - self.started >= self.run.time_budget

    def epoch(self, batches: Iterable[Batch], probe: bool) -> dict[str, float]:
        """One pass over the batches; it ends early at a loss that is not finite, or when the time is up."""
        self.network.train()
        clock, examples, steps = time.monotonic(), 0, 0
        total = torch.zeros((), dtype=torch.float64, device=self.run.device)
        norms = torch.zeros_like(total)
        for batch in batches:
            loss, norm = self._step(batch)
            total += loss * len(batch[0])  # both sums stay on the device: a GPU does not wait for us
            norms += norm
            examples, steps = examples + len(batch[0]), steps + 1
            if steps % CHECK_EVERY == 0:
                if self.time_is_up() or not math.isfinite(float(total + norms)):
                    break
                if probe and isinstance(batches, Sized) and time.monotonic() - clock >= PROBE_SECONDS:
                    self.run.report(predicted_epoch_seconds=(time.monotonic() - clock) / steps * len(batches))
                    probe = False
        if not examples:
            raise ValueError("training needs at least one example; the batches of this epoch held none")
        loss_mean, norm_mean = float(total) / examples, float(norms) / steps
        seconds = time.monotonic() - clock
        return {"loss": loss_mean, "gradient_norm": norm_mean, "seconds": seconds, "examples": examples}

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        on_gpu = self.run.device == "cuda"
        if on_gpu:
            batch = tuple(tensor.pin_memory().to("cuda", non_blocking=True) for tensor in batch)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_gpu):
            loss = self.network.loss(*batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip_norm)
        self.optimizer.step()
        return loss.detach(), norm


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _valid(network: L, as_scorer: Callable[[L], S], validate: Callable[[Scorer], float]) -> float:
    network.eval()
    with torch.no_grad():
        return float(validate(as_scorer(network)))


def _non_finite(epoch: int, best_epoch: int) -> str:
    kept = (
        f"the weights of epoch {best_epoch} are kept"
        if best_epoch
        else "nothing was learned: the weights are the initial ones"
    )
    return (
        f"the loss or its gradient stopped being a finite number in epoch {epoch}, so training was stopped; {kept}. "
        "A lower learning_rate is the usual remedy"
    )


def _peak_memory(run: Run) -> float:
    """MiB: of the GPU's tensors, or of the whole process up to now."""
    if run.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 2**20)
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
