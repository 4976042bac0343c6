"""Maps of the products of two vectors' coordinates, which each convolution halves until one cell is left."""

from __future__ import annotations

from collections.abc import Sequence


def refuse_more_than_one_cell(embedding_size: int, layers: Sequence[int]) -> None:
    """Raise ValueError unless so many halvings as there are layers leave one cell of a map of embedding_size²."""
    wanted = 2 ** len(layers)
    if wanted != embedding_size:
        raise ValueError(
            f"each of the layers halves the map: embedding_size {embedding_size} with {len(layers)} layers leaves no "
            f"single cell; {len(layers)} layers want embedding_size {wanted}"
        )
