"""Room for a fit before it starts: what it wants is claimed, waited for while others train, or refused.

Trainings of several processes (runs of `dagster dev`, a backfill, a build) keep one claim each in a folder that they
share. A fit begins when its estimate fits beside the claims of all living processes; so they wait for each other in
place of being killed for memory, and only as many hold a GPU as there are GPUs. Claims of processes that are gone count
no more. Processes that do not see each other, in containers with process numbers of their own, do not wait.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock

from recpipe.costs import Shape, in_words
from recpipe.data.training_set import TrainingSet
from recpipe.measuring import free_memory
from recpipe.progress import tell
from recpipe.recipe import Recipe, Run
from recpipe.storage import replace_text

PAUSE = 1.0
"""Seconds between two looks at the claims of others."""
CUDA_LIBRARIES = 2**30
"""Bytes of the machine's own memory that a process takes when it begins to use a GPU: a guess on the safe side."""


class TooLarge(ValueError):
    """A fit that wants more memory than it can ever have here: nothing was started, and a second try would not help."""


@dataclass(frozen=True)
class Wanted:
    """what: who asks. memory: bytes of the machine's. on_gpu: bytes of one GPU's, 0 for a fit that uses none.
    hint: what to set where that is too much."""

    what: str
    memory: int
    on_gpu: int = 0
    hint: str = ""

    @classmethod
    def by(cls, recipe: Recipe, train: TrainingSet, device: str) -> Wanted:
        """What the recipe's estimate says for this training part and device."""
        cost = recipe.cost(Shape.of(train.interactions))
        on_gpu = cost.on_device if device == "cuda" else 0
        memory = cost.memory - on_gpu + (CUDA_LIBRARIES + cost.copied if on_gpu else 0)
        return cls(recipe.recipe_name(), memory, on_gpu, recipe.memory_hint)


@dataclass(frozen=True)
class Claim:
    """One training under way. gpu: its number, None without one. pid, born: of its process, born in seconds since 1970.
    resident: bytes that the process held when it claimed."""

    what: str
    memory: int
    gpu: int | None
    pid: int
    born: float
    resident: int

    def held(self) -> int | None:
        """Bytes that the process holds now; None where it is gone, or its number belongs to another one."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if abs(process.create_time() - self.born) > 2.0:  # clocks are set while processes run
                return None
            return int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            return None


Others: TypeAlias = list[tuple[Claim, int]]
"""Claims of living processes, each with the bytes that its process holds now."""


@contextmanager
def room_for(recipe: Recipe, train: TrainingSet, run: Run, folder: Path | None = None) -> Iterator[None]:
    """Room for `recipe.fit(train, run)` inside: memory, and a GPU of its own where the fit uses one.

    folder: where the claims of all trainings lie; without one, nobody is waited for. Raises `TooLarge`.
    """
    wanted = Wanted.by(recipe, train, run.device)
    with claimed(wanted, run.memory_budget, folder, _gpus() if wanted.on_gpu else ()) as gpu, _on(gpu):
        yield


@contextmanager
def claimed(wanted: Wanted, budget: int | None, folder: Path | None, gpus: Sequence[int] = ()) -> Iterator[int | None]:
    """Wait until there is room, hold it inside, and give the number of the GPU that is held.

    budget: bytes that all trainings may take together; None for what is free. gpus: the size of each in bytes; a fit
    that uses one needs at least one. Raises `TooLarge` where there would be no room with everybody else done.
    """
    if folder is None:
        _room(wanted, budget, [])
        yield next(iter(_free_gpus(wanted, gpus, [])), None)
        return
    path = folder / f"{uuid.uuid4().hex}.json"
    gpu = _queue(wanted, budget, path, gpus)
    try:
        yield gpu
    finally:
        path.unlink(missing_ok=True)


def _queue(wanted: Wanted, budget: int | None, path: Path, gpus: Sequence[int]) -> int | None:
    """Write the claim to `path` as soon as there is room, and give the GPU's number."""
    told = ""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with FileLock(path.parent / "lock"):
            others = _living(path.parent)
            left = _room(wanted, budget, others)
            usable = _free_gpus(wanted, gpus, [claim for claim, _ in others])
            if wanted.memory <= left and (usable or not wanted.on_gpu):
                gpu = usable[0] if usable else None
                replace_text(path, json.dumps(asdict(_own(wanted, gpu))))
                return gpu
        told = _tell_once(wanted, left, others, told)
        time.sleep(PAUSE)


def _free_gpus(wanted: Wanted, gpus: Sequence[int], others: Iterable[Claim]) -> list[int]:
    """The numbers of the GPUs that are large enough and that nobody holds. Raises `TooLarge` where none ever would."""
    large = [gpu for gpu, size in enumerate(gpus) if size >= wanted.on_gpu > 0]
    if wanted.on_gpu and not large:
        raise TooLarge(_refusal(wanted, f"{in_words(wanted.on_gpu)} of GPU memory", max(gpus, default=0), "one has"))
    held = {claim.gpu for claim in others}
    return [gpu for gpu in large if gpu not in held]


def _room(wanted: Wanted, budget: int | None, others: Others) -> int:
    """Bytes that are left now beside the others' claims. Raises `TooLarge` where it would be too little without them.

    Of what is free, the part that others have claimed and not yet taken is theirs.
    """
    free = free_memory()
    most, bound = free + sum(held for _, held in others), "are free"
    left = free - sum(max(0, claim.memory - max(0, held - claim.resident)) for claim, held in others)
    if budget is not None:
        left = min(left, budget - sum(claim.memory for claim, _ in others))
        if budget < most:
            most, bound = budget, "may be taken (memory_limit in conf/run.yaml)"
    if wanted.memory > most:
        raise TooLarge(_refusal(wanted, f"{in_words(wanted.memory)} of memory", most, bound))
    return left


def _refusal(wanted: Wanted, amount: str, most: int, bound: str) -> str:
    return f"{wanted.what}: about {amount} are wanted, and {in_words(most)} {bound}: {wanted.hint}"


def _tell_once(wanted: Wanted, left: int, others: Others, told: str) -> str:
    """News of whom is waited for, when that changes."""
    names = ", ".join(f"{claim.what} (process {claim.pid}, {in_words(claim.memory)})" for claim, _ in others)
    what = f"{wanted.what} waits for {names}"
    if what != told:
        amount = f"it wants {in_words(wanted.memory)}, {in_words(max(0, left))} are left"
        tell(event="waiting", what=f"{what}: {amount}{', and a GPU' if wanted.on_gpu else ''}")
    return what


def _living(folder: Path) -> Others:
    """The claims of processes that are there, each with the bytes that its process holds; the rest are removed."""
    living: Others = []
    for path in sorted(folder.glob("*.json")):
        try:
            claim = Claim(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:  # its training has ended meanwhile
            continue
        held = claim.held()
        if held is None:
            path.unlink(missing_ok=True)
        else:
            living.append((claim, held))
    return living


def _own(wanted: Wanted, gpu: int | None) -> Claim:
    import psutil

    process = psutil.Process()
    resident = process.memory_info().rss
    return Claim(wanted.what, wanted.memory, gpu, os.getpid(), process.create_time(), resident)


def _gpus() -> list[int]:
    import torch

    return [torch.cuda.get_device_properties(gpu).total_memory for gpu in range(torch.cuda.device_count())]


def _on(gpu: int | None) -> AbstractContextManager[object]:
    """`cuda` means this GPU inside."""
    if gpu is None:
        return nullcontext()
    import torch

    return torch.cuda.device(gpu)
