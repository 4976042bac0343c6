"""What must survive a kill: where a training stands after an epoch, in one file that is replaced whole or not at all.

The file is safetensors: the tensors, and in its header a text of JSON with all that is not a tensor.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

LARGEST_SHARE = 0.02
"""Of the time, what checkpoints may take: where one takes longer, they come less often."""
_FORMAT = 1


class Unusable(ValueError):
    """A checkpoint that no training can be taken up from: damaged, or of another training."""


@dataclass
class Keeper:
    """Keeps the checkpoints of one training: one file, always the latest.

    identity: of the training; what another one left is not taken up. every: seconds from one checkpoint to the next,
    at the least; 0: after each epoch, whatever it costs.
    """

    path: Path
    identity: str
    every: float
    _written: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    def is_due(self) -> bool:
        """Whether the last checkpoint (at first: the start) is long enough ago."""
        wait = max(self.every, self._cost / LARGEST_SHARE) if self.every else 0.0
        return time.monotonic() - self._written >= wait

    def keep(self, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
        """Replace the file; `OSError` where it cannot be written, and the last one stays."""
        started = time.monotonic()
        write(self.path, tensors, {"format": _FORMAT, "training": self.identity, **told})
        self._written = time.monotonic()
        self._cost = self._written - started

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was kept last, None where nothing was; raises `Unusable`."""
        if not self.path.exists():
            return None
        tensors, told = read(self.path)
        if (told.get("format"), told.get("training")) != (_FORMAT, self.identity):
            raise Unusable(
                f"{self.path} was left by another training: of another network, schedule, seed, device or "
                "version of a library"
            )
        return tensors, told


def write(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Write beside, flush to the disk, rename. told: what JSON knows; whole numbers of any size.

    The tensors must not change before it returns: those on the CPU are written from where they lie.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    on_cpu, text = _apart(tensors), json.dumps(told)
    beside = path.with_name(f"{path.name}.new")  # one name: what a kill leaves here is overwritten
    try:
        save_file(on_cpu, beside, {"told": text, "digest": _digest(on_cpu, text)})
    except SafetensorError as error:
        raise OSError(f"{beside} could not be written: {error}") from error
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What was written there, on the CPU; raises `Unusable` where a bit of it has changed."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error
    text = about.get("told", "")
    if about.get("digest") != _digest(tensors, text):
        raise Unusable(f"{path} is damaged: its digest is not the one that was written")
    told: dict[str, Any] = json.loads(text)
    return tensors, told


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, each in memory of its own: safetensors refuses others, tied weights for instance.

    Copies of what is not so already.
    """
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        on_cpu = tensor.detach().cpu().contiguous()
        apart[name] = on_cpu.clone() if on_cpu.untyped_storage().data_ptr() in taken else on_cpu
        taken.add(apart[name].untyped_storage().data_ptr())
    return apart


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"\0{name}\0{tensors[name].dtype}\0{list(tensors[name].shape)}\0".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
