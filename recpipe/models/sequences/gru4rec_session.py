"""GRU4Rec as its papers train it: sessions side by side, one film of each at a time, the state going on to the next.

Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based Recommendations with Recurrent Neural Networks" (ICLR 2016);
Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations" (CIKM 2018).
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.sequence_network import SequenceNetwork
from recpipe.training.costs import Stream, learned, of_varying_size, pairs_seconds, ranking, softmax_bytes
from recpipe.training.dropout import Dropout
from recpipe.training.lanes import lane_batches
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import bpr, softmax_over
from recpipe.training.negatives import popularity_weights
from recpipe.training.sampled_losses import bpr_max, top1, top1_max
from recpipe.training.settings import GradientNetworkRecipe


@final
class Gru4recSession(GradientNetworkRecipe):
    """Hidasi et al. 2016, 2018. A session is a user's history. With x what a film brings to the gates,

        r = σ(x_r + U_r h + c_r),  z = σ(x_z + U_z h + c_z),  n = tanh(x_n + r (U_n h + c_n)),  h ← (1 - z) n + z h,
        score(i) = h · e(i) + b_i,  target the session's next film.

    `batch_size` sessions are walked through side by side (`training.lanes`). `truncation` films of each are one step of
    the optimiser: the state goes on from step to step, the gradient ends with the step, and where a session begins,
    within a step too, the state is zero. The papers have a truncation of 1.

    inputs: x is W e(film) + d with the vector that also scores the film (`shared`; 2018: "constrained embedding"), or a
    row of weights of the film's own, + d (`one_hot`, as in 2016).

    Losses, a mean per target, never negative, with w the target's score and n those of others: `cross_entropy` over
    all films, or against the step's other targets and `negatives` films drawn for the step in proportion to
    popularity ** `alpha` (2018): `bpr`, mean of -ln σ(w - n), and `bpr_max`, `top1`, `top1_max` as in
    `training.sampled_losses`. The other targets may hold the same film once more, as in the papers.

    Departures: one layer, which is what 2016 found best; with a truncation above 1 the other targets are those of all
    its films, a session's own too; scores are not bent by a final activation; dropout is of what enters the gates (of
    whole films for `one_hot`) and of the states that score, not of the state that goes on; AdamW for Adagrad; lanes
    that find no session run empty to the end of the epoch in place of dropping what is left, and long sessions begin
    early (see `lane_batches`); scores are those of the latest `max_length` films, read from a state of zero, so a
    session no longer than that is read whole.

    embedding_size: of films and of the state.
    """

    batch_size: int = Field(default=64, ge=1)
    embedding_size: int = Field(default=64, ge=1)
    inputs: Literal["shared", "one_hot"] = "shared"
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    max_length: int = Field(default=100, ge=1)
    truncation: int = Field(default=1, ge=1)
    loss: Literal["cross_entropy", "bpr", "bpr_max", "top1", "top1_max"] = "cross_entropy"
    negatives: int = Field(default=512, ge=1)
    alpha: float = Field(default=0.5, ge=0.0)
    regularization: float = Field(default=1.0, ge=0.0)

    memory_hint: ClassVar[str] = "set a smaller batch_size, truncation or embedding_size"

    def network(self, n_users: int, n_items: int) -> Gru4recSessionNetwork:
        """Untrained; there are never more lanes than users."""
        return Gru4recSessionNetwork(n_users, n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> SequenceNetwork:
        """Every film of a history but its first is a target exactly once an epoch."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        network.popularity.copy_(torch.from_numpy(popularity_weights(train.interactions, self.alpha)))
        return learn(
            network,
            lane_batches(train.interactions.histories(), self.batch_size, self.truncation),
            lambda learned: SequenceNetwork(learned, self.max_length, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost(self, shape: Shape) -> Cost:
        """Weights and twice more as gradients of vectors; in a step the scores that a target is compared with, and for
        each of its films the states and gates; of the lanes one int64 a film, and a flag. Time: all of an epoch's
        scores, and a pass of the optimiser over the weights for each step.
        """
        parameters, size = self.parameter_count(shape), self.embedding_size
        lanes, targets = min(self.batch_size, max(1, shape.n_users)), max(0, shape.n_events - shape.n_users)
        rows = lanes * self.truncation
        compared = rows + self.negatives
        if self.loss == "cross_entropy":
            compared, scores = shape.n_items, softmax_bytes(rows, shape.n_items, size)
        else:
            scores = 6 * of_varying_size(FLOAT * rows * compared)
        step = scores + FLOAT * (24 * rows * size + 2 * lanes * size + parameters)
        stream = Stream((LONG + 1) * shape.n_events, (4 * LONG + 1) * shape.n_events)
        seconds = pairs_seconds(targets * compared, size) + targets * 3e-9 * size**2
        seconds += targets / rows * (5e-9 * parameters + 2e-4 * self.truncation)
        return learned(parameters, step, ranking(shape, 2), stream, seconds)


@final
class Gru4recSessionNetwork(Learner):
    """items: [n_items × size]. biases: [n_items]. entering: [3 size × size], or [n_items × 3 size] for `one_hot`.

    recurrent: [3 size × size]. The gates' rows and columns are those of r, z and n, in this order.
    popularity: [n_items], to draw with. carried: [2 × lanes × size], the state of each lane; a step reads the one of
    its turn and writes the other, so that a step that did not fit into memory, and is taken again in parts, reads what
    it read before. It is not kept with the weights: every lane begins an epoch with a session.
    """

    popularity: Tensor
    carried: Tensor

    def __init__(self, n_users: int, n_items: int, recipe: Gru4recSession) -> None:
        super().__init__()
        self.recipe, self.n_items, size = recipe, n_items, recipe.embedding_size
        bound = size**-0.5
        self.items = nn.Parameter(torch.empty(n_items, size).normal_(std=bound))
        self.biases = nn.Parameter(torch.zeros(n_items))
        shape = (3 * size, size) if recipe.inputs == "shared" else (n_items, 3 * size)
        self.entering = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.recurrent = nn.Parameter(torch.empty(3 * size, size).uniform_(-bound, bound))
        self.entering_bias, self.recurrent_bias = (nn.Parameter(torch.zeros(3 * size)) for _ in range(2))
        self.dropout = Dropout(recipe.dropout)
        self.register_buffer("popularity", torch.ones(n_items))
        carried = torch.zeros(2, min(recipe.batch_size, n_users), size)
        self.register_buffer("carried", carried, persistent=False)

    def scores(self, films: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left with `n_items` → [rows × n_items]."""
        nowhere, zero = torch.zeros_like(films, dtype=torch.bool), self.items.new_zeros(len(films), self.items.shape[1])
        return functional.linear(self.states(films, nowhere, zero)[:, -1], self.items, self.biases)

    def states(self, films: Tensor, begins: Tensor, state: Tensor) -> Tensor:
        """The state after each film [rows × length × size], zero after none and before a session's first.

        films: int64 [rows × length], `n_items` where there is none. begins: bool likewise. state: [rows × size].
        """
        there, kept = (films != self.n_items).float()[..., None], (~begins).float()[..., None]
        columns = zip(*(each.unbind(1) for each in (self.entered(films), kept, there)), strict=True)
        states = []
        for entered, is_kept, is_there in columns:
            state = self.after(entered, state * is_kept) * is_there
            states.append(state)
        return torch.stack(states, dim=1)

    def entered(self, films: Tensor) -> Tensor:
        """What films bring to the gates: [rows × length × 3 size]; of no meaning where there is none."""
        films = films.clamp(max=self.n_items - 1)
        if self.recipe.inputs == "shared":
            vectors = self.dropout(functional.embedding(films, self.items))
            return functional.linear(vectors, self.entering, self.entering_bias)
        left = self.dropout(torch.ones_like(films, dtype=torch.float32))[..., None]
        return functional.embedding(films, self.entering) * left + self.entering_bias

    def after(self, entered: Tensor, state: Tensor) -> Tensor:
        """One film further: [rows × 3 size], [rows × size] → [rows × size]."""
        size = state.shape[1]
        looked_back = functional.linear(state, self.recurrent, self.recurrent_bias)
        gates = torch.sigmoid(entered[:, : 2 * size] + looked_back[:, : 2 * size])
        fresh = torch.tanh(entered[:, 2 * size :] + gates[:, :size] * looked_back[:, 2 * size :])
        return fresh + gates[:, size:] * (state - fresh)

    def loss(
        self, films: Tensor, targets: Tensor, begins: Tensor, lanes: Tensor, all_targets: Tensor, turn: Tensor
    ) -> Tensor:
        """A batch of `lane_batches` → mean per target."""
        states = self.states(films, begins, self.carried[turn, lanes])
        self.carried[1 - turn, lanes] = states[:, -1].detach()
        wanted = targets != self.n_items
        states, found = self.dropout(states[wanted]), targets[wanted]
        if self.recipe.loss == "cross_entropy":
            return softmax_over(states, self.items, found, biases=self.biases)
        watched = (states * self.items[found]).sum(dim=1) + self.biases[found]
        real = all_targets[0] != self.n_items
        own = (real.flatten().cumsum(0) - 1).view(real.shape)[lanes][wanted]
        drawn = torch.multinomial(self.popularity, self.recipe.negatives, replacement=True)
        others = torch.cat((all_targets[0][real], drawn))
        compared = functional.linear(states, self.items[others], self.biases[others])  # [targets × others, its own too]
        is_other = torch.arange(len(others), device=own.device) != own[:, None]
        not_watched = compared[is_other].view(len(compared), -1)
        if self.recipe.loss == "bpr_max":
            return bpr_max(watched, not_watched, self.recipe.regularization)
        return {"bpr": bpr, "top1": top1, "top1_max": top1_max}[self.recipe.loss](watched, not_watched)
