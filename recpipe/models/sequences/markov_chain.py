"""A Markov chain of first order: what was watched right after the latest film, counted.

Shani, Heckerman and Brafman, "An MDP-Based Recommender System" (JMLR 2005).
"""

from __future__ import annotations

from typing import final

import numpy as np
from pydantic import Field
from scipy import sparse

from recpipe.costs import FLOAT, LONG, Cost, Shape
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights


@final
class MarkovChain(Recipe):
    """Shani et al. 2005, of first order. n(j, i) counts how often i was watched right after j, n(j) how often anything:

        score(i) = Σ_j h_j n(j, i) / (n(j) + shrinkage) + alpha · share of all events that are i,

    h_j = 2^(-age of j / half_life), the latest film having age 0. With the short half-life of the default the latest
    film speaks alone. Where it leaves films equal, alpha times their shares decides, and where these are all but equal
    too, the films before it. Everything is counted: there is no loss, and nothing random. Films watched at one time
    follow each other in the order of the input.
    """

    shrinkage: float = Field(default=10.0, ge=0.0)
    alpha: float = Field(default=0.01, ge=0.0)
    half_life: float = Field(default=0.05, gt=0.0)

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Weights: CSR [n_items × n_items], row: the film watched, column: the film scored."""
        counts = transitions(train.interactions)
        left = np.asarray(counts.sum(axis=1)).ravel() + self.shrinkage
        weights = sparse.csr_matrix(sparse.diags_array(1.0 / np.maximum(left, 1e-9)) @ counts, dtype=np.float32)
        watched = np.bincount(train.interactions.items, minlength=train.n_items)
        shares = (self.alpha * watched / max(1, len(train.interactions))).astype(np.float32)
        return ItemWeights(weights, shares, self.half_life)

    def cost(self, shape: Shape) -> Cost:
        """The pairs of films that follow each other, at most one an event: two int64 and a number, and again as CSR."""
        return Cost(int(3 * (2 * LONG + 2 * FLOAT) * shape.n_events + 4 * FLOAT * shape.n_items), 2e-7 * shape.n_events)


def transitions(interactions: Interactions) -> sparse.csr_matrix:
    """How often each film was watched right after another: [n_items × n_items], row: the one before."""
    follows = interactions.users[1:] == interactions.users[:-1]
    before, after = interactions.items[:-1][follows], interactions.items[1:][follows]
    size = (interactions.n_items, interactions.n_items)
    counts = sparse.coo_matrix((np.ones(len(before)), (before, after)), size).tocsr()
    counts.sum_duplicates()
    return counts
