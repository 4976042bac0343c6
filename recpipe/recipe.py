"""The two ideas: a recipe says how to learn, a scorer is what was learned; and Run, the circumstances of learning."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from recpipe.costs import Cost, Shape
from recpipe.data.interactions import FloatArray, Histories
from recpipe.data.training_set import TrainingSet

ROWS_A_CALL = 128
"""Users a scorer is asked about at once. Fixed, and counted from the first row, because a matrix product may change in
its last bits with the number of rows: so neither the byte budget nor the memory of a machine changes a list. Scorers
whose products have always as many rows have as many, so that a call fills them."""


class Scorer(Protocol):
    """What was learned. Implementations are frozen and know how to write themselves as plain arrays."""

    @property
    def serves_newcomers(self) -> bool:
        """Whether rows of `NEWCOMER` get scores; otherwise `scores` raises `UnknownUsers` for them."""
        ...

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items], higher is better; all finite. Seen films are scored too: ranking masks them."""
        ...

    def arrays(self) -> dict[str, Any]:
        """What `from_arrays` needs: NumPy arrays (0-d for single numbers) and SciPy CSR matrices by name."""
        ...

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The scorer that `arrays` came from. The recipe rebuilds a network where the scorer has one."""
        ...


class UnknownUsers(ValueError):
    """A scorer was asked about users that it has not seen at training and cannot serve."""


class NonFiniteScores(ValueError):
    """A scorer returned NaN or infinity: its ranking would mean nothing. A training stops at it and keeps its best."""


def silent(**numbers: Any) -> None:
    """Reports nothing."""


@dataclass
class Checkpoints:
    """Where a fit keeps what must survive a kill, and how often. One object serves one fit: it counts its trainings.

    folder: for one set of inputs (data, settings, code) alone; it is made when it is needed. every: seconds from one
    checkpoint to the next, at the least; 0: after each epoch. seconds_before: spent before a kill on what was taken up.
    """

    folder: Path
    every: float = 60.0
    seconds_before: float = 0.0
    _begun: int = field(default=0, init=False)

    def next_file(self) -> Path:
        """For the fit's next training: several in one fit keep apart by their order, which is always the same."""
        self._begun += 1
        return self.folder / f"{self._begun}.safetensors"


@dataclass(frozen=True)
class Run:
    """The circumstances of one fit: nothing here is data, and nothing here is a choice of the model.

    seed: of every random number. device: "cpu" or "cuda". mixed_precision: what learns by gradients multiplies matrices
    in bfloat16, and keeps weights, sums and losses in float32. epochs: learn for exactly this many and do not validate
    (refits on all the data); None lets early stopping decide. time_budget: seconds, after which the best epoch so far
    is kept; those before a kill count. memory_budget: bytes that all trainings here may take together, None for what is
    free; `claims.room_for` looks at it before a fit, the fit does not. checkpoints: where to keep what must survive a
    kill; None keeps nothing. report: receives numbers by name as they come (epoch,
    loss, ...). validate: the validation metric of a scorer, higher is better; None where there is no validation part.
    """

    seed: int = 0
    device: str = "cpu"
    mixed_precision: bool = False
    epochs: int | None = None
    time_budget: float | None = None
    memory_budget: int | None = None
    checkpoints: Checkpoints | None = None
    report: Callable[..., None] = field(default=silent)
    validate: Callable[[Scorer], float] | None = None

    def random(self) -> np.random.Generator:
        """A fresh generator from the seed: the same at every call."""
        return np.random.default_rng(self.seed)

    @property
    def seconds_before(self) -> float:
        """Spent before a kill on the trainings that this fit has taken up again so far."""
        return 0.0 if self.checkpoints is None else self.checkpoints.seconds_before


class Recipe(BaseModel, ABC):
    """The settings of one way to learn. Frozen; unknown keys are refused; concrete recipes are never subclassed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uses_features: ClassVar[bool] = False
    """Whether the recipe looks at side data; a change of side data makes only such models stale."""

    memory_hint: ClassVar[str] = "keep fewer users and films (k-core in conf/dataset.yaml)"
    """What to set where a fit wants more memory than there is."""

    @classmethod
    def recipe_name(cls) -> str:
        """The name in the catalogue and in YAML: the class in snake case, which is its file's name."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @abstractmethod
    def fit(self, train: TrainingSet, run: Run) -> Scorer:
        """Learn from `train` alone."""

    @abstractmethod
    def cost(self, shape: Shape) -> Cost:
        """What `fit` takes on data of this shape, estimated; the docstring says from what."""


class NetworkRecipe(Recipe):
    """A recipe whose scorer holds a torch network: it can build that network again, untrained, from sizes alone."""

    @abstractmethod
    def network(self, n_users: int, n_items: int) -> Any:
        """An untrained `torch.nn.Module` of this recipe's settings."""
