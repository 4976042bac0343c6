"""Does a later part rank the films as training does? The trap of a split that was not drawn as it says.

SpectralCF (Zheng et al., 2018) was published on a split whose train and test parts rank the films with a Kendall tau of
0.44, where a drawn split of the same data gives 0.85 (Ferrari Dacrema et al., 2021). What tau an honest split gives
depends on the size of the data, so the measure here is the gap to a split drawn with the same sizes per user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from recpipe.data.interactions import LongArray
from recpipe.data.parts import Part, Parts

DRAWS = 8


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b of the films' event counts in training and in a later part.

    tau: of the split. drawn: mean over redrawn splits. spread: their standard deviation.
    """

    tau: float
    drawn: float
    spread: float

    @property
    def gap(self) -> float:
        """How much less the parts agree than if they had been drawn."""
        return self.drawn - self.tau


def rank_agreement(parts: Parts, later: Part) -> RankAgreement:
    """Compare the training part with a later one, and with splits in which each user's events are redrawn.

    Users with events in both parts keep their share of the later part; where there are none, the parts' sizes are kept.
    """
    events = parts.interactions
    in_train, in_later = parts.part == Part.TRAIN, parts.part == later
    both = in_train | in_later
    users, items = events.users[both], events.items[both]
    n_train, n_later = (np.bincount(events.users[mask], minlength=events.n_users) for mask in (in_train, in_later))
    if (n_train * n_later).any():
        share = (n_later / np.maximum(n_train + n_later, 1))[users]
    else:
        share = np.full(len(users), n_later.sum() / max(len(users), 1))

    counts = np.bincount(items, minlength=events.n_items)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        test = np.bincount(items[random.random(len(items)) < share], minlength=events.n_items)
        drawn.append(_tau(counts - test, test))
    test = np.bincount(events.items[in_later], minlength=events.n_items)
    return RankAgreement(_tau(counts - test, test), float(np.mean(drawn)), float(np.std(drawn)))


def _tau(train: LongArray, test: LongArray) -> float:
    watched = (train + test) > 0
    train, test = train[watched], test[watched]
    if len(np.unique(train)) < 2 or len(np.unique(test)) < 2:
        return 0.0  # nothing is ranked
    return float(kendalltau(train, test).statistic)
