"""What the models share that read a window of a history and rank the film after each of its films."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import BLAS, FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.sequence_network import SequenceNetwork
from recpipe.training.batches import sequence_batches
from recpipe.training.costs import learned, of_varying_size, pairs_seconds, ranking, softmax_bytes, windows_stream
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import softmax_over
from recpipe.training.sampled_losses import generalised_binary_cross_entropy, sampled_softmax
from recpipe.training.settings import GradientNetworkRecipe

EVERY, LATEST = slice(None), slice(-1, None)
"""Of a window's positions, those that are wanted: to learn from, and to score by."""


class WindowRecipe(GradientNetworkRecipe):
    """max_length: the latest films that are read. dropout: share of the numbers that are set to zero while learning."""

    batch_size: int = Field(default=64, ge=1)
    embedding_size: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    max_length: int = Field(default=50, ge=1)

    memory_hint: ClassVar[str] = (
        "set a smaller batch_size, embedding_size or max_length, or a loss that draws negatives"
    )

    @abstractmethod
    def network(self, n_users: int, n_items: int) -> WindowLearner:
        """Untrained."""

    def fit(self, train: TrainingSet, run: Run) -> SequenceNetwork:
        """Each example is one window of `max_length` films; every film but a history's first is a target."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        network.prepare(train)
        return self.taught(network, train, run)

    def taught(self, network: WindowLearner, train: TrainingSet, run: Run) -> SequenceNetwork:
        """The scorer of the network, once it has learned."""
        return learn(
            network,
            sequence_batches(train.interactions.histories(), self.max_length, self.batch_size, network.knows_users),
            lambda learned: SequenceNetwork(learned, self.max_length, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost_of_windows(
        self, shape: Shape, scored: int | None, position: float, seconds: float, share: float = 1.0
    ) -> Cost:
        """scored: films whose scores a target is compared with, None for all of them. position: numbers that a step
        keeps for one position of a window. seconds: CPU seconds of one position. share: of a window's targets that are
        found in one step.
        """
        parameters, size = self.parameter_count(shape), self.embedding_size
        rows, targets = shape.windows(self.max_length), share * shape.targets_a_window(self.max_length)
        scores = (
            softmax_bytes(self.batch_size * targets, shape.n_items, size)
            if scored is None
            else 3 * of_varying_size(FLOAT * self.batch_size * targets * scored)
        )
        step = scores + FLOAT * (self.batch_size * self.max_length * position + 2 * shape.n_items * size)
        pairs = rows * targets * (shape.n_items if scored is None else scored)
        time = (
            pairs_seconds(pairs, size) + rows * self.max_length * seconds + rows / self.batch_size * 5e-9 * parameters
        )
        return learned(parameters, step, BLAS + ranking(shape, 2), windows_stream(shape, self.max_length), time)


class NextFilmRecipe(WindowRecipe):
    """The losses that any state can be taught by, a mean per target, never negative, with w the target's score and n
    those of films drawn uniformly:

        cross_entropy         -ln softmax(scores)[target], over all films; no sampling
        sampled_softmax       -ln(e^w / (e^w + Σ e^n)), `negatives` films drawn for a batch and shared by its targets
        binary_cross_entropy  -ln σ(w) - ln(1 - σ(n)), one film drawn for each target; left out if it is in the window
        gbce                  -(β ln σ(w) + Σ ln(1 - σ(n))) / (negatives + 1), β from `calibration`; drawn for a batch
    """

    loss: Literal["cross_entropy", "sampled_softmax", "binary_cross_entropy", "gbce"] = "cross_entropy"
    negatives: int = Field(default=256, ge=1)
    calibration: float = Field(default=0.75, ge=0.0, le=1.0)

    @property
    def scored(self) -> int | None:
        """Films whose scores a target is compared with; None for all."""
        return {"cross_entropy": None, "binary_cross_entropy": 1}.get(self.loss, self.negatives)


class WindowLearner(Learner):
    """items: [n_items + 1 × size], the last row the padding's, zeros. Windows are padded on the left with `n_items`."""

    knows_users: ClassVar[bool] = False
    """Whether `states` is given the users too, int64 [rows], `n_users` for everybody unknown."""

    items: nn.Embedding

    @property
    def padding(self) -> int:
        """The number of the padding, `n_items`."""
        return self.items.num_embeddings - 1

    def vectors(self) -> Tensor:
        """What a state is multiplied with, film by film: [n_items × size]. The films' own vectors, as a rule."""
        return self.items.weight[:-1]

    def prepare(self, train: TrainingSet) -> None:
        """Called once before learning, for what a network takes from the data besides the batches."""

    @abstractmethod
    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → what ranks the film after each [rows × length × size]."""

    def last(self, films: Tensor, *users: Tensor) -> Tensor:
        """The last of `states` [rows × size], for scoring; where it can be had without the others a network says so."""
        return self.states(films, *users)[:, -1]

    def scores(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length] → [rows × n_items]."""
        return self.last(films, *users) @ self.vectors().T

    @abstractmethod
    def loss(self, films: Tensor, targets: Tensor, *users: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target."""

    def without_empty_columns(self, films: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both without the leading columns that are padding in every row."""
        longest = int(targets.ne(self.padding).sum(dim=1).max())
        return films[:, -longest:], targets[:, -longest:]


class StateLearner(WindowLearner):
    """Each target is taught by the state before it alone."""

    @abstractmethod
    def loss_at(self, states: Tensor, found: Tensor) -> Tensor:
        """states [targets × size], found int64 [targets], the films to be found → mean per target."""

    def loss(self, films: Tensor, targets: Tensor, *users: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target. Padding costs no product."""
        films, targets = self.without_empty_columns(films, targets)
        wanted = targets.ne(self.padding)
        return self.loss_at(self.states(films, *users)[wanted], targets[wanted])


class NextFilmLearner(StateLearner):
    """Learns by the losses of `NextFilmRecipe`; the score of a film is state · its vector of `vectors`."""

    def __init__(self, n_items: int, recipe: NextFilmRecipe) -> None:
        super().__init__()
        self.recipe, self.n_items = recipe, n_items
        self.items = film_vectors(n_items, recipe.embedding_size)

    def loss(self, films: Tensor, targets: Tensor, *users: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target."""
        if self.recipe.loss != "binary_cross_entropy":
            return super().loss(films, targets, *users)
        films, targets = self.without_empty_columns(films, targets)
        wanted = targets != self.n_items
        states = self.states(films, *users)[wanted]  # [targets × size]
        watched = self.pairwise(states, targets[wanted])
        drawn = torch.randint(self.n_items, targets.shape, device=targets.device)
        in_window = (drawn[:, :, None] == torch.cat((films, targets[:, -1:]), dim=1)[:, None, :]).any(dim=2)
        not_watched = self.pairwise(states, drawn[wanted]).masked_fill(in_window[wanted], -torch.inf)
        return (functional.softplus(-watched.float()) + functional.softplus(not_watched.float())).mean()

    def loss_at(self, states: Tensor, found: Tensor) -> Tensor:
        """By the recipe's loss, where it is no `binary_cross_entropy`."""
        if self.recipe.loss == "cross_entropy":
            return softmax_over(states, self.vectors(), found)
        watched = self.pairwise(states, found)
        drawn = torch.randint(self.n_items, (self.recipe.negatives,), device=found.device)
        others = states @ functional.embedding(drawn, self.vectors()).T
        not_watched = others.masked_fill(found[:, None] == drawn, -torch.inf)
        if self.recipe.loss == "gbce":
            return generalised_binary_cross_entropy(watched, not_watched, self.n_items, self.recipe.calibration)
        return sampled_softmax(watched, not_watched)

    def pairwise(self, states: Tensor, films: Tensor) -> Tensor:
        """states [targets × size], films int64 [targets] → the score of each one's film [targets]."""
        return (states * functional.embedding(films, self.vectors())).sum(dim=1)


def film_vectors(n_items: int, size: int, deviation: float = 0.02) -> nn.Embedding:
    """A vector a film, N(0, deviation²), and one of zeros for padding: [n_items + 1 × size]."""
    items = nn.Embedding(n_items + 1, size, padding_idx=n_items)
    with torch.no_grad():
        nn.init.normal_(items.weight, std=deviation)[-1] = 0.0
    return items


def zeros_without_a_window(users: nn.Embedding, train: TrainingSet) -> None:
    """users: a vector a user and one more. Zeros for whom training asks nothing: a single film is followed by none.

    No gradient reaches them, nor does weight decay change them: they stay zeros, and what such a vector began with
    never counts.
    """
    silent = torch.from_numpy(train.interactions.histories().lengths < 2)
    with torch.no_grad():
        users.weight[: len(silent)][silent] = 0.0


def from_the_first_film(films: Tensor, padding: int, read: Callable[[Tensor], Tensor]) -> Tensor:
    """What `read` makes of rows moved to the left, moved back: [rows × length × size].

    Each row is then read from its first film on, however much padding it has. films: int64 [rows × length], padded on
    the left. Columns of padding repeat the row's first state: finite, and without a meaning.
    """
    length = films.shape[1]
    columns = torch.arange(length, device=films.device)
    empty = (films == padding).sum(dim=1, keepdim=True)  # [rows × 1]
    states = read(films.gather(1, (columns + empty) % length))
    back = (columns - empty).clamp(min=0)[:, :, None].expand(-1, -1, states.shape[2])
    return states.gather(1, back)


def earlier_and_real(real: Tensor) -> Tensor:
    """real: bool [rows × length], False at padding → bool [rows × length (who looks) × length (at whom)].

    At what is real and not later; everyone at itself, so that padding too looks at something and no softmax is empty.
    """
    length = real.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=real.device)
    return earlier & real[:, None, :] | itself


def shifted(states: Tensor, by: int) -> Tensor:
    """states [rows × length × size] → those of `by` positions earlier, zeros before the first: the same shape."""
    return functional.pad(states, (0, 0, by, 0))[:, : states.shape[1]]


def convolved(states: Tensor, weights: Tensor, dilation: int = 1) -> Tensor:
    """A causal convolution: the sum over k of weights[k] · the state of (kernel - 1 - k) · dilation positions earlier.

    states [rows × length × before], weights [kernel × before × after] → [rows × length × after], one matrix product.
    """
    kernel = len(weights)
    earlier = [shifted(states, (kernel - 1 - place) * dilation) for place in range(kernel)]
    return torch.cat(earlier, dim=2) @ weights.flatten(0, 1)
