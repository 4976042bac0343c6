"""Split by date: the session-based protocol of GRU4Rec (Hidasi et al., 2016), with the user as the session."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recpipe.data.interactions import Interactions, LongArray
from recpipe.data.parts import Part, Parts
from recpipe.data.splits.strategy import Labels, Promises, Strategy, split_first_watches

DAY = 24 * 60 * 60


class ByDate(Strategy):
    """The last days are the test part, as many before them validation, all that is older trains.

    The training part is cleaned until nothing changes: films with fewer than `least_item` events and users with fewer
    than `least_session` go. The later parts keep the films of the cleaned training part, so that every film to be found
    can be recommended, and then the users with at least `least_session` events. On MovieLens 1M it makes no difference
    whether films are taken from the training part before its cleaning or after.
    """

    strategy: Literal["by_date"] = "by_date"
    days: float = Field(default=14, gt=0)
    least_session: int = Field(default=2, ge=1)
    least_item: int = Field(default=5, ge=1)

    promises: ClassVar[Promises] = Promises(order="date", users="any", items="all", popularity="any", drops="more")

    def split(self, interactions: Interactions) -> Parts:
        return split_first_watches(interactions, self._labels)

    def sizes(self, films: LongArray) -> None:
        return None

    def _labels(self, events: Interactions) -> Labels:
        everything = np.ones(len(events), dtype=bool)
        test = self._latest(events, everything)
        valid = self._latest(events, ~test)
        train = ~(test | valid)
        if not train.any():
            raise ValueError(
                f"by_date: no event is older than twice {self.days:g} days before the newest; lower `days`"
            )
        kept_train = self._cleaned(events, train, self.least_item)
        known = np.bincount(events.items[kept_train], minlength=events.n_items)[events.items] > 0
        kept_valid = self._cleaned(events, valid & known, 1)
        kept_test = self._cleaned(events, test & known, 1)

        part = np.full(len(events), Part.DROPPED, dtype=np.uint8)
        part[kept_train], part[kept_valid], part[kept_test] = Part.TRAIN, Part.VALID, Part.TEST
        reasons = (
            "",
            f"cleaned from training: a user with fewer than {self.least_session} events "
            f"or a film with fewer than {self.least_item}",
            "the training part does not have this film",
            f"the user has fewer than {self.least_session} events in this part",
        )
        reason = np.select([part != Part.DROPPED, train, ~known], [0, 1, 2], 3).astype(np.uint8)
        return Labels(part, reason, reasons)

    def _latest(self, events: Interactions, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if not among.any():
            return among
        return among & (events.times >= events.times[among].max() - self.days * DAY)

    def _cleaned(self, events: Interactions, kept: NDArray[np.bool_], least_item: int) -> NDArray[np.bool_]:
        while True:
            often = np.bincount(events.items[kept], minlength=events.n_items)[events.items] >= least_item
            cleaned = kept & often
            long = np.bincount(events.users[cleaned], minlength=events.n_users)[events.users] >= self.least_session
            cleaned = cleaned & long
            if cleaned.sum() == kept.sum():
                return cleaned
            kept = cleaned
