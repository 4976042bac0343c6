"""The one training loop: epochs with early stopping, the best one's weights kept; a killed training goes on."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

from recpipe.recipe import NonFiniteScores, Run, Scorer
from recpipe.training.checkpoint import Keeper, Unusable
from recpipe.training.descent import Batch, Descent, Learner, Solver, Solving
from recpipe.training.endings import TIME_BUDGET
from recpipe.training.settings import Schedule
from recpipe.training.state import State, identity

__all__ = ["Batch", "Batches", "Learner", "Solver", "learn", "seeded"]

Batches: TypeAlias = Callable[[np.random.Generator], Iterable[Batch]]

CHECK_EVERY = 16
"""Steps between looks at the clock and at the loss: each look makes a GPU wait."""
PROBE_SECONDS = 3.0
"""How long the first epoch runs before its whole cost is predicted."""


L = TypeVar("L", bound=Learner | Solver)
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

    network: a `Learner` goes downhill by AdamW; a `Solver` takes its own steps, and of the schedule only the epochs and
    the patience matter to it.
    batches: called once an epoch, always with the same generator, so that every epoch differs; CPU tensors. What an
    epoch's batches are follows from that generator alone, or a training that is taken up again would differ.
    as_scorer: wraps the network, in evaluation mode and without gradients; called for every validation and at the end.

    Stops when the schedule's epochs are done, when `patience` epochs brought no better validation score, when the
    time budget is spent (in the middle of an epoch if need be: what it learned counts), or at a loss, scores or, where
    nothing is validated, weights that are not finite. With `run.epochs` exactly so many epochs are run and none is
    validated. Without validation the last sound epoch is kept.

    With `run.checkpoints` the state is kept after an epoch, as often as they say, and a training that was killed goes
    on from the last one kept: on the CPU it ends with the same bits as an undisturbed one. A checkpoint that cannot be
    used or written is reported and does no harm.

    Reports after each epoch: epoch (from 1), loss (mean an example), valid (None without validation), seconds,
    valid_seconds, examples, gradient_norm (mean a step, before clipping), peak_memory_mb, and what a `Learner` names in
    `reported`. Once, where the first epoch is long: predicted_epoch_seconds. Once, where the training goes on from a
    checkpoint: resumed_from, an epoch, and then all that was reported up to there. At the end: best_epoch, best_valid,
    parameters, stopped, and problem where there is one. note: what a person should know, where
    batches did not fit or checkpoints failed.
    """
    network.to(run.device)
    state = State.at_first(_descent(network, schedule, run), run)
    validate = run.validate if run.epochs is None else None
    last = schedule.epochs if run.epochs is None else run.epochs
    stopped = "epochs"
    with seeded(run):
        keeper = _taken_up(state, schedule, run)
        fit = _Fit(state, run, keeper, time.monotonic() - state.seconds)
        for epoch in range(state.epoch + 1, last + 1):
            figures = fit.epoch(batches(state.numbers), probe=epoch == 1)
            sound = math.isfinite(figures["loss"] + figures["gradient_norm"])
            sound = sound and (validate is not None or _is_sound(network))
            clock = time.monotonic()
            try:
                valid = _valid(network, as_scorer, validate) if validate and sound else None
            except NonFiniteScores:  # the weights overflowed in the epoch's last steps
                sound, valid = False, None
            figures |= {"valid_seconds": time.monotonic() - clock, "peak_memory_mb": _peak_memory(run)}
            fit.tell(epoch=epoch, valid=valid, **figures)
            if not sound:
                stopped = "non-finite loss"
                run.report(problem=_non_finite(epoch, state.best.epoch, network))
                break
            state.epoch, state.best = epoch, state.best.after(epoch, valid, network)
            if valid is not None and epoch - state.best.epoch >= schedule.patience:
                stopped = "patience"
                break
            if fit.time_is_up():
                stopped = TIME_BUDGET
                break
            if epoch < last:
                fit.keep()
    network.load_state_dict(state.best.weights)
    network.eval()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    run.report(best_epoch=state.best.epoch, best_valid=state.best.valid, parameters=parameters, stopped=stopped)
    with torch.no_grad():
        return as_scorer(network)


