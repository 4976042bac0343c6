"""What is hidden before any split strategy sees the data: what the strategies are judged by (B-3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.by_user import hidden
from recpipe.data.splits.strategy import first_watches
from recpipe.studies.settings import HiddenSettings


@dataclass(frozen=True, eq=False)
class LaidAside:
    """First watches, and which of them are laid aside: bool [events]. Later watches are gone: they would tell."""

    events: Interactions
    hidden: NDArray[np.bool_]

    @classmethod
    def of(cls, interactions: Interactions, settings: HiddenSettings) -> LaidAside:
        """Each user's latest films and some drawn from the rest, as the split `holdout` hides its test part."""
        events = interactions.take(first_watches(interactions))
        random = np.random.default_rng(settings.seed)
        laid = hidden(events, settings.last, settings.random, settings.most_share, random)
        if not laid.any():
            raise ValueError(
                f"nobody has films enough to lay {settings.most_share:.0%} of them aside: raise most_share"
            )
        return cls(events, laid)

    @cached_property
    def rest(self) -> Interactions:
        """All that a strategy may see."""
        return self.events.take(~self.hidden)

    @cached_property
    def trained_on_rest(self) -> Parts:
        """All of the rest trains, the hidden part is to be found."""
        return self._parts(np.full(len(self.rest), Part.TRAIN, dtype=np.uint8))

    def known_to(self, split: Parts) -> Parts:
        """A split of the rest with the hidden part as its test part; who trains stays, all else of the rest is known.

        A user of whom nothing trains is a newcomer with a history.
        """
        return self._parts(np.where(split.part == Part.TRAIN, Part.TRAIN, Part.TEST_FOLD_IN).astype(np.uint8))

    def _parts(self, of_rest: NDArray[np.uint8]) -> Parts:
        part = np.full(len(self.events), Part.TEST, dtype=np.uint8)
        part[~self.hidden] = of_rest
        return Parts(self.events, part, np.zeros_like(part))
