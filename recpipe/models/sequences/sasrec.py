"""SASRec: causal self-attention over the latest films ranks the next one.

Kang and McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018); the loss gBCE: Petrov and Macdonald, "gSASRec:
Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling" (RecSys 2023).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.sequence_network import SequenceNetwork
from recpipe.training.batches import sequence_batches
from recpipe.training.costs import learned, of_varying_size, ranking, windows_stream
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.losses import softmax_cross_entropy
from recpipe.training.sampled_losses import generalised_binary_cross_entropy, sampled_softmax
from recpipe.training.settings import GradientNetworkRecipe


class Sasrec(GradientNetworkRecipe):
    """Kang and McAuley 2018. x = e(film) √d + p(position), then `layers` blocks, then score(i) = LayerNorm(x_t) · e(i):

        x ← x + dropout(Attention(LayerNorm(x))),  x ← x + dropout(W₂ relu(W₁ LayerNorm(x))).

    A film attends to itself and to what came before it. The target at t is film_(t+1). Losses, a mean per target, never
    negative, with w the target's score and n those of films drawn uniformly:

        cross_entropy         -ln softmax(scores)[target], over all films; no sampling
        sampled_softmax       -ln(e^w / (e^w + Σ e^n)), `negatives` films drawn for a batch and shared by its targets
        binary_cross_entropy  -ln σ(w) - ln(1 - σ(n)), one film drawn for each target: the paper's
        gbce                  -(β ln σ(w) + Σ ln(1 - σ(n))) / (negatives + 1), β from `calibration`; drawn as above

    Departures: training reads every window of a history, where the paper keeps the latest one; no dropout inside the
    attention; a drawn film that is the target (paper's loss: that is in the window) is left out instead of drawn again.
    """

    batch_size: int = Field(default=64, ge=1)
    embedding_size: int = Field(default=64, ge=1)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    max_length: int = Field(default=50, ge=1)
    loss: Literal["cross_entropy", "sampled_softmax", "binary_cross_entropy", "gbce"] = "cross_entropy"
    negatives: int = Field(default=256, ge=1)
    calibration: float = Field(default=0.75, ge=0.0, le=1.0)

    memory_hint: ClassVar[str] = (
        "set a smaller batch_size, embedding_size or max_length, or a loss that draws negatives"
    )

    def network(self, n_users: int, n_items: int) -> SasrecNetwork:
        """Untrained; the number of users plays no part."""
        return SasrecNetwork(n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> SequenceNetwork:
        """Each example is one window of `max_length` films; every film but a history's first is a target."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        return learn(
            network,
            sequence_batches(train.interactions.histories(), self.max_length, self.batch_size),
            lambda learned: SequenceNetwork(learned, self.max_length, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step, three rows of scores a target, of
        all films or of those drawn, and for each position of a window twenty vectors a block and its attention weights.
        """
        parameters, size = self.parameter_count(shape), self.embedding_size
        targets = shape.targets_a_window(self.max_length)
        scored = {"cross_entropy": shape.n_items, "binary_cross_entropy": self.max_length}.get(
            self.loss, self.negatives
        )
        positions = self.batch_size * self.max_length
        scores = of_varying_size(FLOAT * self.batch_size * targets * scored)
        block = positions * (20 * size + 3 * self.heads * self.max_length)
        step = 3 * scores + FLOAT * (self.layers * block + 2 * shape.n_items * size)
        rows = shape.windows(self.max_length)
        seconds = rows * (targets * scored * (1.1e-10 * size + 6e-9) + self.max_length * self.layers * 2e-9 * size**2)
        seconds += rows / self.batch_size * 5e-9 * parameters
        return learned(parameters, step, ranking(shape, 2), windows_stream(shape, self.max_length), seconds)


class SasrecNetwork(Learner):
    """items: [n_items + 1 × size], the last row padding. positions: [max_length × size], the newest film's last."""

    def __init__(self, n_items: int, recipe: Sasrec) -> None:
        super().__init__()
        self.recipe, self.n_items, size = recipe, n_items, recipe.embedding_size
        self.items = nn.Embedding(n_items + 1, size, padding_idx=n_items)
        self.positions = nn.Parameter(torch.empty(recipe.max_length, size))
        for table in (self.items.weight, self.positions):
            nn.init.normal_(table, std=0.02)
        self.blocks = nn.ModuleList(Block(size, recipe.heads, recipe.dropout) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(recipe.dropout)

    def states(self, films: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size].

        length: at most max_length; the newest film has the last position whatever the length.
        """
        length = films.shape[1]
        states = self.dropout(self.items(films) * self.recipe.embedding_size**0.5 + self.positions[-length:])
        allowed = may_attend(films != self.n_items)
        for block in self.blocks:
            states = block(states, allowed)
        normal: Tensor = self.norm(states)
        return normal

    def scores(self, films: Tensor) -> Tensor:
        """films int64 [rows × max_length] → [rows × n_items]."""
        return self.states(films)[:, -1] @ self.items.weight[:-1].T

    def loss(self, films: Tensor, targets: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target. Padding costs no product."""
        longest = int((targets != self.n_items).sum(dim=1).max())
        films, targets = films[:, -longest:], targets[:, -longest:]
        wanted = targets != self.n_items
        states = self.states(films)[wanted]  # [targets × size]
        found = targets[wanted]  # [targets]
        if self.recipe.loss == "cross_entropy":
            return softmax_cross_entropy(states @ self.items.weight[:-1].T, found, self.n_items)
        watched = (states * self.items(found)).sum(dim=1)
        if self.recipe.loss == "binary_cross_entropy":
            drawn = torch.randint(self.n_items, targets.shape, device=targets.device)
            in_window = (drawn[:, :, None] == torch.cat((films[:, :1], targets), dim=1)[:, None, :]).any(dim=2)
            not_watched = (states * self.items(drawn[wanted])).sum(dim=1).masked_fill(in_window[wanted], -torch.inf)
            return (functional.softplus(-watched.float()) + functional.softplus(not_watched.float())).mean()
        drawn = torch.randint(self.n_items, (self.recipe.negatives,), device=targets.device)
        not_watched = (states @ self.items(drawn).T).masked_fill(found[:, None] == drawn, -torch.inf)
        if self.recipe.loss == "gbce":
            return generalised_binary_cross_entropy(watched, not_watched, self.n_items, self.recipe.calibration)
        return sampled_softmax(watched, not_watched)


class Block(nn.Module):
    """Attention, then two linear maps at each position, both added to what came in."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(
                f"sasrec: embedding_size {size} is not a multiple of heads {heads}; choose another of the two"
            )
        self.heads = heads
        self.norms = nn.ModuleList((nn.LayerNorm(size), nn.LayerNorm(size)))
        self.attention_in, self.attention_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed_forward = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, allowed: Tensor) -> Tensor:
        """states [rows × length × size], allowed [rows × 1 × length × length] → states of the same shape."""
        states = states + self.dropout(self._attended(self.norms[0](states), allowed))
        changed: Tensor = states + self.dropout(self.feed_forward(self.norms[1](states)))
        return changed

    def _attended(self, states: Tensor, allowed: Tensor) -> Tensor:
        rows, length, size = states.shape
        parts = self.attention_in(states).view(rows, length, 3, self.heads, size // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [rows × heads × length × size / heads]
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        joined: Tensor = self.attention_out(attended.transpose(1, 2).reshape(rows, length, size))
        return joined


def may_attend(real: Tensor) -> Tensor:
    """real: bool [rows × length], False at padding → bool [rows × 1 × length (who looks) × length (at whom)].

    To what is real and not later; everyone to itself, so that padding too looks at something and no softmax is empty.
    """
    length = real.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=real.device)
    return (earlier & real[:, None, :] | itself)[:, None]
