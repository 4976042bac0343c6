"""FISM: films that vote for films, their similarities factored (Kabbur, Ning and Karypis 2013)."""

from __future__ import annotations

from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import BLAS, FLOAT, RANKED, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.training.batches import user_batches
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.history_product import history_product
from recpipe.training.loop import Learner, learn, seeded
from recpipe.training.settings import GradientNetworkRecipe

Loss = Literal["squared", "pairwise"]


@final
class Fism(GradientNetworkRecipe):
    """Kabbur, Ning and Karypis, "FISM: Factored Item Similarity Models for Top-N Recommender Systems" (KDD 2013).

        s[u, i] = b[i] + |S|^−α Σ_{j ∈ S} p[j] · q[i],  S: the films that u watched, without i.

    A film never votes for itself, or each would learn to predict itself from its own presence. loss: "squared", the
    paper's FISMrmse, with a bias c[u] a user: the mean of (1 − c[u] − s[u, i])² over watched films i and
    (c[u] + s[u, j])² over films j not watched, `negatives` of them for each watched; or "pairwise", its FISMauc: the
    mean of (1 − s[u, i] + s[u, j])² over the pairs. Neither is ever negative.

    All of it is matrices: with a batch of users X [users × n_items] the sums are (X P) Qᵀ − X ⊙ diag(P Qᵀ), whose
    second part takes each film out of its own sum, so that a user's history is added up once and not once an event.

    Departures: the films not watched are not drawn but all taken, each weighed by how often it would be drawn on
    average, which is the same loss without the noise of a draw and, with a user's scores at hand, costs less. The
    pairwise loss is then a function of their mean and mean square, and `negatives` has no part in it. A film not
    watched is scored from the whole history in both losses, as it will be scored; the paper's FISMauc has it without i
    as well. AdamW, whose decoupled decay stands for the paper's penalties; biases do not decay. c shifts all scores of
    a user alike, so scores leave it out and newcomers are served.
    """

    embedding_size: int = Field(default=64, ge=1)
    batch_size: int = Field(default=64, ge=1)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    negatives: int = Field(default=4, ge=1)
    loss: Loss = "squared"

    def network(self, n_users: int, n_items: int) -> FismNetwork:
        """Untrained."""
        return FismNetwork(n_users, n_items, self)

    def fit(self, train: TrainingSet, run: Run) -> HistoryNetwork:
        """Each example is one user with a training event."""
        with seeded(run):
            network = self.network(train.n_users, train.n_items)
        return learn(
            network,
            user_batches(train.interactions, self.batch_size),
            lambda learned: HistoryNetwork(learned, train.n_items, train.n_users),
            self.schedule,
            run,
        )

    def cost(self, shape: Shape) -> Cost:
        """Two vectors a film; ten rows of all films a user in a step, eight in a block of scores; time grows with users
        × films."""
        parameters = self.parameter_count(shape)
        rows = min(self.batch_size, shape.n_users)
        step, scoring = (FLOAT * each * shape.n_items for each in (10 * rows, 8 * RANKED))
        seconds = shape.n_users * shape.n_items * (1e-8 + 2.5e-10 * self.embedding_size)
        seconds += shape.n_users / max(1, rows) * 3e-9 * parameters
        return learned(parameters, step, BLAS + scoring + ranking(shape), users_stream(shape), seconds)


class FismNetwork(Learner):
    """p and q [n_items × embedding], b [n_items] and, for the squared loss, c [n_users]; biases are zero at first."""

    def __init__(self, n_users: int, n_items: int, recipe: Fism) -> None:
        super().__init__()
        self.recipe = recipe
        self.item_biases = nn.Parameter(torch.zeros(n_items))
        self.user_biases = nn.Parameter(torch.zeros(n_users)) if recipe.loss == "squared" else None
        self.watched = nn.Parameter(torch.empty(n_items, recipe.embedding_size))
        self.scored = nn.Parameter(torch.empty(n_items, recipe.embedding_size))
        for table in (self.watched, self.scored):
            nn.init.normal_(table, std=0.1 / recipe.embedding_size**0.5)

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → s [rows × n_items]; b alone where there is nothing to vote."""
        of_itself = (self.watched * self.scored).sum(dim=1)
        votes = history_product(history, self.watched) @ self.scored.T - history * of_itself
        voters = history.sum(dim=1, keepdim=True) - history
        return self.item_biases + votes * voters.clamp(min=1.0) ** -self.recipe.alpha

    def votes(self, history: Tensor, films: Tensor) -> tuple[Tensor, Tensor]:
        """history [1 × n_items], binary; films int64 [asked], not watched → what each film of the history brings to
        their scores [asked × n_items], and the biases, which make up the rest [asked]."""
        scale = history.sum().clamp(min=1.0) ** -self.recipe.alpha
        return (self.scored[films] @ self.watched.T) * history * scale, self.item_biases[films]

    def loss(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users [rows] → a mean over the batch's watched films."""
        scores = self.scores(history).float()
        lengths = history.sum(dim=1, keepdim=True)
        others = (history.shape[1] - lengths).clamp(min=1.0)
        if self.user_biases is None:
            return pairwise(scores, history, others) / lengths.sum()
        scores = scores + self.user_biases[users, None]
        weights = torch.where(history > 0, 1.0, self.recipe.negatives * lengths / others)
        return (weights * (history - scores).square()).sum() / ((1 + self.recipe.negatives) * lengths.sum())


def pairwise(scores: Tensor, history: Tensor, others: Tensor) -> Tensor:
    """Σ over watched i of the mean over j not watched of (1 − s[i] + s[j])², by the mean and the mean square of s[j].

    scores, history: [rows × n_items]; others: [rows × 1], how many were not watched → 0-d.
    """
    not_watched = scores * (1.0 - history)
    mean, square = (powers.sum(dim=1, keepdim=True) / others for powers in (not_watched, not_watched.square()))
    missing = 1.0 - scores
    return (history * (missing.square() + 2.0 * missing * mean + square)).sum()
