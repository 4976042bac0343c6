"""NAIS: FISM with attention over the history (He, He, Song, Liu, Jiang and Chua 2018)."""

from __future__ import annotations

import math
import time
from typing import Any, Literal, final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.training.batches import film_batches
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.pretraining import stage, what_is_left
from recpipe.training.settings import GradientNetworkRecipe

USERS = 2048
"""Users in one step at most."""
HIDDEN = 2**23
"""Units of the attention computed at once while scoring: 32 MiB."""
KEPT = 2**30
"""Bytes that the attention between all films may take while scores are asked for."""
LARGEST = 30.0
"""What a logit of the attention is held to, on both sides: exp of it, summed, stays a float32."""


@final
class Nais(GradientNetworkRecipe):
    """He et al., "NAIS: Neural Attentive Item Similarity Model for Recommendation" (TKDE 2018).

        s[u, i] = b[i] + Σ_{j ∈ S} exp f(i, j) p[i] · q[j] / (Σ_{j ∈ S} exp f(i, j))^β,  S: the films that u watched,
        without i;  f(i, j) = h · ReLU(W (p[i] ⊙ q[j]) + c), or with [p[i] ; q[j]] in place of the product.

    The loss is binary cross-entropy, a mean over watched films and `negatives` others for each, plus `regularization` ·
    (‖W‖² + ‖h‖²); never negative. alpha: β, which smooths the softmax. layers: the width of W's output. similarity:
    "product" or "concatenation", as in f. pretraining: epochs of FISM at first, that is with f = 0.

    f knows the two films and not the user. So the attention between all films is two matrices [n_items × n_items],
    E = exp f with a zero diagonal (which takes i out of S) and A = E ⊙ P Qᵀ, and all users' scores are
    b + (X Aᵀ) / (X Eᵀ)^β: exact, and no pair of films is looked at anew for each user who watched both. Training takes
    rows of A and E: a step is `batch_size` films i against all films j, for all users (2048 of them at most); in an
    epoch every film meets every user once. W (p[i] ⊙ q[j]) = (W diag p[i]) q[j] is a matrix product too. Histories are
    never cut. Scoring keeps A and E while they take 1 GiB at most (11,585 films) and computes them in parts, anew for
    each block of users, beyond.

    Departures: the films not watched are not drawn but all taken, each weighed by how often it would be drawn on
    average: the same loss without the noise of a draw. AdamW, whose decoupled decay stands for the paper's penalties on
    P and Q, in place of Adagrad; biases do not decay; h is penalised as W is, since ReLU lets one grow for the other.
    The bias b and the initial weights are those of the authors' code. Logits are held within ±30.
    """

    embedding_size: int = Field(default=64, ge=1)
    batch_size: int = Field(default=128, ge=1)
    layers: tuple[PositiveInt] = (16,)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    negatives: int = Field(default=4, ge=1)
    similarity: Literal["product", "concatenation"] = "product"
    regularization: float = Field(default=0.0, ge=0.0)
    pretraining: int = Field(default=0, ge=0)

    def network(self, n_users: int, n_items: int) -> NaisNetwork:
        """Untrained; the number of users plays no part."""
        return NaisNetwork(n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> HistoryNetwork:
        """Each example is one film, scored for all users of a block."""
        started = time.monotonic()
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        if self.pretraining:
            network.attends = False
            self._learn(network, train, stage(run, "fism", self.pretraining))
            network.attends = True
        return self._learn(network, train, what_is_left(run, started))

    def cost(self, shape: Shape) -> Cost:
        """Two vectors a film; in a step, twice the attention's units between a batch of films and all films, and the
        histories; when scoring, two numbers for each pair of films, 1 GiB of them at most, and a part's units. Time:
        the units once for each block of users, and two products of all users with the pairs of films."""
        parameters = self.parameter_count(shape)
        users, films = min(USERS, shape.n_users), min(self.batch_size, shape.n_items)
        pairs = films * shape.n_items
        step = FLOAT * (2 * self.layers[0] * pairs + 4 * pairs + users * shape.n_items + 4 * users * films)
        units = FLOAT * max(HIDDEN, self.layers[0] * shape.n_items)
        scoring = ranking(shape, 5) + units + min(KEPT, 2 * FLOAT * shape.n_items**2)
        blocks = -(-shape.n_users // USERS)
        a_pair = 5e-9 * self.layers[0] + 1e-10 * self.layers[0] * self.embedding_size
        seconds = shape.n_items**2 * (blocks * a_pair + 2e-10 * shape.n_users)
        return learned(parameters, step, BLAS + scoring, users_stream(shape), seconds)

    def _learn(self, network: NaisNetwork, train: TrainingSet, run: Run) -> HistoryNetwork:
        batches = film_batches(train.interactions, self.batch_size, USERS)

        def as_scorer(learned: NaisNetwork) -> HistoryNetwork:
            return HistoryNetwork(learned, train.n_items, train.n_users)

        return learn(network, batches, as_scorer, self.schedule, run)


class NaisNetwork(Learner):
    """p and q [n_items × embedding], b [n_items]; of the attention W [width × embedding or twice], c and h [width]."""

    def __init__(self, n_items: int, recipe: Nais) -> None:
        super().__init__()
        self.recipe, self.attends = recipe, True
        (width,), size = recipe.layers, recipe.embedding_size
        inputs = size if recipe.similarity == "product" else 2 * size
        self.biases = nn.Parameter(torch.zeros(n_items))
        self.scored, self.watched = nn.Parameter(torch.empty(n_items, size)), nn.Parameter(torch.empty(n_items, size))
        self.weights, self.offsets = nn.Parameter(torch.empty(width, inputs)), nn.Parameter(torch.empty(width))
        self.output = nn.Parameter(torch.ones(width))
        for parameter, std in (
            (self.scored, 0.01),
            (self.watched, 0.01),
            (self.weights, (2 / (width + inputs)) ** 0.5),
        ):
            nn.init.normal_(parameter, std=std)
        nn.init.normal_(self.offsets, std=(2 / (width + size)) ** 0.5)
        self._kept: Tensor | None = None
        self.register_load_state_dict_post_hook(NaisNetwork.forget)

    def forget(self, *_: Any) -> None:
        """The attention between all films that was kept for scoring: the weights are about to change, or have."""
        self._kept = None

    def loss(self, films: Tensor, histories: Tensor) -> Tensor:
        """films [rows]; histories [1 × users × n_items], binary → the mean over all films, estimated from these."""
        self.forget()
        history, n_items = histories[0], histories.shape[2]
        logits = self._scores(history, films, self.attention(films)).float()
        targets, lengths = history[:, films], history.sum(dim=1, keepdim=True)
        drawn = self.recipe.negatives * lengths / (n_items - lengths).clamp(min=1.0)
        weights = torch.where(targets > 0, 1.0, drawn)
        total = functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
        penalty = self.weights.square().sum() + self.output.square().sum()
        mean = total * (n_items / len(films)) / ((1 + self.recipe.negatives) * lengths.sum())
        return mean + self.recipe.regularization * penalty

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → s [rows × n_items]; b alone where there is nothing to vote."""
        n_items = len(self.biases)
        at_once = max(1, HIDDEN // (self.recipe.layers[0] * n_items))
        parts = torch.arange(n_items, device=history.device).split(at_once)
        if self._kept is None and 2 * FLOAT * n_items**2 <= KEPT:
            self._kept = self.biases.new_empty(2, n_items, n_items)
            for films in parts:
                self._kept[:, films] = self.attention(films).detach()
        if self._kept is not None:
            return self._scores(history, slice(None), self._kept)
        return torch.cat([self._scores(history, films, self.attention(films)) for films in parts], dim=1)

    def votes(self, history: Tensor, films: Tensor) -> tuple[Tensor, Tensor]:
        """history [1 × n_items], binary; films int64 [asked], not watched → what each film of the history brings to
        their scores, by its share of the attention [asked × n_items], and the biases, the rest [asked]."""
        votes, shares = self.attention(films) * history
        total = shares.sum(dim=1, keepdim=True).clamp(min=math.exp(-LARGEST))
        return votes / total**self.recipe.alpha, self.biases[films]

    def attention(self, films: Tensor) -> Tensor:
        """films [rows] → A and E of these films and all others, [2 × rows × n_items]."""
        vectors = self.scored[films]
        own = films[:, None] == torch.arange(len(self.watched), device=films.device)
        logits = (
            self._logits(vectors).clamp(-LARGEST, LARGEST)
            if self.attends
            else torch.zeros_like(own, dtype=torch.float32)
        )
        shares = logits.exp().masked_fill(own, 0.0)
        return torch.stack((shares * (vectors @ self.watched.T), shares))

    def _scores(self, history: Tensor, films: Tensor | slice, attention: Tensor) -> Tensor:
        """[users × rows]."""
        votes, total = history @ attention[0].T, history @ attention[1].T
        return self.biases[films] + votes / total.clamp(min=math.exp(-LARGEST)) ** self.recipe.alpha

    def _logits(self, vectors: Tensor) -> Tensor:
        """f of films with these vectors [rows × embedding] and of all films: [rows × n_items]."""
        rows, size = vectors.shape
        if self.recipe.similarity == "product":
            maps = (vectors[:, None, :] * self.weights).view(-1, size)
            offsets = self.offsets.repeat(rows)[:, None]
            hidden = torch.addmm(offsets, maps, self.watched.T)
        else:
            of_scored = vectors @ self.weights[:, :size].T + self.offsets
            hidden = of_scored.view(-1, 1) + (self.weights[:, size:] @ self.watched.T).repeat(rows, 1)
        units = hidden.relu_().view(rows, -1, len(self.watched))  # in place: the largest array by far
        return self.output.expand(rows, 1, -1).bmm(units)[:, 0]
