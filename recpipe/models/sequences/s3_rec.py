"""S3-Rec: SASRec that first learns, without a task, how films, their attributes and parts of histories belong together.

Zhou, Wang, Zhao, Zhu, Wang, Zhang, Wang and Wen, "S3-Rec: Self-Supervised Learning for Sequential Recommendation with
Mutual Information Maximization" (CIKM 2020).
"""

from __future__ import annotations

import time
from typing import ClassVar, final

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.features import ItemFeatures
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.sequence_network import SequenceNetwork
from recpipe.training.attention import WindowEncoder
from recpipe.training.batches import sequence_batches
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import softmax_over
from recpipe.training.pretraining import stage, what_is_left
from recpipe.training.windows import NextFilmLearner, NextFilmRecipe, earlier_and_real

WEIGHTS = {"attributes": 1.0, "films": 0.2, "hidden_attributes": 1.0, "segments": 0.5}
"""Of the four tasks, as in the authors' code."""
USUAL_ATTRIBUTES = 500
"""What a cost is estimated for: the shape of the data does not tell how many there are."""


@final
class S3Rec(NextFilmRecipe):
    """Zhou et al. 2020. The network is SASRec's. For `pretraining` epochs it sees whole windows, from both sides, and
    learns four tasks at once; F is a state where a film is hidden, e(i) and g(a) are vectors of films and attributes:

        attributes         σ(e(i) · W₁ g(a)) says whether film i has attribute a (AAP),
        films              softmax over all films of F · W₂ e(i) finds the hidden film (MIP),
        hidden attributes  σ(F · W₃ g(a)) says whether the hidden film has attribute a (MAP),
        segments           a window without a segment knows its segment from another window's,
                           -ln σ(s · W₄ t - s · W₄ t'), all three the states of the last film (SP);

    each a mean over films or windows (of sums over attributes), weighed as in the authors' code. Then the same network
    learns to rank the next film as SASRec does, with the losses of `NextFilmRecipe`.

    Attributes are genres, directors and writers of at least `minimum_films` films; without side data the two tasks on
    them fall away. mask_probability: of each film to be hidden, at least one a window.

    Departures: the softmax over all films in place of one drawn film in MIP; every window of a history is read, not its
    latest alone; t' is the segment of the next window of the batch.
    """

    uses_features: ClassVar[bool] = True

    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    pretraining: int = Field(default=20, ge=0)
    mask_probability: float = Field(default=0.2, gt=0.0, lt=1.0)
    minimum_films: int = Field(default=5, ge=1)

    def network(self, n_users: int, n_items: int) -> S3RecNetwork:
        """Untrained; the number of users plays no part."""
        return S3RecNetwork(n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> SequenceNetwork:
        """Pretraining, then each example is one window of `max_length` films as in SASRec."""
        started = time.monotonic()
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
            tasks = Tasks(network, attributes_of(train, self.minimum_films), self)
        if self.pretraining:
            learn(
                tasks,
                sequence_batches(train.interactions.histories(), self.max_length, self.batch_size),
                lambda learned: SequenceNetwork(learned.network, self.max_length, train.n_items, train.n_users),
                self.schedule,
                stage(run, "pretraining", self.pretraining),
            )
        return self.taught(network, train, what_is_left(run, started))

    def cost(self, shape: Shape) -> Cost:
        """As `sasrec`, whose blocks see three windows in a step of the pretraining, with some hundreds of numbers a
        film of the batch for its attributes; and the dense table of which film has which. Seconds: of an epoch after.
        """
        size = self.embedding_size
        block = 20 * size + 3 * self.heads * self.max_length
        position = 3 * self.layers * block + 3 * USUAL_ATTRIBUTES * self.mask_probability
        windows = self.cost_of_windows(shape, self.scored, position, self.layers * 2e-9 * size**2)
        table = FLOAT * USUAL_ATTRIBUTES * shape.n_items
        return Cost(windows.memory + table, windows.seconds, windows.on_device + table, windows.copied)


class S3RecNetwork(NextFilmLearner):
    """The films' vectors and the encoder."""

    def __init__(self, n_items: int, recipe: S3Rec) -> None:
        super().__init__(n_items, recipe)
        self.encoder = WindowEncoder(
            recipe.embedding_size, recipe.layers, recipe.heads, recipe.dropout, recipe.max_length
        )

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size]."""
        states: Tensor = self.encoder(self.items(films), earlier_and_real(films != self.n_items)[:, None])
        return states


class Tasks(Learner):
    """attributes: which film has which, float32 [n_items × n_attributes]; vectors: g. mask: e of what is hidden.

    A window's segment is compared with another window's of the batch, or of a part of it: any other will do, and a
    window alone learns nothing from this task.
    """

    attributes: Tensor

    def __init__(self, network: S3RecNetwork, attributes: sparse.csr_matrix, recipe: S3Rec) -> None:
        super().__init__()
        self.network, self.recipe, size = network, recipe, recipe.embedding_size
        self.register_buffer("attributes", torch.from_numpy(attributes.toarray()), persistent=False)
        self.vectors = nn.Parameter(torch.randn(attributes.shape[1], size) * 0.02)
        self.mask = nn.Parameter(torch.randn(size) * 0.02)
        self.maps = nn.ModuleDict({task: nn.Linear(size, size, bias=False) for task in WEIGHTS})

    def loss(self, films: Tensor, targets: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → the four tasks' weighed sum."""
        whole = torch.cat((films, targets[:, -1:]), dim=1)[:, 1:]
        whole = whole[:, -int(whole.ne(self.network.n_items).sum(dim=1).max()) :]
        real = whole != self.network.n_items
        hidden = drawn(real, self.recipe.mask_probability)
        states, found = self.seen(whole, hidden, real)[hidden], whole[hidden]
        loss = WEIGHTS["films"] * softmax_over(self.maps["films"](states), self.network.vectors(), found)
        if len(self.vectors):
            known = whole[real].unique()
            loss = loss + WEIGHTS["attributes"] * self.told("attributes", self.network.items(known), known)
            loss = loss + WEIGHTS["hidden_attributes"] * self.told("hidden_attributes", states, found)
        segment = segments(real)
        without, within = (self.seen(whole, away, real)[:, -1] for away in (segment, real & ~segment))
        asked = self.maps["segments"](without)
        own, others = (asked * within).sum(dim=1), (asked * within.roll(1, dims=0)).sum(dim=1)
        return loss + WEIGHTS["segments"] * functional.softplus(others - own).mean()

    def seen(self, films: Tensor, hidden: Tensor, real: Tensor) -> Tensor:
        """films int64, hidden and real bool [rows × length] → states from both sides [rows × length × size]."""
        vectors = torch.where(hidden[:, :, None], self.mask, self.network.items(films))
        itself = torch.eye(films.shape[1], dtype=torch.bool, device=films.device)
        states: Tensor = self.network.encoder(vectors, (real[:, None, :] | itself)[:, None])
        return states

    def told(self, task: str, states: Tensor, films: Tensor) -> Tensor:
        """states [n × size] of films int64 [n] → the binary cross-entropy of all attributes, summed, a mean a film."""
        logits = self.maps[task](states) @ self.vectors.T
        wanted = self.attributes[films]
        return functional.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="sum") / max(1, len(films))


