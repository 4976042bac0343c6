"""Everything that a recipe may look at while it learns."""

from __future__ import annotations

from dataclasses import dataclass

from recpipe.data.features import ItemFeatures
from recpipe.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training part of a split, and what is known of the films beside it."""

    interactions: Interactions
    features: ItemFeatures | None = None

    @property
    def n_users(self) -> int:
        return self.interactions.n_users

    @property
    def n_items(self) -> int:
        return self.interactions.n_items
