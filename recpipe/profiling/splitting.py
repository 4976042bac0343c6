"""What ways to split would meet in these data: whose future leaks, who is new, where equal times decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recpipe.data.interactions import NEWCOMER, Interactions, LongArray
from recpipe.data.parts import Part
from recpipe.data.splits.by_date import ByDate
from recpipe.data.splits.by_user import Holdout, LeaveOneOut
from recpipe.data.splits.strategy import first_watches
from recpipe.profiling.long_tail import Quantiles, quantiles
from recpipe.profiling.sessions import DAY, PAUSE, neighbours

PERIODS = (7, 14, 30, 90)
"""Days that `by_date` hides, tried one after another."""


@dataclass(frozen=True)
class DatedTest:
    """The test part of `by_date` over so many days. new_users: the share of its users of whom the training part has
    nothing. users, events: after its cleaning.
    """

    days: int
    users: int
    events: int
    new_users: float


@dataclass(frozen=True)
class Splitting:
    """Of first watches alone, as splits are. With the default settings of each strategy.

    repeated: the share of interactions that a split drops, since their user had watched the film before.
    span: days from a user's first film to the last, of users with several. one_day: the share of them with less than
    one. overlap: of all pairs of users, the share whose spans have a moment in common.
    before_last: days from a film to its user's last one, that is, how much of a future a film drawn at random has.
    leave_one_out: users with a test film; of these the share whose test film has the same second as the film before it
    (tied), follows it within the pause that ends a session (same_session); later_training: the share of the training
    part, of whomever, that is later than a test film, in the mean over test films.
    hides_nothing: the share of users from whom `holdout`, and `leave_one_out`, hide no film.
    by_date: for each number of days that leaves a training part.
    """

    repeated: float
    span: Quantiles
    one_day: float
    overlap: float
    before_last: Quantiles
    leave_one_out: int
    tied: float
    same_session: float
    later_training: float
    hides_nothing: dict[str, float]
    by_date: list[DatedTest]

    @classmethod
    def of(cls, interactions: Interactions) -> Splitting:
        """Every event is looked at once, whoever's it is."""
        first = first_watches(interactions)
        events = interactions.take(first)
        films = np.diff(events.offsets)
        some = films > 0
        starts, ends = events.times[events.offsets[:-1][some]], events.times[events.offsets[1:][some] - 1]
        last = events.times[np.maximum(events.offsets[1:] - 1, 0)][events.users]
        several = films[some] > 1
        spans = (ends - starts)[several] / DAY
        tested = LeaveOneOut().sizes(films)[1] > 0
        gap = np.append(neighbours(events)[0], 0)[events.offsets[1:][tested] - 2]
        return cls(
            repeated=float(1 - first.mean()),
            span=quantiles(spans),
            one_day=_mean(spans < 1),
            overlap=overlap(starts, ends),
            before_last=quantiles((last - events.times) / DAY),
            leave_one_out=int(tested.sum()),
            tied=_mean(gap == 0),
            same_session=_mean(gap <= PAUSE),
            later_training=_later_training(events, tested),
            hides_nothing={
                "holdout": float((Holdout().sizes(films)[1] == 0)[some].mean()),
                "leave_one_out": float((~tested)[some].mean()),
            },
            by_date=[dated for dated in (_by_date(events, days) for days in PERIODS) if dated is not None],
        )


def overlap(starts: LongArray, ends: LongArray) -> float:
    """The share of pairs of spans, from start to end, both included, that have a moment in common; 0 for one alone.

    Two do not where one ends before the other starts, and only one of them can.
    """
    n = len(starts)
    apart = int(np.searchsorted(np.sort(ends), starts).sum())
    return 1 - apart / (n * (n - 1) / 2) if n > 1 else 0.0


def _later_training(events: Interactions, tested: np.ndarray) -> float:
    """Training films of leave-one-out are all but the last two of who is tested, and all of who is not."""
    place_from_end = events.offsets[1:][events.users] - 1 - np.arange(len(events))
    training = np.sort(events.times[(place_from_end > 1) | ~tested[events.users]])
    if not tested.any():
        return 0.0
    test = events.times[events.offsets[1:][tested] - 1]
    return float((len(training) - np.searchsorted(training, test, side="right")).mean() / len(training))


def _by_date(events: Interactions, days: int) -> DatedTest | None:
    newest = events.times.max()
    before = events.times[events.times < newest - days * DAY]
    if not len(before) or before.min() >= before.max() - days * DAY:
        return None  # nothing would be left to train on
    parts = ByDate(days=days).split(events)
    test = parts.test
    new = test.histories.users == NEWCOMER
    return DatedTest(days, len(test), int((parts.part == Part.TEST).sum()), _mean(new))


def _mean(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if len(chosen) else 0.0
