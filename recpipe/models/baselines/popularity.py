"""Popularity: how many users watched a film, of late or ever: the floor of every report (Cremonesi et al. 2010)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from recpipe.costs import FLOAT, LONG, Cost, Shape
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.scoring.same_for_all import SameForAll

_DAY = 86_400


class Popularity(Recipe):
    """score[u, i] = the number of users who watched i within the last `window_days` of the training part.

    Users are counted, not events: watching a film twice counts once. The window ends with the newest training event, so
    nothing later is looked at; films nobody watched in it score 0. There is no loss, and nothing random.

    Source: Cremonesi, Koren and Turrin 2010, "Performance of Recommender Algorithms on Top-N Recommendation Tasks"
    (TopPop); the window after Ji et al. 2020, "A Re-visit of the Popularity Baseline in Recommender Systems".
    """

    window_days: float | None = Field(default=None, gt=0.0)

    def fit(self, train: TrainingSet, run: Run) -> SameForAll:
        """Counts, float32 [n_items]."""
        events = train.interactions
        if self.window_days is not None and len(events):
            recent = events.times > events.times.max() - self.window_days * _DAY
            events = events.take(recent)
        return SameForAll(events.item_counts().astype(np.float32))

    def cost(self, shape: Shape) -> Cost:
        """The events, taken once more where there is a window, and twice as a matrix (index and one each)."""
        taken = 0 if self.window_days is None else 3 * FLOAT + LONG
        return Cost((taken + 5 * FLOAT) * shape.n_events, 4e-8 * shape.n_events)
