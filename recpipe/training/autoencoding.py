"""What networks share that read a whole history and write it again: layers, a normal code, the weight of its KL."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.training.batches import user_batches
from recpipe.training.history_product import FromHistories
from recpipe.training.loop import Batches, learn, seeded
from recpipe.training.settings import GradientNetworkRecipe


class HistoryRecipe(GradientNetworkRecipe):
    """Learns from whole histories, a user a row."""

    def fit(self, train: TrainingSet, run: Run) -> HistoryNetwork:
        """Each example is one row of `batches`."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        return learn(
            network,
            self.batches(train),
            lambda learned: HistoryNetwork(learned, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def batches(self, train: TrainingSet) -> Batches:
        """Each example is one user with a training event."""
        return user_batches(train.interactions, self.batch_size)


def dense(widths: tuple[int, ...], activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Linear maps with the activation between them, none after the last; normal weights after Glorot, biases 0."""
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        modules += [linear(inputs, outputs), activation()]
    return nn.Sequential(*modules[:-1])


def reading(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """As `dense`, with histories as the input, of whose films the share `dropout` is left out while learning."""
    inputs, outputs, *others = widths
    first = FromHistories(inputs, outputs, dropout)
    return nn.Sequential(first, nn.Tanh(), *dense((outputs, *others))) if others else nn.Sequential(first)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """One such map."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A sample of N(mean, exp(log_variance)) that gradients pass through (Kingma and Welling 2014)."""
    return mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) summed over the columns: [rows × size] twice → [rows]."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


class Annealing(nn.Module):
    """A weight that grows from 0 to `largest` over so many steps and stays there (Bowman et al. 2016)."""

    steps: Tensor

    def __init__(self, largest: float, n_steps: int) -> None:
        super().__init__()
        self.largest, self.n_steps = largest, n_steps
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def weight(self) -> Tensor:
        """Of the step to come, 0-d."""
        progress = self.steps / self.n_steps if self.n_steps else self.steps + 1.0
        return self.largest * progress.clamp(max=1.0)

    def step(self) -> Tensor:
        """The weight of this step, which is over thereby."""
        weight = self.weight()
        self.steps += 1
        return weight
