"""SASRec: causal self-attention over the latest films ranks the next one.

Kang and McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018); the loss gBCE: Petrov and Macdonald, "gSASRec:
Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling" (RecSys 2023).
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from recpipe.costs import Cost, Shape
from recpipe.training.attention import WindowEncoder
from recpipe.training.windows import NextFilmLearner, NextFilmRecipe, earlier_and_real


class Sasrec(NextFilmRecipe):
    """Kang and McAuley 2018. x = e(film) √d + p(position), then `layers` blocks, then score(i) = LayerNorm(x_t) · e(i):

        x ← x + dropout(Attention(LayerNorm(x))),  x ← x + dropout(W₂ relu(W₁ LayerNorm(x))).

    A film attends to itself and to what came before it. The target at t is film_(t+1); the losses are those of
    `NextFilmRecipe`, the paper's is binary_cross_entropy, the default cross_entropy.

    Departures: training reads every window of a history, where the paper keeps the latest one; no dropout inside the
    attention; a drawn film that is in the window is left out instead of drawn again.
    """

    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=1, ge=1)

    def network(self, n_users: int, n_items: int) -> SasrecNetwork:
        """Untrained; the number of users plays no part."""
        return SasrecNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A vector a film, twice more as gradients of input and output; in a step the scores that a target is compared
        with, and for each position of a window twenty vectors a block and its attention weights.
        """
        size = self.embedding_size
        block = 20 * size + 3 * self.heads * self.max_length
        return self.cost_of_windows(shape, self.scored, self.layers * block, self.layers * 2e-9 * size**2)


class SasrecNetwork(NextFilmLearner):
    """The films' vectors and the encoder."""

    def __init__(self, n_items: int, recipe: Sasrec) -> None:
        super().__init__(n_items, recipe)
        self.encoder = WindowEncoder(
            recipe.embedding_size, recipe.layers, recipe.heads, recipe.dropout, recipe.max_length
        )

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → the state after each film [rows × length × size].

        length: at most max_length; the newest film has the last position whatever the length.
        """
        states: Tensor = self.encoder(self.items(films), earlier_and_real(films != self.n_items)[:, None])
        return states
