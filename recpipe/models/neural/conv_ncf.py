"""ConvNCF: a convolutional network over the outer product of a user's and a film's vector.

He, Du, Wang, Tian, Tang and Chua, "Outer Product-based Neural Collaborative Filtering" (IJCAI 2018).
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Literal, Self, final

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PAIRS, PairNetwork
from recpipe.training.batches import watched_and_not
from recpipe.training.costs import learned, pairs_stream, ranking
from recpipe.training.halvings import refuse_more_than_one_cell
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr
from recpipe.training.pretraining import stage, what_is_left
from recpipe.training.settings import GradientNetworkRecipe

UNITS = 2**20
"""Numbers of the first layer's output held at once while scoring: 4 MiB, so that they are still in the cache when the
second one reads them."""


@final
class ConvNcf(GradientNetworkRecipe):
    """He et al. 2018. E = p[u] q[i]ᵀ, the map of all products of two coordinates, [size × size], goes through
    convolutions of 2 × 2 with stride 2 and ReLU until one cell is left, g ∈ R^channels:

        s[u, i] = w · g(E);

    the loss is the mean over (u, i watched, j not) of −ln σ(s[u, i] − s[u, j]), never negative.

    embedding_size: a power of two, 2^n. layers: the channels of the n convolutions. pretraining: epochs for which p and
    q are first trained alone as matrix factorisation with the same loss, as in the paper; 0 for none. parts: "conv" is
    the paper; "both" adds the inner product that the vectors were pretrained for, s = p[u] · q[i] + w · g(E), with w
    zero at first, so that the network starts where matrix factorisation ends; "product" is the latter alone.

    The first convolution needs no map. With V[s, b, c] = Σ_t K[c, s, t] q[2b + t] of a film, its output at (a, b) is
    Σ_s p[2a + s] V[s, b, c]: a product of [size/2 × 2] and [2 × size/2 · channels] for each pair, V once a film.

    Departures: "both", the default, see conf/models/conv_ncf.yaml for what each brings; AdamW, whose decoupled decay of
    all tables and kernels stands for the paper's penalties on each of them, in place of Adagrad; batches of a whole
    permutation of the events; `negatives` films a film watched, where the paper has one.
    """

    embedding_size: int = Field(default=64, ge=2)
    layers: tuple[PositiveInt, ...] = Field(default=(32, 32, 32, 32, 32, 32), min_length=1)
    negatives: int = Field(default=1, ge=1)
    parts: Literal["product", "conv", "both"] = "both"
    pretraining: int = Field(default=0, ge=0)
    batch_size: int = Field(default=128, ge=1)

    @model_validator(mode="after")
    def _one_cell_is_left(self) -> Self:
        refuse_more_than_one_cell(self.embedding_size, self.layers)
        return self

    def network(self, n_users: int, n_items: int) -> ConvNcfNetwork:
        """Untrained."""
        return ConvNcfNetwork(n_users, n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> PairNetwork:
        """A network over pairs."""
        started = time.monotonic()
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        if self.pretraining and self.parts != "product":
            alone = self.model_copy(update={"parts": "product", "pretraining": 0})
            product = alone.fit(train, stage(run, "product", self.pretraining)).network
            network.users.load_state_dict(product.users.state_dict())
            network.items.load_state_dict(product.items.state_dict())
        return learn(
            network,
            watched_and_not(train.interactions, self.batch_size, self.negatives),
            lambda learned: PairNetwork(learned, train.n_users, train.n_items),
            self.schedule,
            what_is_left(run, started),
        )

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, for each film of the batch four times the outputs of all convolutions;
        when scoring, three times the outputs of a block of pairs.
        """
        parameters = self.parameter_count(shape)
        cells = [(self.embedding_size >> n) ** 2 * width for n, width in enumerate(self.layers, start=1)]
        if self.parts == "product":
            cells = [0]
        rows = self.batch_size * (1 + self.negatives)
        step = FLOAT * rows * (4 * sum(cells) + 8 * self.embedding_size)
        scoring = ranking(shape, 1) + FLOAT * 3 * max(UNITS, cells[0])
        multiplied = sum(4 * before * after for before, after in zip(self.layers, cells[1:], strict=False))
        a_pair = 3e-6 + 3e-8 * cells[0] + 1e-9 * multiplied
        seconds = shape.n_events * (1 + self.negatives) * a_pair + shape.n_events / self.batch_size * 3e-9 * parameters
        return learned(parameters, step, BLAS + scoring, pairs_stream(shape), seconds)


