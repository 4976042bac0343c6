"""CFM: three-dimensional convolutions over the outer products of all pairs of fields.

Xin, Chen, He, Wang, Ding and Jose, "CFM: Convolutional Factorization Machines for Context-Aware Recommendation" (IJCAI
2019).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Literal, Self, final

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.pair_network import PairNetwork
from recpipe.training.dropout import Dropout
from recpipe.training.field_networks import FieldHead, FieldRecipe, Prepared
from recpipe.training.fields import FIELDS, products
from recpipe.training.halvings import refuse_more_than_one_cell
from recpipe.training.losses import watched_above, watched_first, watched_squared
from recpipe.training.pretraining import stage, what_is_left

PAIRS_OF_FIELDS = tuple(combinations(range(1 + len(FIELDS)), 2))
"""In the order of the cube; 0 is the user."""
MOMENTUM = 0.5
"""Share of the latest batch in the running means and variances: its thousands of cells say enough. At torch's 0.1 the
variance of 1 from the start outweighs that of tiny products for a hundred steps, and all scores are alike till then."""


@final
class Cfm(FieldRecipe):
    """Xin et al. 2019. Fields are the user, the film's own number, its genres, directors, writers and year; v_f is the
    mean of the vectors of the film's values in field f, zeros where it has none, and w_f likewise. The cube E of the
    outer products v_f v_gᵀ of all pairs f < g, [pairs × size × size], goes through convolutions of [depth × 2 × 2] with
    stride [1 × 2 × 2], each with batch normalisation and ReLU, until one cell is left, h(E) ∈ R^channels:

        s(u, i) = w_0 + w_u + Σ_f w_f + w · h(E).

    loss, with targets of 1 for the film watched and 0 for `negatives` sampled others, a mean, never negative:

        squared     (t − s)²
        logistic    −[t ln σ(s) + (1 − t) ln(1 − σ(s))]
        bpr         −ln σ(s of the film watched − s of another), the paper's

    embedding_size: a power of two, 2^n. layers: the channels of the n convolutions. depth: the pairs of fields that one
    convolution reads; the last one reads all that are left. dropout: of h(E), as in the paper. parts: "conv" is the
    paper; "both" adds the products of a factorisation machine, Σ_(f < g) v_f · v_g, with w zero at first; "product" is
    the latter alone. pretraining: epochs for which vectors and weights are first trained as that factorisation machine,
    as in the paper; 0 for none.

    The first convolution needs no cube. With V[f, s, j, b, c] = Σ_(g > f) Σ_t K[c, (f, g) − j, s, t] v_g[2b + t] of a
    film, its output at (j, a, b) is Σ_f Σ_s v_f[2a + s] V[f, s, j, b, c]. All of it but f = u is the film's alone and
    computed once a film; the user's share is a product of [size/2 × 2] and [2 × depths · size/2 · channels] a pair.

    Departures: the mean of a field's vectors stands for the paper's attention over them; batch normalisation, without
    which deep convolutions of small products pass no gradient; losses point by point beside the paper's; AdamW, whose
    decoupled decay of all tables and kernels stands for the paper's penalty, in place of Adagrad; "both" as a choice.
    """

    embedding_size: int = Field(default=16, ge=2)
    layers: tuple[PositiveInt, ...] = Field(default=(8, 8, 8, 8), min_length=1)
    depth: int = Field(default=15, ge=1)
    batch_norm: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    loss: Literal["squared", "logistic", "bpr"] = "squared"
    parts: Literal["product", "conv", "both"] = "conv"
    pretraining: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_cell_is_left(self) -> Self:
        refuse_more_than_one_cell(self.embedding_size, self.layers)
        return self

    def head(self) -> CfmHead:
        """Untrained."""
        return CfmHead(self)

    @property
    def objective(self) -> Callable[[Tensor], Tensor]:
        """By name."""
        return {"squared": watched_squared, "logistic": watched_first, "bpr": watched_above}[self.loss]

    def fit(self, train: TrainingSet, run: Run) -> PairNetwork:
        """A network over pairs."""
        started = time.monotonic()
        learner = self.learner(train, run)
        if self.pretraining and self.parts != "product":
            alone = self.model_copy(update={"parts": "product", "pretraining": 0})
            product = alone.learner(train, run)
            alone.taught(product, train, stage(run, "product", self.pretraining))
            learner.load_state_dict(learner.state_dict() | product.state_dict())
        return self.taught(learner, train, what_is_left(run, started))

    def cost(self, shape: Shape) -> Cost:
        """A vector and a weight a user, film and value; in a step, the fields of all films with their gradients, and
        for each film of the batch four times the outputs of all convolutions.
        """
        size, cells = self.embedding_size, self.outputs
        if self.parts == "product":
            return self.cost_of_pairs(shape, 6 * size, 4 * size, 2e-7 + 5e-9 * size)
        read = (4 * depth * channels for depth, channels in zip(self.depths[1:], self.layers, strict=False))
        multiplied = sum(a * b for a, b in zip(read, cells[1:], strict=True))
        film = (2 * len(FIELDS) + size // 2) * cells[0] / (size // 2)
        seconds = 3e-6 + 3e-8 * cells[0] + 1e-9 * multiplied
        return self.cost_of_pairs(shape, 4 * sum(cells) + 8 * size, film, seconds)

    @property
    def outputs(self) -> list[int]:
        """Numbers that each convolution leaves of a pair."""
        left, outputs = len(PAIRS_OF_FIELDS), []
        for number, (depth, channels) in enumerate(zip(self.depths, self.layers, strict=True), start=1):
            left -= depth - 1
            outputs.append(channels * left * (self.embedding_size >> number) ** 2)
        return outputs

    @property
    def depths(self) -> tuple[int, ...]:
        """Pairs of fields, or what has become of them, that each convolution reads."""
        left, depths = len(PAIRS_OF_FIELDS), []
        for _ in self.layers[1:]:
            depths.append(min(self.depth, left))
            left -= depths[-1] - 1
        return *depths, left


class CfmHead(FieldHead):
    """Kernels of the first convolution [channels × depth × 2 × 2], then the others, w, or products, or both."""

    places: Tensor

    def __init__(self, recipe: Cfm) -> None:
        super().__init__()
        self.parts, self.width = recipe.parts, 1
        if self.parts == "product":
            return
        self.divisible = not recipe.batch_norm
        layers, (depth, *depths) = recipe.layers, recipe.depths
        self.width = max(recipe.outputs)
        self.kernels = nn.Parameter(torch.empty(layers[0], depth, 2, 2))
        nn.init.uniform_(self.kernels, -1 / (4 * depth) ** 0.5, 1 / (4 * depth) ** 0.5)
        self.offsets = None if recipe.batch_norm else nn.Parameter(torch.zeros(layers[0]))
        self.register_buffer("places", _places(depth), persistent=False)
        modules = _after(layers[0], recipe.batch_norm)
        for (before, after), read in zip(pairwise(layers), depths, strict=True):
            modules.append(nn.Conv3d(before, after, (read, 2, 2), (1, 2, 2), bias=not recipe.batch_norm))
            modules += _after(after, recipe.batch_norm)
        self.rest = nn.Sequential(*modules)
        self.dropout = Dropout(recipe.dropout)
        self.output = nn.Linear(layers[-1], 1, bias=False)
        if self.parts == "both":
            nn.init.zeros_(self.output.weight)

    def of_users(self, vectors: Tensor) -> Prepared:
        """v_u, and by halves of two coordinates [users × half × 2]."""
        return vectors, vectors.unflatten(1, (-1, 2))

    def of_films(self, vectors: Tensor) -> Prepared:
        """The products' share, where they count; V of the user [films × 2 × X] and what the film's own pairs add to the
        first convolution [films × half × X], X = depths · half · channels.
        """
        shares = products(vectors) if self.parts != "conv" else ()
        if self.parts == "product":
            return shares
        halves = vectors.unflatten(2, (-1, 2))  # [films × len(FIELDS) × half × 2]
        kernels = torch.cat((self.kernels, torch.zeros_like(self.kernels[:, :1])), dim=1)[:, self.places]
        v = torch.einsum("cjfgst,ngbt->nfsjbc", kernels, halves).flatten(3)  # [films × len(FIELDS) × 2 × X]
        own = halves[:, :-1].permute(0, 2, 1, 3).flatten(2)  # [films × half × fields · 2]
        return *shares, v[:, 0], torch.bmm(own, v[:, 1:].flatten(1, 2))

    def pairs(self, users: Prepared, films: Prepared) -> Tensor:
        """[users × films]."""
        if self.parts == "conv":
            return self._convolved(users[1], *films)
        scores = torch.einsum("uxs,ufs->uf", users[0], films[0]) + films[1]
        return scores if self.parts == "product" else scores + self._convolved(users[1], *films[2:])

    def _convolved(self, halves: Tensor, of_user: Tensor, own: Tensor) -> Tensor:
        """halves [users × 1 × half × 2]; of films [users or 1 × films × …] → w · h(E) [users × films]."""
        first = torch.matmul(halves, of_user) + own
        pairs, half = first.shape[:2], halves.shape[2]
        cells = first.view(*pairs, half, -1, half, len(self.kernels)).flatten(0, 1)
        cells = cells.permute(0, 4, 2, 1, 3)  # channels first in name, last in memory
        if self.offsets is not None:
            cells = cells + self.offsets[:, None, None, None]
        return self.output(self.dropout(self.rest(cells).flatten(1))).view(pairs)


def _after(channels: int, batch_norm: bool) -> list[nn.Module]:
    """What follows a convolution."""
    return [nn.BatchNorm3d(channels, momentum=MOMENTUM), nn.ReLU()] if batch_norm else [nn.ReLU()]


def _places(depth: int) -> Tensor:
    """int64 [depths left × fields f × film's fields g]: where in a kernel that reads `depth` pairs from the j-th on the
    pair (f, g) stands; `depth`, behind the kernel's end, where it does not.
    """
    left = len(PAIRS_OF_FIELDS) - depth + 1
    places = torch.full((left, len(FIELDS), len(FIELDS)), depth)
    for number, (f, g) in enumerate(PAIRS_OF_FIELDS):
        for j in range(max(0, number - depth + 1), min(left, number + 1)):
            places[j, f, g - 1] = number - j
    return places
