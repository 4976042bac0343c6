"""One step of the optimiser: AdamW (Loshchilov and Hutter 2019) on one batch, in parts where the whole does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from recpipe.training.settings import Schedule

Batch: TypeAlias = tuple[Tensor, ...]

_ROOM = 1e-6
"""What torch adds to a norm before it divides by it: up to this below the limit gradients still change."""


class Learner(nn.Module):
    """A network that offers its loss on a batch; it owns no optimiser and no device.

    loss(*batch): the mean over the batch's examples, a 0-d tensor. A batch's first tensor has one row an example.
    Whatever the loss remembers from step to step is a registered buffer, so that a checkpoint has it.
    """

    loss: Callable[..., Tensor]

    divisible: bool = True
    """Whether a batch's loss is the mean of its parts' losses, weighed by rows, so that a batch that does not fit into
    memory may be taken in parts. False where a batch's examples are compared with each other or normalised together."""

    reported: ClassVar[tuple[str, ...]] = ()
    """Buffers of one number that stand in the report of each epoch, as its last step left them."""


class Solver(nn.Module):
    """A network some of whose weights are solved for in each step, the others held: no gradient, no optimiser.

    step(*batch): changes the weights; returns the loss before, the mean over the batch's examples, and the norm of its
    gradient, both 0-d. A batch's first tensor has one row an example.
    """

    step: Callable[..., tuple[Tensor, Tensor]]


@dataclass
class Solving:
    """A network solved for part by part; beside its weights nothing is remembered from step to step."""

    network: Solver
    device: str
    at_once: int | None = None

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Change the weights; returns the loss before and the norm of its gradient, both 0-d."""
        with torch.no_grad():
            return self.network.step(*_on(self.device, batch))

    def moments(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def restore(self, moments: dict[str, Tensor]) -> None:
        """Nothing to do."""


@dataclass
class Descent:
    """A network going downhill. at_once: the most rows that fit into memory; None while every batch has fitted.

    mixed_precision: losses are taken under autocast to bfloat16, whose range is that of float32: no gradient vanishes
    for want of a scale. What needs float32 asks for it. Weights, gradients and moments are float32.
    """

    network: Learner
    optimizer: torch.optim.Optimizer
    clip_norm: float
    device: str
    mixed_precision: bool = False
    at_once: int | None = None
    _counters: list[tuple[nn.Module, str]] = field(default_factory=list)

    @classmethod
    def of(cls, network: Learner, schedule: Schedule, device: str, mixed_precision: bool = False) -> Descent:
        """One-dimensional parameters (biases, gains) do not decay."""
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
        groups = [{"params": weights, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
        return cls(network, optimizer, schedule.clip_norm, device, mixed_precision, _counters=_counters(network))

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Change the weights; returns the loss before and the norm of its gradient before clipping, both 0-d.

        A batch that does not fit into the GPU's memory is halved until its parts fit, and so are all that follow. The
        gradient is that of the whole: the mean of the parts', weighed by rows. Where a loss is a mean over something
        else, the targets of windows for instance, that weighing is close and not exact. What the loss counts in buffers
        of one number, it counts once a step. Raises `torch.OutOfMemoryError` where a single row does not fit or the
        network is not divisible.
        """
        loss = self._gradients(_on(self.device, batch))
        norm = self._clip()
        self.optimizer.step()
        return loss, norm

    def moments(self) -> dict[str, Tensor]:
        """What the optimiser remembers, by parameter and name."""
        state = self.optimizer.state_dict()["state"]
        return {f"{index}.{name}": tensor for index, held in state.items() for name, tensor in held.items()}

    def restore(self, moments: dict[str, Tensor]) -> None:
        """Let the optimiser go on from `moments`."""
        held: dict[int, dict[str, Tensor]] = {}
        for name, tensor in moments.items():
            index, _, moment = name.partition(".")
            held.setdefault(int(index), {})[moment] = tensor
        self.optimizer.load_state_dict({"state": held, "param_groups": self.optimizer.state_dict()["param_groups"]})

    def _clip(self) -> Tensor:
        """Make the gradients' norm `clip_norm` at most; returns what it was."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if self.device == "cpu" and float(norm) + _ROOM <= self.clip_norm:
            return norm  # torch would multiply all gradients by one; a GPU does rather than wait for the norm
        nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, norm)
        return norm

    def _gradients(self, batch: Batch) -> Tensor:
        """The batch's gradients into the parameters; returns its loss."""
        before = [getattr(module, name).clone() for module, name in self._counters]
        while True:
            try:
                return self._in_parts(batch, before)
            except torch.OutOfMemoryError as error:
                self._halve(len(batch[0]), error)
            torch.cuda.empty_cache()  # not earlier: the error held on to the tensors of the step that it ended

    def _in_parts(self, batch: Batch, before: list[Tensor]) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for part in _divided(batch, self.at_once):
            for (module, name), value in zip(self._counters, before, strict=True):
                getattr(module, name).copy_(value)
            with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.mixed_precision):
                loss = self.network.loss(*part)
            loss = loss * (len(part[0]) / len(batch[0]))  # times one changes no bit
            loss.backward()
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _halve(self, rows: int, error: torch.OutOfMemoryError) -> None:
        tried = min(rows, self.at_once or rows)
        if not self.network.divisible:
            error.add_note(
                f"A batch of {rows} does not fit into memory, and its examples are compared with each other or "
                "normalised together, so that it cannot be taken in parts: choose a smaller batch_size"
            )
            raise error
        if tried == 1:
            error.add_note(
                "Not even one example at a time fits into memory: choose smaller vectors or fewer layers, or device: "
                "cpu in conf/run.yaml"
            )
            raise error
        self.at_once = (tried + 1) // 2


def _on(device: str, batch: Batch) -> Batch:
    if device != "cuda":
        return batch
    return tuple(tensor.pin_memory().to("cuda", non_blocking=True) for tensor in batch)


def _divided(batch: Batch, at_once: int | None) -> list[Batch]:
    """Parts of at most `at_once` rows, about equal. Tensors without a row for each example go whole into each part."""
    rows = len(batch[0])
    if at_once is None or rows <= at_once:
        return [batch]
    n_parts = -(-rows // at_once)
    columns = [
        tensor.tensor_split(n_parts) if tensor.ndim and len(tensor) == rows else (tensor,) * n_parts for tensor in batch
    ]
    return list(zip(*columns, strict=True))


def _counters(network: nn.Module) -> list[tuple[nn.Module, str]]:
    """Buffers of one number, each with the module that has it."""
    return [
        (module, name)
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if buffer.numel() == 1
    ]
