"""GRU4Rec: a recurrent network reads a history film by film and ranks the next one.

Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based Recommendations with Recurrent Neural Networks" (ICLR 2016);
Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations" (CIKM 2018).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.training.dropout import Dropout
from recpipe.training.losses import bpr, softmax_over
from recpipe.training.negatives import popularity_weights
from recpipe.training.recurrence import recurrent
from recpipe.training.sampled_losses import bpr_max, top1, top1_max
from recpipe.training.windows import StateLearner, WindowRecipe, film_vectors, from_the_first_film


class Gru4rec(WindowRecipe):
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

    layers: int = Field(default=1, ge=1)
    loss: Literal["cross_entropy", "bpr", "bpr_max", "top1", "top1_max"] = "cross_entropy"
    negatives: int = Field(default=512, ge=1)
    alpha: float = Field(default=0.5, ge=0.0)
    regularization: float = Field(default=1.0, ge=0.0)

    def network(self, n_users: int, n_items: int) -> Gru4recNetwork:
        """Untrained; the number of users plays no part."""
        return Gru4recNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window the states and gates of all layers.
        """
        size, scored = self.embedding_size, None if self.loss == "cross_entropy" else self.negatives
        return self.cost_of_windows(shape, scored, size * (6 + 10 * self.layers), self.layers * 3e-9 * size**2)


class Gru4recNetwork(StateLearner):
    """biases: [n_items]. popularity: [n_items], to draw with."""

    popularity: Tensor

    def __init__(self, n_items: int, recipe: Gru4rec) -> None:
        super().__init__()
        self.recipe, self.n_items, size = recipe, n_items, recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.biases = nn.Parameter(torch.zeros(n_items))
        self.gru = nn.GRU(size, size, recipe.layers, batch_first=True)
        self.dropout = Dropout(recipe.dropout)
        self.register_buffer("popularity", torch.ones(n_items))

    def prepare(self, train: TrainingSet) -> None:
        """Popularity ** alpha."""
        self.popularity.copy_(torch.from_numpy(popularity_weights(train.interactions, self.recipe.alpha)))

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size]."""
        states = from_the_first_film(
            films, self.n_items, lambda moved: recurrent(self.gru, self.dropout(self.items(moved)))
        )
        dropped: Tensor = self.dropout(states)
        return dropped

    def scores(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length] → [rows × n_items]."""
        return super().scores(films) + self.biases

    def loss_at(self, states: Tensor, found: Tensor) -> Tensor:
        """states [targets × size], found int64 [targets] → mean per target."""
        if self.recipe.loss == "cross_entropy":
            return softmax_over(states, self.items.weight[:-1], found, biases=self.biases)
        drawn = torch.multinomial(self.popularity, self.recipe.negatives, replacement=True)  # [negatives]
        watched = (states * self.items(found)).sum(dim=1) + self.biases[found]
        not_watched = states @ self.items(drawn).T + self.biases[drawn]  # [targets × negatives]
        if self.recipe.loss == "bpr_max":
            return bpr_max(watched, not_watched, self.recipe.regularization)
        return {"bpr": bpr, "top1": top1, "top1_max": top1_max}[self.recipe.loss](watched, not_watched)
