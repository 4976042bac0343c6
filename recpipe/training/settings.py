"""The settings that every recipe learning by gradients shares, and the schedule that the loop reads from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field, model_validator

from recpipe.costs import Shape
from recpipe.recipe import NetworkRecipe, Recipe


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    epochs: at most. weight_decay: decoupled; one-dimensional parameters (biases, gains) do not decay. patience: epochs
    without a better validation score before training stops. clip_norm: the longest gradient that is applied as it is.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    patience: int = 10
    clip_norm: float = 5.0


class GradientRecipe(Recipe):
    """A recipe whose parameters are learned by `training.loop.learn`."""

    memory_hint: ClassVar[str] = (
        "set a smaller embedding_size or batch_size, or keep fewer users and films (k-core in conf/dataset.yaml)"
    )

    epochs: int = Field(default=300, ge=1)
    batch_size: int = Field(default=2048, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    patience: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _decay_converges(self) -> Self:
        shrunk = self.learning_rate * self.weight_decay
        if shrunk >= 2:
            raise ValueError(
                f"learning_rate {self.learning_rate:g} × weight_decay {self.weight_decay:g} is {shrunk:g}: each step "
                f"multiplies the weights by {1 - shrunk:g}, which diverges whatever the data; keep the product "
                "below 2, and as a rule far below 1"
            )
        return self

    @property
    def schedule(self) -> Schedule:
        """The part of the settings that the loop needs."""
        return Schedule(self.epochs, self.learning_rate, self.weight_decay, self.patience)


class GradientNetworkRecipe(GradientRecipe, NetworkRecipe):
    """Learned by gradients, and the scorer keeps the network."""

    def parameter_count(self, shape: Shape) -> int:
        """Of the network for data of this shape; it is built without memory."""
        import torch

        with torch.device("meta"):
            network = self.network(shape.n_users, shape.n_items)
        return sum(parameter.numel() for parameter in network.parameters())
