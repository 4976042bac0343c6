"""Neural matrix factorisation: GMF, an MLP, and both together (He, Liao, Zhang, Nie, Hu and Chua 2017)."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Literal, final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PAIRS, PairNetwork
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.dropout import Dropout
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import watched_first
from recpipe.training.pretraining import stage, what_is_left
from recpipe.training.settings import GradientNetworkRecipe

Part = Literal["gmf", "mlp"]
ALONE: tuple[Part, ...] = ("gmf", "mlp")


@final
class Neumf(GradientNetworkRecipe):
    """s[u, i] = h · [p[u] ⊙ q[i] ; MLP(p'[u], q'[i])] + c, each part with embeddings of its own.

    The loss is binary cross-entropy on the film watched and `negatives` sampled others: a mean over both, never
    negative.

    parts: "gmf" (the product alone), "mlp", or "both". layers: the widths of the MLP's layers, each with ReLU.
    pretraining: epochs for which GMF and MLP are first trained alone, before they start the whole; 0 for none. alpha:
    the share of GMF in h at that start.

    Departures: AdamW throughout, also after pretraining, where the paper turns to plain SGD; dropout between the
    layers; the scores are logits, whose order is that of the paper's sigmoid.
    """

    embedding_size: int = Field(default=64, ge=1)
    layers: tuple[PositiveInt, ...] = Field(default=(64, 32, 16), min_length=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    negatives: int = Field(default=4, ge=1)
    parts: Literal["gmf", "mlp", "both"] = "both"
    pretraining: int = Field(default=0, ge=0)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)

    def network(self, n_users: int, n_items: int) -> NeumfNetwork:
        """Untrained, with the parts that are asked for."""
        wanted = ALONE if self.parts == "both" else (self.parts,)
        return NeumfNetwork(n_users, n_items, self.embedding_size, self.layers, self.dropout, wanted)

    def fit(self, train: TrainingSet, run: Run) -> PairNetwork:
        """A network over pairs."""
        started = time.monotonic()
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        if self.pretraining and self.parts == "both":
            gmf, mlp = (self._alone(part, train, run) for part in ALONE)
            network.start_from(gmf, mlp, self.alpha)
        return self._learn(network, train, what_is_left(run, started))

    def cost(self, shape: Shape) -> Cost:
        """Two vectors a user and a film; in a step, for each film of the batch six times all widths that it passes;
        when scoring, four times the MLP's first layer for a block of pairs. Pretraining has parts of it at a time.
        """
        parameters = self.parameter_count(shape)
        widths = 2 * self.embedding_size + sum(self.layers)
        rows = self.batch_size * (1 + self.negatives)
        step = 6 * FLOAT * rows * widths
        scoring = ranking(shape, 1) + 4 * FLOAT * max(PAIRS, shape.n_items) * self.layers[0]
        passed = sum(a * b for a, b in pairwise((self.embedding_size, *self.layers)))
        seconds = shape.n_events * (1 + self.negatives) * (1e-7 + 7e-9 * widths + 1.5e-10 * passed)
        seconds += shape.n_events / self.batch_size * 3e-9 * parameters
        return learned(parameters, step, scoring, pairs_stream(shape), seconds)

    def _alone(self, part: Part, train: TrainingSet, run: Run) -> NeumfNetwork:
        with seeded(run):
            network = self.model_copy(update={"parts": part}).network(train.n_users, train.n_items)
        return self._learn(network, train, stage(run, part, self.pretraining)).network

    def _learn(self, network: NeumfNetwork, train: TrainingSet, run: Run) -> PairNetwork:
        batches = watched_and_not(train.interactions, self.batch_size, self.negatives)

        def as_scorer(learned: Learner) -> PairNetwork:
            return PairNetwork(learned, train.n_users, train.n_items)

        return learn(network, batches, as_scorer, self.schedule, run)


class NeumfNetwork(Learner):
    """One or both parts, and the weights h and c over them."""

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_size: int,
        layers: tuple[int, ...],
        dropout: float,
        parts: tuple[Part, ...],
    ) -> None:
        super().__init__()
        self.gmf = Product(n_users, n_items, embedding_size) if "gmf" in parts else None
        self.mlp = Perceptron(n_users, n_items, embedding_size, layers, dropout) if "mlp" in parts else None
        self.output = nn.Linear(sum(part.width for part in (self.gmf, self.mlp) if part is not None), 1)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        return watched_first(self.output.bias + sum(part.pairs(users, films, h) for part, h in self._weighted()))

    def scores(self, users: Tensor) -> Tensor:
        """[rows × n_items] of users [rows]: what depends on one side alone is computed once for that side."""
        return self.output.bias + sum(part.all_pairs(users, h) for part, h in self._weighted())

    def _weighted(self) -> list[tuple[Product | Perceptron, Tensor]]:
        """The parts that are there, each with its share of h: nothing needs to be joined."""
        parts = [part for part in (self.gmf, self.mlp) if part is not None]
        return list(zip(parts, self.output.weight[0].split([part.width for part in parts]), strict=True))

    def start_from(self, gmf: NeumfNetwork, mlp: NeumfNetwork, alpha: float) -> None:
        """Take over both parts, and h = [alpha h_gmf ; (1 - alpha) h_mlp] (equation 13 of the paper); c likewise."""
        if self.gmf is None or self.mlp is None or gmf.gmf is None or mlp.mlp is None:
            raise ValueError("pretraining needs a network with both parts, one with GMF and one with the MLP")
        self.gmf.load_state_dict(gmf.gmf.state_dict())
        self.mlp.load_state_dict(mlp.mlp.state_dict())
        with torch.no_grad():
            self.output.weight.copy_(torch.cat((alpha * gmf.output.weight, (1 - alpha) * mlp.output.weight), dim=1))
            self.output.bias.copy_(alpha * gmf.output.bias + (1 - alpha) * mlp.output.bias)


class Product(nn.Module):
    """Generalised matrix factorisation: p[u] ⊙ q[i]."""

    def __init__(self, n_users: int, n_items: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.users, self.items = _table(n_users, width), _table(n_items, width)

    def pairs(self, users: Tensor, films: Tensor, h: Tensor) -> Tensor:
        """users [rows], films [rows × films a row], h [width] → [rows × films a row]."""
        return ((self.users(users) * h)[:, None, :] * self.items(films)).sum(dim=-1)

    def all_pairs(self, users: Tensor, h: Tensor) -> Tensor:
        """As `pairs` with every film."""
        return (self.users(users) * h) @ self.items.weight.T


class Perceptron(nn.Module):
    """MLP over [p'[u] ; q'[i]]; its first layer is the sum of a user's part and a film's part, computed apart."""

    def __init__(
        self, n_users: int, n_items: int, embedding_size: int, layers: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.width = layers[-1]
        self.users, self.items = _table(n_users, embedding_size), _table(n_items, embedding_size)
        self.user_part = nn.Linear(embedding_size, layers[0])
        self.item_part = nn.Linear(embedding_size, layers[0], bias=False)
        self.dropout = Dropout(dropout)
        steps = [[nn.ReLU(), self.dropout, nn.Linear(*widths)] for widths in pairwise(layers)]
        self.rest = nn.Sequential(*(module for step in steps for module in step), nn.ReLU())

    def pairs(self, users: Tensor, films: Tensor, h: Tensor) -> Tensor:
        """users [rows], films [rows × films a row], h [last layer] → [rows × films a row]."""
        return self.rest(self.user_part(self.users(users))[:, None, :] + self.item_part(self.items(films))) @ h

    def all_pairs(self, users: Tensor, h: Tensor) -> Tensor:
        """As `pairs` with every film."""
        return self.rest(self.user_part(self.users(users))[:, None, :] + self.item_part(self.items.weight)) @ h


def _table(rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(rows, width)
    nn.init.normal_(table.weight, std=0.01)  # the paper's
    return table
