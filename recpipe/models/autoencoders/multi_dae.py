"""MultiDAE: a denoising autoencoder with a multinomial likelihood over the whole history.

Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative Filtering" (WWW 2018).
"""

from __future__ import annotations

from typing import final

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from recpipe.costs import FLOAT, Cost, Shape
from recpipe.training.autoencoding import HistoryRecipe, reading
from recpipe.training.costs import learned, ranking, users_stream
from recpipe.training.loop import Learner
from recpipe.training.losses import multinomial


@final
class MultiDae(HistoryRecipe):
    """Liang et al. 2018. x is a user's binary history, x' = dropout(x / |x|₂), f has tanh between its layers:

        π = softmax(f(x')),  loss = −Σᵢ xᵢ log πᵢ, a mean per user, never negative;  score = f(x / |x|₂).

    What is left out is part of what is to be found: the loss asks for the whole history. Users are known by their films
    alone, so people unseen at training are served as well. Departures: AdamW's decoupled decay of the weights in place
    of Adam with a penalty on their squares, and biases start at 0 instead of small random numbers.

    embedding_size: of the narrowest layer, the code. layers: widths of the layers before it, in reverse those after it.
    dropout: of the input.
    """

    batch_size: int = Field(default=500, ge=1)
    embedding_size: int = Field(default=200, ge=1)
    layers: tuple[int, ...] = (600,)
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.01, ge=0.0)

    def network(self, n_users: int, n_items: int) -> MultiDaeNetwork:
        """Untrained; the number of users plays no part."""
        return MultiDaeNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """A weight for each film and unit of the outermost layers, twice; in a step, 24 rows of all films a user."""
        parameters = self.parameter_count(shape)
        rows = min(self.batch_size, shape.n_users)
        step = FLOAT * rows * (24 * shape.n_items + 8 * sum(self.layers))
        seconds = shape.n_users * 7e-11 * parameters + shape.n_users / max(1, rows) * 1e-9 * parameters
        return learned(parameters, step, ranking(shape, 5), users_stream(shape), seconds)


class MultiDaeNetwork(Learner):
    """n_items → layers → code → reversed layers → n_items."""

    def __init__(self, n_items: int, recipe: MultiDae) -> None:
        super().__init__()
        widths = (n_items, *recipe.layers, recipe.embedding_size, *recipe.layers[::-1], n_items)
        self.layers = reading(widths, recipe.dropout)

    def scores(self, history: Tensor) -> Tensor:
        """history [rows × n_items], binary → logits [rows × n_items]; a row of zeros is served too."""
        logits: Tensor = self.layers(functional.normalize(history, dim=1))
        return logits

    def loss(self, history: Tensor, users: Tensor) -> Tensor:
        """history [rows × n_items], binary; users are not used → a mean per row."""
        return multinomial(self.scores(history), history)
