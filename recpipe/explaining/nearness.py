"""Which films of a history lie nearest to a recommended one, by the vectors that the model itself has of films."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import Scorer
from recpipe.scoring.factors import Factors


def film_vectors(scorer: Scorer) -> FloatArray | None:
    """float32 [n_items × size]: what the model knows films by; None where it has no such table.

    Of networks: what `vectors()` gives, or a table `items` with a row a film (and perhaps one for padding).
    """
    if isinstance(scorer, Factors):
        return scorer.item_factors
    network, n_items = getattr(scorer, "network", None), getattr(scorer, "n_items", 0)
    vectors = getattr(network, "vectors", None)
    table: Any = vectors() if callable(vectors) else getattr(network, "items", None)
    table = getattr(table, "weight", table)
    if table is None or getattr(table, "ndim", 0) != 2 or len(table) not in (n_items, n_items + 1):
        return None
    found: FloatArray = table.detach().cpu().numpy()[:n_items]
    return found


def films_read(scorer: Scorer, history: Histories) -> NDArray[np.int64]:
    """The distinct films of one user's history that the model looks at: a sequence model reads the latest alone."""
    latest = getattr(scorer, "max_length", None)
    return np.unique(history.items[-latest:] if latest else history.items).astype(np.int64)


def cosines(vectors: FloatArray, films: NDArray[np.integer], others: NDArray[np.integer]) -> NDArray[np.float64]:
    """float64 [films × others]; 0 where a vector has no length."""
    one, other = (vectors[rows].astype(np.float64) for rows in (films, others))
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
    return np.divide(one @ other.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
