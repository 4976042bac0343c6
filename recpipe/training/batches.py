"""Streams of batches, made with array operations alone. Each returns what `loop.learn` calls once an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from recpipe.data.interactions import Histories, Interactions, LongArray
from recpipe.training.negatives import Unseen

Batch: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True)
class Stream:
    """The batches of one epoch: rows in a random order, in slices of `batch_size`; the last slice may be shorter."""

    order: LongArray
    batch_size: int
    batch: Callable[[LongArray], Batch]

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.order), self.batch_size):
            yield self.batch(self.order[start : start + self.batch_size])


Streams: TypeAlias = Callable[[np.random.Generator], Stream]


@dataclass(frozen=True)
class Phases:
    """The passes of one epoch one after the other, each with the number of its phase as each batch's last tensor."""

    passes: tuple[tuple[int, Stream], ...]

    def __len__(self) -> int:
        return sum(len(stream) for _, stream in self.passes)

    def __iter__(self) -> Iterator[Batch]:
        for phase, stream in self.passes:
            for batch in stream:
                yield *batch, torch.tensor(phase)


def in_phases(streams: Streams, *passes: int) -> Callable[[np.random.Generator], Phases]:
    """An epoch of `passes[0]` passes in phase 0, then `passes[1]` in phase 1, and so on; each pass in its own order.

    The phase is the last tensor of each batch, int64, 0-d.
    """
    phases = [phase for phase, count in enumerate(passes) for _ in range(count)]
    return lambda numbers: Phases(tuple((phase, streams(numbers)) for phase in phases))


def with_seeds(streams: Streams) -> Callable[[np.random.Generator], Phases]:
    """One pass an epoch, with a number drawn for it as the last tensor of each batch, int64, 0-d.

    What a loss draws once an epoch follows from that seed, which also tells it that an epoch has begun.
    """
    return lambda numbers: Phases(((int(numbers.integers(2**62)), streams(numbers)),))


def watched_and_not(
    interactions: Interactions, batch_size: int, negatives: int, weights: LongArray | None = None
) -> Streams:
    """(users int64 [rows], films int64 [rows × (1 + negatives)]): the film watched, then films never watched.

    Every event is one row an epoch; the negatives are drawn anew each time, with `weights` (uniformly where None).
    Events of users who have watched every film are left out: no negative exists for them.
    """
    unseen = Unseen.of(interactions, weights)
    events = np.flatnonzero(unseen.free[interactions.users] > 0)

    def epoch(numbers: np.random.Generator) -> Stream:
        def batch(rows: LongArray) -> Batch:
            users = interactions.users[rows].astype(np.int64)
            films = np.empty((len(rows), 1 + negatives), dtype=np.int64)
            films[:, 0] = interactions.items[rows]
            films[:, 1:] = unseen.draw(users, negatives, numbers)
            return torch.from_numpy(users), torch.from_numpy(films)

        return Stream(numbers.permutation(events), batch_size, batch)

    return epoch


def user_batches(interactions: Interactions, batch_size: int) -> Streams:
    """(histories float32 [rows × n_items], binary and dense; users int64 [rows]): one row a user with an event."""
    matrix = interactions.matrix()
    active = np.flatnonzero(np.diff(matrix.indptr))

    def batch(rows: LongArray) -> Batch:
        return torch.from_numpy(matrix[rows].toarray()), torch.from_numpy(rows.astype(np.int64))

    return lambda numbers: Stream(numbers.permutation(active), batch_size, batch)


def film_batches(interactions: Interactions, batch_size: int, users_at_once: int) -> Streams:
    """(films int64 [rows]; histories float32 [1 × users × n_items], binary and dense): one row a film.

    Films in a random order in groups of `batch_size`, the last of which may be smaller; users with an event in blocks
    of about `users_at_once`, never more. Every film meets every user once an epoch: each group each block, in any
    order.
    """
    matrix = interactions.matrix()
    active = np.flatnonzero(np.diff(matrix.indptr))

    def epoch(numbers: np.random.Generator) -> Stream:
        films, people = numbers.permutation(interactions.n_items), numbers.permutation(active)
        groups = np.split(films, range(batch_size, len(films), batch_size))
        blocks = np.array_split(people, -(-len(people) // users_at_once)) if len(people) else []

        def batch(step: LongArray) -> Batch:
            group, block = divmod(int(step[0]), len(blocks))
            return torch.from_numpy(groups[group]), torch.from_numpy(matrix[blocks[block]].toarray())[None]

        return Stream(numbers.permutation(len(groups) * len(blocks)), 1, batch)

    return epoch


def sequence_batches(
    histories: Histories, max_length: int, batch_size: int, with_users: bool = False, latest_only: bool = False
) -> Streams:
    """(inputs int64 [rows × max_length], targets likewise): the target of a column is the film after its input.

    `with_users`: and users, int64 [rows].

    Both are padded on the left with `n_items`. A history of more than max_length + 1 films is cut into windows from its
    end, one row a window: every film but a history's first is a target exactly once an epoch. `latest_only` keeps the
    latest window alone, as SASRec's paper does. Histories of one film have no target and give no row.
    """
    n_targets = np.maximum(histories.lengths - 1, 0)
    n_windows = -(-n_targets // max_length)
    if latest_only:
        n_windows = np.minimum(n_windows, 1)
    owners = np.repeat(np.arange(len(histories)), n_windows)
    from_the_end = np.arange(len(owners)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    ends = histories.offsets[1:][owners] - from_the_end * max_length
    firsts = histories.offsets[:-1][owners] + 1
    items, padding = histories.items, histories.n_items

    def batch(rows: LongArray) -> Batch:
        positions = ends[rows, None] - max_length + np.arange(max_length)[None, :]
        inside = positions >= firsts[rows, None]
        positions = np.where(inside, positions, 1)
        inputs, targets = np.where(inside, items[positions - 1], padding), np.where(inside, items[positions], padding)
        films = torch.from_numpy(inputs.astype(np.int64)), torch.from_numpy(targets.astype(np.int64))
        return (*films, torch.from_numpy(histories.users[owners[rows]].astype(np.int64))) if with_users else films

    return lambda numbers: Stream(numbers.permutation(len(owners)), batch_size, batch)
