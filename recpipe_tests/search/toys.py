"""Recipes that a search is tried on: what they score is known beforehand, and they learn nothing."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import optuna
from pydantic import Field

from recpipe.costs import Cost
from recpipe.recipe import Recipe
from recpipe.scoring.item_weights import ItemWeights
from recpipe.search.dimensions import Range
from recpipe.search.sampling import SeededByTrial
from recpipe.search.space import Space
from recpipe.search.trials import Question
from recpipe_tests.worlds import general

WORLD = general(n_users=60, n_blocks=2, block_size=12)
OWN = {"alpha": Range(low=0.0, high=1.0), "beta": Range(low=0.0, high=1.0)}


def mixed(train, share, seed):
    """A scorer that is the better, the nearer `share` is to 1: co-watching, drowned in noise."""
    matrix = train.interactions.matrix().toarray()
    weights = matrix.T @ matrix
    np.fill_diagonal(weights, 0.0)
    noise = np.random.default_rng(seed).random(weights.shape)
    return ItemWeights((share * weights / weights.max() + (1 - share) * noise).astype(np.float32))


class Toy(Recipe):
    """alpha decides, beta does nothing. Each fit is noted in `fits`; above `refused` it is refused."""

    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    beta: float = 0.5
    refused: ClassVar[float] = 2.0
    fits: ClassVar[list[tuple[float, int]]] = []

    def fit(self, train, run):
        self.fits.append((self.alpha, run.seed))
        if self.alpha > self.refused:
            raise ValueError(f"alpha {self.alpha} is too much")
        return mixed(train, self.alpha, 0)

    def cost(self, shape):
        return Cost(1, 0.0)


class Climbing(Recipe):
    """Learns in five epochs, of which epoch n scores n · alpha. Any time budget is spent after the second. What it
    learned depends on the run's seed."""

    alpha: float = 0.5
    beta: float = 0.5
    epochs: int = 5
    heard: ClassVar[list[tuple[float, int]]] = []

    def fit(self, train, run):
        stopped = "epochs"
        for epoch in range(1, self.epochs + 1):
            self.heard.append((self.alpha, epoch))
            run.report(epoch=epoch, loss=1.0, valid=epoch * self.alpha)
            if run.time_budget is not None and epoch == 2:
                stopped = "time budget"
                break
        run.report(best_epoch=epoch, stopped=stopped)
        return mixed(train, self.alpha, run.seed)

    def cost(self, shape):
        return Cost(1, 0.0)


def question(recipe=None, seeds=(0,), own=None):
    return Question(Space.of(recipe or Toy(), own or OWN), WORLD.train, WORLD.held_out, "ndcg@10", seeds)


def in_memory(seed=0, pruner=None, drawn_first=3):
    pruner = pruner or optuna.pruners.NopPruner()
    return optuna.create_study(direction="maximize", sampler=SeededByTrial(seed, drawn_first), pruner=pruner)
