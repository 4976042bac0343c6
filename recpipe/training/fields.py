"""The fields that a film is known by: its own number, genres, directors, writers and year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from recpipe.data.features import BAGS, UNKNOWN_YEAR, Bag, ItemFeatures
from recpipe.data.training_set import TrainingSet

FIELDS = ("film", *BAGS, "year")
USUAL_VALUES = 2
"""Values a film, of all its fields: what a cost is estimated for, since the shape of the data does not tell them."""


@dataclass(frozen=True, eq=False)
class FilmFields:
    """Which values each film has in each field, every field with numbers of its own, none padded.

    shares: CSR float32 [n_items · len(FIELDS) × n_values]; row i · len(FIELDS) + f has 1 / m at each of the m values of
    film i in field f, and is empty where nothing is known. The film's own number is value i of the first field.
    watched: bool [n_items], films with an event: what a film's own vector has learned from.
    """

    shares: sparse.csr_matrix
    watched: np.ndarray

    @classmethod
    def of(cls, train: TrainingSet, minimum_films: int) -> Self:
        """Values of fewer than `minimum_films` films are left out; without side data the films' own numbers remain."""
        own = sparse.identity(train.n_items, dtype=np.float32, format="csr")
        fields = [own, *_side(train.features, train.n_items, minimum_films)]
        blocks = sparse.block_diag(fields, format="csr")  # field by field, films within
        rows = np.arange(len(FIELDS) * train.n_items).reshape(len(FIELDS), -1).T.reshape(-1)
        return cls(blocks[rows], train.interactions.item_counts() > 0)

    @property
    def n_items(self) -> int:
        return len(self.watched)

    @property
    def n_values(self) -> int:
        return int(self.shares.shape[1])


class FieldVectors(nn.Module):
    """A vector and a weight for each value; a field's are the means over the film's values, zeros where it has none.

    vectors: [n_values × size], N(0, deviation²); weights: [n_values], zeros at first. A film's own come first.
    """

    watched: Tensor
    starts: Tensor
    values: Tensor
    shares: Tensor

    def __init__(self, fields: FilmFields, size: int, deviation: float) -> None:
        super().__init__()
        self.n_items = fields.n_items
        self.vectors = nn.Parameter(torch.randn(fields.n_values, size) * deviation)
        self.weights = nn.Parameter(torch.zeros(fields.n_values))
        arrays = {
            "watched": fields.watched,
            "starts": fields.shares.indptr.astype(np.int64),
            "values": fields.shares.indices.astype(np.int64),
            "shares": fields.shares.data,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def forward(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """own: bool [n_items], films whose own vector and weight count; of the others only what else is known.

        → vectors [n_items × len(FIELDS) × size], and the sums of the fields' weights [n_items].
        """
        vectors, weights = self._means(self.vectors), self._means(self.weights[:, None])
        counts = own.to(vectors.dtype)[:, None]
        first, others = vectors.split((1, len(FIELDS) - 1), dim=1)
        own_weight, other_weights = weights.split((1, len(FIELDS) - 1), dim=1)
        sums = own_weight[:, 0, 0] * counts[:, 0] + other_weights.sum(dim=(1, 2))
        return torch.cat((first * counts[:, None], others), dim=1), sums

    def heard(self, dropout: float) -> Tensor:
        """bool [n_items], whose own vector counts: while learning all but a drawn share, later what has learned."""
        if not self.training:
            return self.watched
        return torch.rand(self.n_items, device=self.watched.device) >= dropout

    def _means(self, table: Tensor) -> Tensor:
        """table [n_values × size] → [n_items × len(FIELDS) × size]."""
        means = functional.embedding_bag(
            self.values, table, self.starts, mode="sum", per_sample_weights=self.shares.to(table.dtype),
            include_last_offset=True,
        )  # fmt: skip
        return means.view(self.n_items, len(FIELDS), -1)


def products(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Of the second-order part of a factorisation machine (Rendle 2010), what films [films × fields × size] bring:
    Σ_f v_f [films × size], to be multiplied with v_u, and Σ_(f < g) v_f · v_g [films].
    """
    sums = vectors.sum(dim=1)
    return sums, (sums.square() - vectors.square().sum(dim=1)).sum(dim=1) / 2


def _side(features: ItemFeatures | None, n_items: int, minimum_films: int) -> list[sparse.csr_matrix]:
    """Which film has which value, by field, without the films' own numbers; without values where nothing is known."""
    if features is None:
        return [sparse.csr_matrix((n_items, 0), dtype=np.float32)] * (len(FIELDS) - 1)
    years = Bag.from_lists([[f"{year:05d}"] if year != UNKNOWN_YEAR else [] for year in features.years.tolist()])
    return [bag.shares(minimum_films) for bag in (*(features.bags[name] for name in BAGS), years)]
