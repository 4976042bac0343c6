"""Every step of a session as a question of its own: the films so far are known, the next one is to be found."""

from __future__ import annotations

import numpy as np

from recpipe.data.interactions import Histories, LongArray
from recpipe.data.parts import HeldOut


def every_step(sessions: Histories, begins: LongArray | int = 1) -> HeldOut:
    """A row for each film from place `begins` of its session on, session by session: what came before it, and it.

    begins: at least 0; an array has one for each session, so that `sessions` may start with what was known long ago.
    """
    steps = np.maximum(sessions.lengths - begins, 0)
    owners = np.repeat(np.arange(len(sessions)), steps)
    ends = np.repeat(sessions.offsets[1:] - np.cumsum(steps), steps) + np.arange(len(owners))  # places of the targets
    n_known = ends - sessions.offsets[owners]
    offsets = np.concatenate(([0], np.cumsum(n_known))).astype(np.int64)
    known = np.repeat(ends - offsets[1:], n_known) + np.arange(offsets[-1])
    return HeldOut(
        _picked(sessions, owners, offsets, known), _picked(sessions, owners, np.arange(len(owners) + 1), ends)
    )


def _picked(sessions: Histories, owners: LongArray, offsets: LongArray, events: LongArray) -> Histories:
    ratings = None if sessions.ratings is None else sessions.ratings[events]
    items, times = sessions.items[events], sessions.times[events]
    return Histories(sessions.users[owners], offsets, items, times, ratings, sessions.n_items)