def drawn(real: Tensor, probability: float) -> Tensor:
    """real: bool [rows × length] → which to hide, of the same shape: each with the probability, at least one a row."""
    numbers = torch.rand(real.shape, device=real.device).masked_fill(~real, 1.0)
    return ((numbers < probability) | (numbers == numbers.amin(dim=1, keepdim=True))) & real


def segments(real: Tensor) -> Tensor:
    """real: bool [rows × length], True at the end of each row → a run of films of each row, of 1 to half of them."""
    lengths = real.sum(dim=1)
    start_and_length = torch.rand(2, len(real), device=real.device)
    size = 1 + (start_and_length[0] * (lengths // 2).clamp(min=1)).long()
    first = real.shape[1] - lengths + (start_and_length[1] * (lengths - size + 1)).long()
    columns = torch.arange(real.shape[1], device=real.device)
    return (columns >= first[:, None]) & (columns < (first + size)[:, None]) & real


def attributes_of(train: TrainingSet, minimum_films: int) -> sparse.csr_matrix:
    """Which film has which genre, director and writer: binary float32 [n_items × n_attributes], none without them."""
    features: ItemFeatures | None = train.features
    if features is None:
        return sparse.csr_matrix((train.n_items, 0), dtype=np.float32)
    known = [bag.shares(minimum_films) for bag in features.bags.values()]
    attributes = sparse.hstack(known, format="csr", dtype=np.float32)
    attributes.data[:] = 1.0
    return attributes