class ConvNcfNetwork(Learner):
    """p [n_users × size], q [n_items × size]; kernels of the first convolution [channels × 2 × 2], then the others."""

    def __init__(self, n_users: int, n_items: int, recipe: ConvNcf) -> None:
        super().__init__()
        size, self.parts = recipe.embedding_size, recipe.parts
        self.pairs_at_once = (
            PAIRS if self.parts == "product" else max(1, UNITS // (recipe.layers[0] * (size // 2) ** 2))
        )
        self.users, self.items = nn.Embedding(n_users, size), nn.Embedding(n_items, size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1 / size**0.5)
        if self.parts == "product":
            return
        self.kernels = nn.Parameter(torch.empty(recipe.layers[0], 2, 2))
        self.offsets = nn.Parameter(torch.zeros(recipe.layers[0]))
        nn.init.uniform_(self.kernels, -0.5, 0.5)
        steps = [[nn.Conv2d(*widths, kernel_size=2, stride=2), nn.ReLU()] for widths in pairwise(recipe.layers)]
        self.rest = nn.Sequential(*(module for step in steps for module in step))
        self.output = nn.Linear(recipe.layers[-1], 1, bias=False)
        if self.parts == "both":
            nn.init.zeros_(self.output.weight)

    def loss(self, users: Tensor, films: Tensor) -> Tensor:
        """users [rows], films [rows × (1 + negatives)], the one watched first."""
        of_users, of_films = self.users(users), self.items(films)
        scores = of_users.new_zeros(films.shape)
        if self.parts != "conv":
            scores = (of_users[:, None, :] * of_films).sum(dim=-1)
        if self.parts != "product":
            people = of_users[:, None, :].expand_as(of_films).flatten(0, 1)
            scores = scores + self._convolved(people, self._of_films(of_films.flatten(0, 1))).view_as(films)
        return bpr(scores[:, 0], scores[:, 1:])

    def scores(self, users: Tensor) -> Tensor:
        """[rows × n_items] of users [rows], so many films at a time that their maps fit into the cache."""
        of_users, of_films = self.users(users), self.items.weight
        scores = of_users @ of_films.T if self.parts != "conv" else of_users.new_zeros(len(users), len(of_films))
        if self.parts == "product":
            return scores
        people = of_users[:, None, :]
        for films in torch.arange(len(of_films), device=users.device).split(max(1, self.pairs_at_once // len(users))):
            prepared = self._of_films(of_films[films]).repeat(len(users), 1, 1)
            block = self._convolved(people.expand(-1, len(films), -1).flatten(0, 1), prepared)
            scores[:, films] += block.view(len(users), len(films))
        return scores

    def _of_films(self, vectors: Tensor) -> Tensor:
        """q [pairs × size] → V [pairs × 2 × (size / 2 · channels)]."""
        halves = vectors.unflatten(1, (-1, 2))  # [pairs × size / 2 × 2]
        return torch.einsum("cst,nbt->nsbc", self.kernels, halves).flatten(2)

    def _convolved(self, vectors: Tensor, of_films: Tensor) -> Tensor:
        """p [pairs × size] and V of as many films → w · g [pairs]."""
        half = vectors.shape[1] // 2
        first = torch.bmm(vectors.unflatten(1, (half, 2)), of_films).unflatten(2, (half, -1))
        cells = torch.relu(first + self.offsets).permute(0, 3, 1, 2)  # channels first in name, last in memory
        return self.output(self.rest(cells).flatten(1))[:, 0]
