"""Session-parallel mini-batches (Hidasi et al. 2016): lanes side by side, each in one session at a time."""

from __future__ import annotations

import heapq

import numpy as np
import torch

from recpipe.data.interactions import Histories, LongArray
from recpipe.training.batches import Batch, Stream, Streams


def lane_batches(sessions: Histories, n_lanes: int, n_steps: int) -> Streams:
    """(films int64 [lanes × steps]; targets likewise, the film after each; begins bool likewise, at a session's first
    film; lanes int64 [lanes], their numbers; all_targets int64 [1 × lanes × steps], the targets once more, whole even
    where a batch is taken in parts; turn int64, 0-d, of the batches 0, 1, 0, 1 and so on).

    A batch is the next `n_steps` steps of all lanes, the last one may be shorter: row l goes on where row l of the
    batch before ended, and every lane's first step begins a session. A lane whose session ends takes the next one.
    Where none is left it runs empty, which stands as `n_items` in films and targets, and is gone from the next batch:
    lanes are numbered by their length, the longest first, so that those left are always the first ones. Every film
    that has a successor is in `films` exactly once an epoch, and no batch is without one.

    Sessions come in a random order in which long ones are early enough to end with the others. Without that, half of
    256 lanes of ML-1M stand empty for the last quarter of an epoch's steps or more, and an optimiser that scales its
    gradients (Adam) goes as far for a few examples as for a full batch.
    """
    wanted = np.flatnonzero(sessions.lengths > 1)
    steps, firsts = sessions.lengths[wanted] - 1, sessions.offsets[wanted]
    items, nothing = sessions.items, sessions.n_items
    begins_session = np.zeros(len(items), dtype=np.bool_)
    begins_session[firsts] = True
    span = max(int(steps.max(initial=0)), -(-int(steps.sum()) // n_lanes))

    def epoch(numbers: np.random.Generator) -> Stream:
        order = np.argsort(numbers.random(len(steps)) * (span - steps + 1))
        lane, ends = _shared_out(steps[order], n_lanes)
        order = order[np.argsort(lane, kind="stable")]
        taken = steps[order]
        places = np.repeat(firsts[order] - np.cumsum(taken) + taken, taken) + np.arange(taken.sum())
        starts = np.cumsum(ends) - ends

        def batch(begin: LongArray) -> Batch:
            step = begin[0] + np.arange(min(n_steps, ends[0] - begin[0]))
            inside = step < ends[ends > begin[0], None]
            at = places[np.where(inside, starts[: len(inside), None] + step, 0)]
            films, targets = (
                torch.from_numpy(np.where(inside, items[which], nothing).astype(np.int64)) for which in (at, at + 1)
            )
            begins = torch.from_numpy(inside & begins_session[at])
            turn = torch.tensor(int(begin[0]) // n_steps % 2)
            return films, targets, begins, torch.arange(len(inside)), targets[None], turn

        return Stream(np.arange(0, ends.max(initial=0), n_steps), 1, batch)

    return epoch


def _shared_out(steps: LongArray, n_lanes: int) -> tuple[LongArray, LongArray]:
    """The lane of each session when each goes, in turn, to the lane that is free first; and the steps of each lane.

    Lanes are numbered by their steps, the longest first; lanes without a session do not exist.
    """
    free = [(0, lane) for lane in range(min(n_lanes, len(steps)))]
    lanes = np.empty(len(steps), dtype=np.int64)
    for session, length in enumerate(steps.tolist()):
        begin, lanes[session] = free[0]
        heapq.heapreplace(free, (begin + length, free[0][1]))
    ends, numbers = np.array(sorted(free, reverse=True), dtype=np.int64).reshape(-1, 2).T
    return np.argsort(numbers)[lanes], ends
