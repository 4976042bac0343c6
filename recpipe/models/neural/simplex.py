"""SimpleX: a user's own vector and the history's, compared by cosine, against many films not watched.

Mao, Zhu, Wang, Dai, Dong, Xiao and He, "SimpleX: A Simple and Strong Baseline for Collaborative Filtering" (CIKM 2021).
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, LONG, Cost, Shape
from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.training.batches import Batch, Streams
from recpipe.training.batches import Stream as BatchStream
from recpipe.training.costs import Stream, learned, ranking
from recpipe.training.dropout import Dropout
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientNetworkRecipe
from recpipe.training.watched import Watched


@final
class Simplex(GradientNetworkRecipe):
    """s[u, i] = cos(z[u], q[i]) + b[i],  z[u] = g p[u] + (1 - g) V Σ_(j in H) a[u, j] q[j],  H the films u watched:

        loss = max(0, 1 - s[u, i]) + w · mean over N of max(0, s[u, j] - m),  a mean per event (u, i), never negative.

    own_share: g. pooling: "mean", a = 1 / |H|, or "attention", a = softmax over H of p[u] · tanh(K q[j] + k).
    margin: m, below which a film not watched is left alone. negative_weight: w. negatives: the size of N. biases: b,
    which the paper lacks (there it is 0) and the authors' settings for MovieLens 1M have: a cosine alone has no room
    for how popular a film is.

    While learning, H is without the film i that is to be found, as in the data that the authors prepare for Yelp and
    Amazon; with it, V would learn to copy. It is taken out of the sum over H, which is formed once a user and batch.
    Scored is with the latest history, so that films watched since training count. For people whom training has not
    seen g is 0, and without any history they score b.

    Departures: N is drawn once a batch, without replacement, for all of its events, and what a user has watched is left
    out of that user's mean: one product of matrices where the authors look up rows × negatives vectors. AdamW, whose
    decoupled decay stands for their L2 penalty. Dropout is of z before it is normalised, so that cosines stay cosines;
    theirs comes after. Their biases of users, which change no ranking, and their third pooling, self-attention, are
    left out.
    """

    embedding_size: int = Field(default=64, ge=1)
    negatives: int = Field(default=200, ge=1)
    negative_weight: float = Field(default=10.0, gt=0.0)
    margin: float = Field(default=0.4, ge=-1.0, le=1.0)
    own_share: float = Field(default=0.5, ge=0.0, le=1.0)
    pooling: Literal["mean", "attention"] = "mean"
    biases: bool = False
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)

    def network(self, n_users: int, n_items: int) -> SimplexNetwork:
        """Untrained."""
        return SimplexNetwork(n_users, n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> HistoryNetwork:
        """Each example is one event."""
        with seeded(run):
            learner = SimplexLearner(self.network(train.n_users, train.n_items), train.interactions, self)
        batches = events_and_others(train.interactions, self.batch_size, self.negatives)
        return learn(
            learner, batches, lambda fitted: HistoryNetwork(fitted.network, train.n_items, train.n_users),
            self.schedule, run,
        )  # fmt: skip

    def cost(self, shape: Shape) -> Cost:
        """A vector a user and a film; in a step, six numbers for each pair of an event and a negative, twelve vectors
        an event, and a few numbers for each film that a user of the batch watched; with attention, four vectors."""
        parameters = self.parameter_count(shape)
        negatives = min(self.negatives, shape.n_items)
        users = min(self.batch_size, shape.n_users)
        pairs = users * shape.n_events / max(1, shape.n_users)
        of_pair = 4 * LONG + (4 * FLOAT * self.embedding_size if self.pooling == "attention" else 0)
        step = FLOAT * self.batch_size * (6 * negatives + 12 * self.embedding_size) + of_pair * pairs
        steps = shape.n_events / self.batch_size
        seconds = shape.n_events * negatives * (3e-10 * self.embedding_size + 5e-9)
        seconds += steps * (pairs * 2e-9 * self.embedding_size + 4e-9 * parameters)
        stream = Stream(2 * LONG * shape.n_events, 5 * LONG * shape.n_events)
        return learned(parameters, step, BLAS + ranking(shape, 5), stream, seconds)


class SimplexNetwork(nn.Module):
    """p [n_users × size], q [n_items × size], V [size × size], for attention K [size × size] and k [size], and b
    [n_items] where it is wanted.
    """

    knows_users: ClassVar[bool] = True

    def __init__(self, n_users: int, n_items: int, recipe: Simplex) -> None:
        super().__init__()
        size = recipe.embedding_size
        self.own_share = recipe.own_share
        self.users, self.items = nn.Embedding(n_users, size), nn.Embedding(n_items, size)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1 / size**0.5)
        self.biases = nn.Parameter(torch.zeros(n_items)) if recipe.biases else None
        self.value = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size) if recipe.pooling == "attention" else None

    def keys(self) -> Tensor | None:
        """tanh(K q + k) of all films, [n_items × size], where there is attention."""
        return None if self.key is None else torch.tanh(self.key(self.items.weight))

    def scores(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users int64 [rows], -1 for newcomers → s [rows × n_items]."""
        own, weights = self._parts(history, users)
        vectors = own + self.value(weights @ self.items.weight)
        cosines = functional.normalize(vectors) @ functional.normalize(self.items.weight).T
        return cosines if self.biases is None else cosines + self.biases

    def votes(self, history: Tensor, films: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
        """history [1 × n_items], binary; films int64 [asked]; users int64 [1] → what each film of the history brings to
        their scores [asked × n_items], and what the user's own vector and the biases bring [asked].

        A cosine is a sum over the parts of a vector once its length is known.
        """
        own, weights = self._parts(history, users)
        length = (own + self.value(weights @ self.items.weight)).norm().clamp(min=1e-12)
        asked = functional.normalize(self.items.weight[films]) / length
        biases = 0.0 if self.biases is None else self.biases[films]
        return (asked @ self.value(self.items.weight).T) * weights, (asked @ own.T)[:, 0] + biases

    def _parts(self, history: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
        """Of the users' vectors the own part [rows × size], and the films' weights in the other [rows × n_items]."""
        known = (users >= 0).float()[:, None]
        own, weights, keys = self.users(users.clamp(min=0)) * known, history, self.keys()
        if keys is not None:
            logits = (own @ keys.T).masked_fill(history == 0, -torch.inf)
            weights = torch.softmax(logits, dim=1).nan_to_num()  # nothing watched: no weights
        share = self.own_share * known
        return share * own, (1 - share) * weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)


class SimplexLearner(Learner):
    """The network and the histories that it learns from."""

    def __init__(self, network: SimplexNetwork, interactions: Interactions, recipe: Simplex) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.dropout = Dropout(recipe.dropout)
        self.watched = Watched(interactions)

    def loss(self, users: Tensor, films: Tensor, others: Tensor) -> Tensor:
        """users, films int64 [rows]: events; others int64 [1 × negatives], of all rows → mean per row."""
        distinct, rows = users.unique(return_inverse=True)
        vectors = functional.normalize(self.dropout(self._vectors(distinct, rows, films)))
        found = (vectors * functional.normalize(self.network.items(films))).sum(dim=1).float()
        scores = (vectors @ functional.normalize(self.network.items(others[0])).T).float()
        if self.network.biases is not None:
            found, scores = found + self.network.biases[films], scores + self.network.biases[others[0]]
        counts = ~self._seen(distinct, others[0])[rows]
        excess = functional.relu(scores - self.recipe.margin) * counts
        means = excess.sum(dim=1) / counts.sum(dim=1).clamp(min=1)
        return (functional.relu(1 - found) + self.recipe.negative_weight * means).mean()

    def _vectors(self, distinct: Tensor, rows: Tensor, films: Tensor) -> Tensor:
        """z of the events, [rows × size], without the film that is to be found. rows: places in `distinct`."""
        own, share = self.network.users(distinct), self.recipe.own_share
        return share * own[rows] + (1 - share) * self.network.value(self._pooled(own, distinct, rows, films))

    def _pooled(self, own: Tensor, distinct: Tensor, rows: Tensor, films: Tensor) -> Tensor:
        """Σ a q over what each row's user watched, without the row's film: [rows × size], zeros where that is all."""
        keys = self.network.keys()
        if keys is not None:
            return self._attended(own, keys, distinct, rows, films)
        _, watched = self.watched.pairs(distinct)
        lengths, items = self.watched.lengths(distinct), self.network.items
        sums = functional.embedding_bag(watched, items.weight, lengths.cumsum(dim=0) - lengths, mode="sum")
        return (sums[rows] - items(films)) / (lengths[rows] - 1).clamp(min=1)[:, None]

    def _attended(self, own: Tensor, keys: Tensor, distinct: Tensor, rows: Tensor, films: Tensor) -> Tensor:
        """As `_pooled`, with attention: own [distinct × size], keys [n_items × size].

        The film of a user's largest weight stays out of the sums, which have the scale of the second largest: where the
        largest is nearly all of a sum, taking it out again would leave nothing but rounding.
        """
        owners, watched = self.watched.pairs(distinct)
        lengths, items = self.watched.lengths(distinct), self.network.items
        starts, places = lengths.cumsum(dim=0) - lengths, torch.arange(len(watched), device=watched.device)
        logits = (own[owners] * keys[watched]).sum(dim=1).float()
        largest = _largest(logits, owners, len(own))
        first = starts.scatter_reduce(0, owners, torch.where(logits == largest[owners], places, 0), "amax")
        others = logits.index_fill(0, first, -torch.inf)
        second = torch.where(lengths > 1, _largest(others, owners, len(own)), largest)
        weights = (others - second[owners]).exp()
        sums = functional.embedding_bag(watched, items.weight, starts, mode="sum", per_sample_weights=weights)
        totals = torch.zeros_like(largest).index_add(0, owners, weights)
        of_first, scale = (logits[first] - largest).exp(), (second - largest).exp()
        of_films = ((own[rows] * keys[films]).sum(dim=1).float() - largest[rows]).exp()
        whole = of_first[:, None] * items(watched[first]) + scale[:, None] * sums
        is_first = watched[first][rows] == films
        left = torch.where(is_first, totals[rows], (of_first + scale * totals)[rows] - of_films)
        pooled = torch.where(is_first[:, None], sums[rows], whole[rows] - of_films[:, None] * items(films))
        return pooled / torch.where(lengths[rows] > 1, left, 1.0)[:, None]

    def _seen(self, distinct: Tensor, others: Tensor) -> Tensor:
        """Whether each user watched each of `others`, bool [distinct × negatives]."""
        owners, watched = self.watched.pairs(distinct)
        columns = torch.full((self.network.items.num_embeddings,), -1, device=others.device)
        columns[others] = torch.arange(len(others), device=others.device)
        drawn = columns[watched]
        seen = torch.zeros(len(distinct), len(others), dtype=torch.bool, device=others.device)
        seen[owners[drawn >= 0], drawn[drawn >= 0]] = True
        return seen


def events_and_others(interactions: Interactions, batch_size: int, negatives: int) -> Streams:
    """(users int64 [rows], films int64 [rows], others int64 [1 × negatives]): events, and films for all of them, each
    once, of all films uniformly; fewer where there are fewer films."""
    size = min(negatives, interactions.n_items)

    def epoch(numbers: np.random.Generator) -> BatchStream:
        def batch(rows: LongArray) -> Batch:
            users, films = (column[rows].astype(np.int64) for column in (interactions.users, interactions.items))
            others = numbers.choice(interactions.n_items, size, replace=False)[None].astype(np.int64)
            return torch.from_numpy(users), torch.from_numpy(films), torch.from_numpy(others)

        return BatchStream(numbers.permutation(len(interactions)), batch_size, batch)

    return epoch


def _largest(values: Tensor, owners: Tensor, n_owners: int) -> Tensor:
    """Of each owner's values the largest, without a gradient; values and owners [pairs] → [n_owners]."""
    return values.new_full((n_owners,), -torch.inf).scatter_reduce(0, owners, values.detach(), "amax")