def _descent(network: Learner | Solver, schedule: Schedule, run: Run) -> Descent | Solving:
    if isinstance(network, Solver):
        return Solving(network, run.device)
    return Descent.of(network, schedule, run.device, run.mixed_precision)


@dataclass(frozen=True)
class _Fit:
    """One fit under way. started: on the clock, as if the seconds before a kill had been without a break."""

    state: State
    run: Run
    keeper: Keeper | None
    started: float

    def tell(self, **numbers: Any) -> None:
        """Report, and have it in the checkpoints."""
        self.state.told.append(numbers)
        self.run.report(**numbers)

    def time_is_up(self) -> bool:
        return self.run.time_budget is not None and time.monotonic() - self.started >= self.run.time_budget

    def epoch(self, batches: Iterable[Batch], probe: bool) -> dict[str, float]:
        """One pass over the batches; it ends early at a loss that is not finite, or when the time is up."""
        self.state.descent.network.train()
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
                    self.tell(predicted_epoch_seconds=(time.monotonic() - clock) / steps * len(batches))
                    probe = False
        if not examples:
            raise ValueError("training needs at least one example; the batches of this epoch held none")
        loss_mean, norm_mean = float(total) / examples, float(norms) / steps
        seconds = time.monotonic() - clock
        figures = {"loss": loss_mean, "gradient_norm": norm_mean, "seconds": seconds, "examples": examples}
        return figures | self._of_the_network()

    def _of_the_network(self) -> dict[str, float]:
        network = self.state.descent.network
        names = network.reported if isinstance(network, Learner) else ()
        return {name: float(getattr(network, name)) for name in names}

    def _step(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        descent = self.state.descent
        fitted = descent.at_once
        loss, norm = descent.step(batch)
        if descent.at_once != fitted:
            self.tell(
                note=f"a batch of {len(batch[0])} examples did not fit into memory: from here on at most "
                f"{descent.at_once} are computed at once, and a step still takes the gradient of the whole batch"
            )
        return loss, norm

    def keep(self) -> None:
        """Write a checkpoint where one is due. A disk that takes none stops no training."""
        if self.keeper is None or not self.keeper.is_due():
            return
        self.state.seconds = time.monotonic() - self.started
        try:
            self.keeper.keep(self.state.tensors(), self.state.figures())
        except OSError as error:
            self.run.report(note=f"a checkpoint could not be kept: {error}")


def _taken_up(state: State, schedule: Schedule, run: Run) -> Keeper | None:
    """Where checkpoints are wanted, who keeps them; `state` becomes that of the last one, if it can be used."""
    if run.checkpoints is None:
        return None
    keeper = Keeper(run.checkpoints.next_file(), identity(state.descent, schedule, run), run.checkpoints.every)
    try:
        kept = keeper.kept()
    except Unusable as reason:
        run.report(note=f"training starts anew: {reason}")
        return keeper
    if kept is not None:
        state.restore(*kept)
        run.checkpoints.seconds_before += state.seconds
        run.report(resumed_from=state.epoch)
        for numbers in state.told:
            run.report(**numbers)
    return keeper


def _valid(network: L, as_scorer: Callable[[L], S], validate: Callable[[Scorer], float]) -> float:
    network.eval()
    with torch.no_grad():
        return float(validate(as_scorer(network)))


def _is_sound(network: Learner | Solver) -> bool:
    """Whether the squares of each parameter have a finite sum: then every product of two of its vectors is finite."""
    norms = [torch.linalg.vector_norm(parameter.detach()).float() for parameter in network.parameters()]
    return not norms or bool(torch.stack(norms).square().isfinite().all())


def _non_finite(epoch: int, best_epoch: int, network: Learner | Solver) -> str:
    kept = (
        f"the weights of epoch {best_epoch} are kept"
        if best_epoch
        else "nothing was learned: the weights are the initial ones"
    )
    remedy = "A lower learning_rate" if isinstance(network, Learner) else "More regularization"
    return (
        f"the loss, its gradient or the weights stopped being finite numbers in epoch {epoch}, so training was "
        f"stopped; {kept}. {remedy} is the usual remedy"
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
