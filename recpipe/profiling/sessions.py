"""Sittings: a user's interactions with no long pause between them. How they are cut is part of every figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Interactions, LongArray
from recpipe.profiling.long_tail import Quantiles, quantiles, shares_of_kinds

MINUTE, HOUR, DAY = 60, 3_600, 86_400
PAUSE = 30 * MINUTE
"""Seconds: a longer pause ends a session. Half an hour is the custom of web analytics; `by_pause` tells what others
would give."""
OTHER_PAUSES = {"10 minutes": 10 * MINUTE, "30 minutes": 30 * MINUTE, "2 hours": 2 * HOUR, "1 day": DAY}
GAPS = {"none": 0, "up to 1 minute": MINUTE, "up to 30 minutes": PAUSE, "up to 1 day": DAY, "up to 30 days": 30 * DAY}


@dataclass(frozen=True)
class Sessions:
    """pause: seconds after which a session ends. sessions: how many.

    events, minutes: of one session, its length being the time from its first interaction to its last. of_a_user: how
    many a user has. days_between: from the end of a user's session to the start of the next.
    gaps: of all pairs of neighbouring interactions of a user, the share whose distance in time is of a kind; the kinds
    follow one another, so "up to 30 minutes" begins above 1 minute. by_pause: how many sessions other pauses give.
    single: the share of users with one session. largest: the share of a user's interactions that lie in the session
    with most of them, in quantiles over users. tied: the share of interactions at the same second as another of their
    user.
    """

    pause: int
    sessions: int
    events: Quantiles
    minutes: Quantiles
    of_a_user: Quantiles
    days_between: Quantiles
    gaps: dict[str, float]
    by_pause: dict[str, int]
    single: float
    largest: Quantiles
    tied: float

    @classmethod
    def of(cls, interactions: Interactions, pause: int = PAUSE) -> Sessions:
        """pause: seconds."""
        times, users = interactions.times, interactions.users
        gaps, inside = neighbours(interactions)
        starts = session_starts(interactions, pause)
        lengths = np.diff(np.append(starts, len(times)))
        ends = starts + lengths - 1
        owners = users[starts]
        of_users = np.bincount(owners, minlength=interactions.n_users)
        active = of_users > 0
        first_of_user = np.searchsorted(owners, np.flatnonzero(active))
        largest = np.maximum.reduceat(lengths, first_of_user) / np.diff(interactions.offsets)[active]
        same_owner = owners[1:] == owners[:-1]
        pauses = (times[starts[1:]] - times[ends[:-1]])[same_owner]
        level = inside & (gaps == 0)
        tied = np.append(level, False) | np.concatenate(([False], level))
        return cls(
            pause=pause,
            sessions=len(starts),
            events=quantiles(lengths),
            minutes=quantiles((times[ends] - times[starts]) / MINUTE),
            of_a_user=quantiles(of_users[active]),
            days_between=quantiles(pauses / DAY),
            gaps=shares_of_kinds(gaps[inside], GAPS, "more"),
            by_pause={name: len(session_starts(interactions, other)) for name, other in OTHER_PAUSES.items()},
            single=float((of_users[active] == 1).mean()),
            largest=quantiles(largest),
            tied=float(tied.mean()),
        )


def session_starts(interactions: Interactions, pause: int) -> LongArray:
    """int64 [sessions]: the place of each session's first interaction."""
    gaps, inside = neighbours(interactions)
    begins = np.concatenate(([True], ~inside | (gaps > pause)))
    return np.flatnonzero(begins).astype(np.int64)


def neighbours(interactions: Interactions) -> tuple[LongArray, NDArray[np.bool_]]:
    """Seconds from each interaction to the next in order, int64 [events - 1], and whether both are of one user."""
    return np.diff(interactions.times), np.diff(interactions.users) == 0
