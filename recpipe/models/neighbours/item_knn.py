"""Item kNN: films alike are films that the same users watched (Deshpande and Karypis 2004)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy import sparse

from recpipe.costs import DOUBLE, FLOAT, Cost, Shape
from recpipe.data.interactions import FloatArray
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.item_weights import ItemWeights

_CELLS = 2**23
"""Similarities held at once: 64 MiB of doubles."""
_SATURATION, _LENGTH = 1.2, 0.75
"""k1 and b of BM25, at their customary values."""


class ItemKnn(Recipe):
    """score[u, i] = Σ_j s(j, i) over the films j of u's history for which i is among j's nearest, or j among i's.

    With x_i the column of film i in the weighted matrix of users by films, and c its number of users:
    cosine s = x_j·x_i / (‖x_j‖ ‖x_i‖ + shrinkage);
    asymmetric_cosine s = x_j·x_i / (‖x_j‖^(2·alpha) ‖x_i‖^(2·(1−alpha)) + shrinkage), popular films first above 0.5;
    jaccard s = n_ji / (c_j + c_i − n_ji + shrinkage), n_ji the users of both; dot s = x_j·x_i / (1 + shrinkage).
    weighting: none, ones; tfidf, a user's entry is log(n_items / films of the user), so that those who watch everything
    tell less; bm25, tfidf times 2.2 / (1 + 1.2 · (0.25 + 0.75 · c / mean c)), which damps films with many users.

    nearest_of: "watched" keeps the `neighbours` nearest films i of each watched film j, as the paper; "scored" keeps
    the nearest j of each scored film i, as most programs do. Ties go to the lower row number. The weights are CSR
    float32 [n_items × n_items]; similarities are worked out for a block of films at a time, so memory stays at
    12 bytes · n_items · neighbours and a few blocks of 64 MiB.

    Source: Deshpande and Karypis 2004, "Item-Based Top-N Recommendation Algorithms", TOIS 22. Departures: the paper's
    conditional probability is asymmetric_cosine with other exponents (Aiolli 2013 has the general form); jaccard,
    shrinkage (Bell and Koren 2007) and the weightings are added; neighbours' columns are not scaled to length 1.
    """

    neighbours: int = Field(default=100, ge=1)
    similarity: Literal["cosine", "jaccard", "asymmetric_cosine", "dot"] = "cosine"
    weighting: Literal["none", "tfidf", "bm25"] = "none"
    shrinkage: float = Field(default=0.0, ge=0.0)
    alpha: float = Field(default=0.5, ge=0.0, le=1.0)
    nearest_of: Literal["watched", "scored"] = "scored"

    memory_hint: ClassVar[str] = "set fewer neighbours, or keep fewer films (k-core in conf/dataset.yaml)"

    @model_validator(mode="after")
    def _jaccard_counts(self) -> Self:
        if self.similarity == "jaccard" and self.weighting != "none":
            raise ValueError(
                f"jaccard counts users and takes no weights; weighting: none was wanted, {self.weighting} came"
            )
        return self

    def fit(self, train: TrainingSet, run: Run) -> ItemWeights:
        """Sparse weights [n_items × n_items]."""
        watched = self._weighted(train.interactions.matrix().astype(np.float64))
        by_film = watched.T.tocsr()
        block = max(1, _CELLS // max(1, train.n_items))
        kept = [
            _nearest(self._similarities(by_film[start : start + block], by_film, watched, start), self.neighbours)
            for start in range(0, train.n_items, block)
        ]
        nearest = sparse.vstack(kept, format="csr", dtype=np.float32)
        return ItemWeights(nearest if self.nearest_of == "watched" else nearest.T.tocsr())

    def cost(self, shape: Shape) -> Cost:
        """Four sparse copies of the interactions in float64, three of the weights kept, and what a block of
        similarities goes through: four matrices of doubles at once.
        """
        block = min(shape.n_items**2, max(shape.n_items, _CELLS))
        kept = 3 * 2 * FLOAT * shape.n_items * min(self.neighbours, shape.n_items)
        interactions = 4 * (DOUBLE + FLOAT) * shape.n_events
        pairs = float((shape.lengths.astype(np.float64) ** 2).sum())
        return Cost(interactions + kept + 4 * DOUBLE * block, 5e-9 * pairs + 6e-8 * shape.n_items**2)

    def _weighted(self, watched: sparse.csr_matrix) -> sparse.csr_matrix:
        if self.weighting == "none":
            return watched
        films = np.maximum(watched.getnnz(axis=1), 1)
        weighted = sparse.diags(np.log(watched.shape[1] / films)) @ watched
        if self.weighting == "bm25":
            users = watched.getnnz(axis=0)
            length = 1 - _LENGTH + _LENGTH * users / max(users.mean(), 1e-12)
            weighted = weighted @ sparse.diags((_SATURATION + 1) / (1 + _SATURATION * length))
        return weighted.tocsr()

    def _similarities(
        self, rows: sparse.csr_matrix, by_film: sparse.csr_matrix, watched: sparse.csr_matrix, start: int
    ) -> FloatArray:
        """Float64 [rows × n_items]; a film's likeness to itself is 0. Rows: the films whose nearest are kept."""
        products = (rows @ watched).toarray()
        own, other = _square_lengths(rows)[:, None], _square_lengths(by_film)[None, :]
        if self.similarity == "jaccard":
            below = own + other - products
        elif self.similarity == "dot":
            below = np.ones_like(products)
        else:
            share = {"cosine": 0.5, "asymmetric_cosine": self.alpha}[self.similarity]
            share = share if self.nearest_of == "watched" else 1.0 - share
            below = own**share * other ** (1.0 - share)
        below = below + self.shrinkage
        np.divide(products, below, out=products, where=products > 0)
        products[np.arange(len(products)), start + np.arange(len(products))] = 0.0
        return products


def _square_lengths(rows: sparse.csr_matrix) -> np.ndarray:
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()


def _nearest(similarities: FloatArray, neighbours: int) -> sparse.csr_matrix:
    """The largest positive entries of each row, at most `neighbours`; of equal ones those furthest left."""
    n_rows, n_items = similarities.shape
    most = min(neighbours, n_items)
    last = np.partition(similarities, -most, axis=1)[:, -most, None]
    above = similarities > last
    tied = (similarities == last) & (similarities > 0)
    room = most - above.sum(axis=1, keepdims=True)
    kept = above | (tied & (np.cumsum(tied, axis=1) <= room))
    rows, columns = np.nonzero(kept)
    values = similarities[rows, columns].astype(np.float32)
    return sparse.csr_matrix((values, (rows, columns)), shape=(n_rows, n_items))
