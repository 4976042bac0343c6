"""GRU4Rec: a recurrent network reads a history film by film and ranks the next one.

Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based Recommendations with Recurrent Neural Networks" (ICLR 2016);
Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations" (CIKM 2018).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.sequence_network import SequenceNetwork
from recpipe.training.batches import sequence_batches
from recpipe.training.costs import learned, of_varying_size, ranking, windows_stream
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr, softmax_cross_entropy
from recpipe.training.negatives import popularity_weights
from recpipe.training.sampled_losses import bpr_max, top1, top1_max
from recpipe.training.settings import GradientNetworkRecipe


class Gru4rec(GradientNetworkRecipe):
    """Hidasi et al. 2016, 2018. h_t = GRU(e(film_t), h_(t-1)),  score(i) = h_t · e(i) + b_i,  target film_(t+1).

    Losses, a mean per target, never negative, with w the target's score and n those of others: `cross_entropy` over
    all films, or against `negatives` films drawn for a batch and shared by its targets: `bpr`, mean of -ln σ(w - n),
    and `bpr_max`, `top1`, `top1_max` as in `training.sampled_losses`.

    Departures: a row is a window of a user's history with a target at every film, in place of session-parallel batches
    (`gru4rec_session` has those), so the state starts at zero in each window; input and output share the films' vectors
    (2018: "constrained embedding"); negatives are drawn in proportion to popularity ** `alpha`, as the additional
    samples of 2018, and not taken from the batch's other targets, which alpha = 1 amounts to.

    embedding_size: of films and of the state. layers: of the GRU. dropout: of the films' vectors and of the states.
    """

    batch_size: int = Field(default=64, ge=1)
    embedding_size: int = Field(default=64, ge=1)
    layers: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    max_length: int = Field(default=50, ge=1)
    loss: Literal["cross_entropy", "bpr", "bpr_max", "top1", "top1_max"] = "cross_entropy"
    negatives: int = Field(default=512, ge=1)
    alpha: float = Field(default=0.5, ge=0.0)
    regularization: float = Field(default=1.0, ge=0.0)

    memory_hint: ClassVar[str] = (
        "set a smaller batch_size, embedding_size or max_length, or a loss that draws negatives"
    )

    def network(self, n_users: int, n_items: int) -> Gru4recNetwork:
        """Untrained; the number of users plays no part."""
        return Gru4recNetwork(n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> SequenceNetwork:
        """Each example is one window of `max_length` films; every film but a history's first is a target."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        network.popularity.copy_(torch.from_numpy(popularity_weights(train.interactions, self.alpha)))
        return learn(
            network,
            sequence_batches(train.interactions.histories(), self.max_length, self.batch_size),
            lambda learned: SequenceNetwork(learned, self.max_length, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step, three rows of scores a target, of
        all films or of those drawn, and for each position of a window the states and gates of all layers.
        """
        parameters, size = self.parameter_count(shape), self.embedding_size
        targets = shape.targets_a_window(self.max_length)
        scored = shape.n_items if self.loss == "cross_entropy" else self.negatives
        positions = self.batch_size * self.max_length
        scores = of_varying_size(FLOAT * self.batch_size * targets * scored)
        step = 3 * scores + FLOAT * size * (positions * (6 + 10 * self.layers) + 2 * shape.n_items)
        rows = shape.windows(self.max_length)
        seconds = rows * (targets * scored * (1.6e-10 * size + 8e-9) + self.max_length * self.layers * 3e-9 * size**2)
        seconds += rows / self.batch_size * 5e-9 * parameters
        return learned(parameters, step, ranking(shape, 2), windows_stream(shape, self.max_length), seconds)


class Gru4recNetwork(Learner):
    """items: [n_items + 1 × embedding_size], the last row the padding's. popularity: [n_items], to draw with."""

    popularity: Tensor

    def __init__(self, n_items: int, recipe: Gru4rec) -> None:
        super().__init__()
        self.recipe, self.n_items, size = recipe, n_items, recipe.embedding_size
        self.items = nn.Embedding(n_items + 1, size, padding_idx=n_items)
        nn.init.normal_(self.items.weight, std=size**-0.5)
        self.biases = nn.Parameter(torch.zeros(n_items))
        self.gru = nn.GRU(size, size, recipe.layers, batch_first=True)
        self.dropout = nn.Dropout(recipe.dropout)
        self.register_buffer("popularity", torch.ones(n_items))

    def states(self, films: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × embedding_size].

        The rows are moved to the left first, so that each starts from a state of zero, however much padding it has.
        Columns of padding repeat the row's first state: finite, and without a meaning.
        """
        length = films.shape[1]
        columns = torch.arange(length, device=films.device)
        padding = (films == self.n_items).sum(dim=1, keepdim=True)  # [rows × 1]
        to_the_left = films.gather(1, (columns + padding) % length)
        states, _ = self.gru(self.dropout(self.items(to_the_left)))
        back = (columns - padding).clamp(min=0)[:, :, None].expand(-1, -1, states.shape[2])
        moved_back: Tensor = self.dropout(states.gather(1, back))
        return moved_back

    def scores(self, films: Tensor) -> Tensor:
        """films int64 [rows × max_length] → [rows × n_items]."""
        return self.states(films)[:, -1] @ self.items.weight[:-1].T + self.biases

    def loss(self, films: Tensor, targets: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target. Padding costs no product."""
        wanted = targets != self.n_items
        targets = targets[wanted]  # [targets]
        states = self.states(films)[wanted]  # [targets × embedding_size]
        if self.recipe.loss == "cross_entropy":
            return softmax_cross_entropy(states @ self.items.weight[:-1].T + self.biases, targets, self.n_items)
        drawn = torch.multinomial(self.popularity, self.recipe.negatives, replacement=True)  # [negatives]
        watched = (states * self.items(targets)).sum(dim=1) + self.biases[targets]
        not_watched = states @ self.items(drawn).T + self.biases[drawn]  # [targets × negatives]
        if self.recipe.loss == "bpr_max":
            return bpr_max(watched, not_watched, self.recipe.regularization)
        return {"bpr": bpr, "top1": top1, "top1_max": top1_max}[self.recipe.loss](watched, not_watched)
