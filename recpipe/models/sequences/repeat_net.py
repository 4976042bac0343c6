"""RepeatNet: first whether a film comes again or a new one follows, then which.

Ren, Chen, Li, Ren, Ma and de Rijke, "RepeatNet: A Repeat Aware Neural Recommendation Machine for Session-based
Recommendation" (AAAI 2019).
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.training.additive_attention import additive_scores
from recpipe.training.dropout import Dropout
from recpipe.training.losses import softmax_over
from recpipe.training.recurrence import recurrent
from recpipe.training.windows import (
    EVERY,
    LATEST,
    WindowLearner,
    WindowRecipe,
    earlier_and_real,
    film_vectors,
    from_the_first_film,
)


@final
class RepeatNet(WindowRecipe):
    """Ren et al. 2019. h_t = GRU(e(film_t), h_(t-1)), and three looks at the states so far, of weights of its own each:

        s_tj = v · tanh(W h_t + U h_j), j ≤ t,  a = softmax_j(s),
        P(repeat), P(explore) = softmax(W_m Σ_j a_j h_j),
        P(i | repeat) = the sum of a_j over the j with film_j = i,
        P(i | explore) = softmax over the films not among film_1 … film_t of w(i) · [h_t ; Σ_j a_j h_j],
        P(i) = P(repeat) P(i | repeat) + P(explore) P(i | explore);

    the loss is the mean of -ln P(film_(t+1)) over all targets. A target that was seen can only be repeated, and one
    that was not can only be explored: each has one of the two terms, and no target needs both. All states are computed
    once a window; no map from positions to films is ever made, which is what costs the authors' code its time.

    Departures: without the paper's second loss on the mode, which brings nothing there. Scores are ln P.
    dropout: of the films' vectors and of the states.
    """

    def network(self, n_users: int, n_items: int) -> RepeatNetNetwork:
        """Untrained; the number of users plays no part."""
        return RepeatNetNetwork(n_items, self)

    def cost(self, shape: Shape) -> Cost:
        """Three vectors a film, and their gradients; in a step the scores of all films in blocks, and for each position
        of a window forty vectors and nine numbers a position before.
        """
        size, length = self.embedding_size, self.max_length
        seconds = 1.5e-8 * size**2 + 2e-8 * length * size
        return self.cost_of_windows(shape, None, 40 * size + 16 * length, seconds)


class Look(nn.Module):
    """v, W and U of one of the three."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.asking, self.asked = (nn.Linear(size, size, bias=False) for _ in range(2))
        self.direction = nn.Parameter(torch.randn(size) * size**-0.5)

    def forward(self, asking: Tensor, states: Tensor, allowed: Tensor) -> Tensor:
        """asking [rows × t × size], states [rows × j × size], allowed bool [rows × t × j] → ln a, [rows × t × j], -inf
        where not allowed."""
        scores = additive_scores(self.asking(asking), self.asked(states), self.direction, "tanh")
        return scores.masked_fill(~allowed, -torch.inf).log_softmax(dim=2)


class RepeatNetNetwork(WindowLearner):
    """mode: W_m. outputs: w, [n_items × 2 size]."""

    def __init__(self, n_items: int, recipe: RepeatNet) -> None:
        super().__init__()
        self.n_items, size = n_items, recipe.embedding_size
        self.items = film_vectors(n_items, size, size**-0.5)
        self.gru = nn.GRU(size, size, batch_first=True)
        self.of_mode, self.of_repeats, self.of_explored = (Look(size) for _ in range(3))
        self.mode = nn.Linear(size, 2)
        self.outputs = nn.Parameter(torch.randn(n_items, 2 * size) * size**-0.5)
        self.dropout = Dropout(recipe.dropout)

    def states(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length], padded on the left → h after each film [rows × length × size]."""
        states = from_the_first_film(
            films, self.n_items, lambda moved: recurrent(self.gru, self.dropout(self.items(moved)))
        )
        dropped: Tensor = self.dropout(states)
        return dropped

    def looks(self, films: Tensor, at: slice = EVERY) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From the t `at` which they are wanted: ln P(repeat) and ln P(explore) [rows × t × 2]; ln a of the repeats
        [rows × t × j]; [h ; Σ a h] of what is explored [rows × t × 2 size]; who may look at whom, bool [rows × t × j].
        """
        states, allowed = self.states(films), earlier_and_real(films != self.n_items)[:, at]
        asking = states[:, at]
        mode = self.mode(self.of_mode(asking, states, allowed).exp() @ states).log_softmax(dim=2)
        explored = torch.cat((asking, self.of_explored(asking, states, allowed).exp() @ states), dim=2)
        return mode, self.of_repeats(asking, states, allowed), explored, allowed

    def loss(self, films: Tensor, targets: Tensor, *users: Tensor) -> Tensor:
        """films, targets: int64 [rows × max_length], padded on the left → mean per target."""
        films, targets = self.without_empty_columns(films, targets)
        mode, repeats, explored, allowed = self.looks(films)
        wanted = targets != self.n_items
        again = allowed & (films[:, None, :] == targets[:, :, None])
        seen = again.any(dim=2) & wanted
        new, count = wanted & ~seen, wanted.sum().clamp(min=1)
        of_seen = mode[seen][:, 0] + repeats[seen].masked_fill(~again[seen], -torch.inf).logsumexp(dim=1)
        known = torch.where(allowed, films[:, None, :], films[:, :, None])[new]  # what stands there twice does no harm
        which = softmax_over(explored[new], self.outputs, targets[new], known) * new.sum()
        return (which - mode[new][:, 1].sum() - of_seen.sum()) / count

    def scores(self, films: Tensor, *users: Tensor) -> Tensor:
        """films int64 [rows × length] → ln P [rows × n_items], not below -100."""
        mode, repeats, explored, allowed = (tensor[:, 0] for tensor in self.looks(films, LATEST))
        again = torch.zeros(len(films), self.n_items + 1, device=films.device)
        again = again.scatter_add(1, films, repeats.exp())[:, :-1].clamp(min=1e-37).log()
        known = torch.zeros(len(films), self.n_items + 1, dtype=torch.bool, device=films.device)
        known = known.scatter(1, torch.where(allowed, films, self.n_items), True)[:, :-1]
        logits = (explored @ self.outputs.T).masked_fill(known, -torch.inf)
        new = logits - logits.logsumexp(dim=1, keepdim=True).clamp(min=-1e30)
        return torch.where(known, mode[:, :1] + again, mode[:, 1:] + new).clamp(min=-100.0)
