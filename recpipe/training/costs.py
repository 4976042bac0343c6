"""What a fit by gradients takes: the loop's share, the same for every recipe that learns by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recpipe.costs import FLOAT, LONG, MIB, RANKED, Cost, Shape
from recpipe.data.interactions import LongArray
from recpipe.training.losses import BLOCK

START = 55 * MIB
"""What torch loads and allocates at its first optimiser and first step, whatever the size of the network."""
START_SECONDS = 0.3
PRODUCT = 7e-11
"""CPU seconds of one multiplication and addition of `sparse_tensors.sparse_product`."""


@dataclass(frozen=True)
class Stream:
    """Bytes of a stream of batches: `kept` while it is drawn from, `building` at the peak of its making."""

    kept: float
    building: float


def pairs_stream(shape: Shape) -> Stream:
    """`batches.watched_and_not`: the sampler's three tables, the events and their order, each int64 an event, and
    its marks, at most one more; twice as much while they are made."""
    return Stream(6 * LONG * shape.n_events, 11 * LONG * shape.n_events)


def users_stream(shape: Shape) -> Stream:
    """`batches.user_batches`: the matrix of users and films, CSR."""
    return Stream(2 * FLOAT * shape.n_events, 5 * FLOAT * shape.n_events)


def windows_stream(shape: Shape, max_length: int) -> Stream:
    """`batches.sequence_batches`: four int64 a window; the films themselves lie in the data."""
    return Stream(4 * LONG * shape.windows(max_length), 6 * LONG * shape.windows(max_length))


def learned(parameters: int, step: float, scoring: float, stream: Stream, seconds: float) -> Cost:
    """The cost of `loop.learn`.

    parameters: of the network. step: bytes of one batch and of everything between it and the loss, gradients included.
    scoring: bytes while scores are asked for. While learning there are the weights, their gradients, AdamW's two
    moments and the best epoch's weights; while validating one copy more, for the scorer or the new best: 24 bytes a
    parameter in all. Steps and validation take turns, yet their bytes add up: what one of them frees stays with the
    allocator in pieces that do not suit the other. A checkpoint has the weights, the best epoch's and both moments: on
    the CPU it is written from where they lie, from a GPU they are copied first.
    """
    weights = FLOAT * parameters
    on_device = 6 * weights + step + scoring
    peak = START + max(on_device + stream.kept, weights + stream.building)
    return Cost(int(peak), START_SECONDS + seconds, int(on_device), int(4 * weights))


def of_varying_size(n_bytes: float) -> float:
    """What an array whose size changes from step to step comes to take, from its usual size in bytes.

    Below 32 MiB it lies in the allocator's heap (glibc's largest threshold), where the gaps that it leaves rarely suit
    the next one: measured three times its size after some hundred steps. Above, it is given back to the system at once.
    """
    return n_bytes if n_bytes >= 32 * MIB else 3 * n_bytes


def graph_bytes(shape: Shape) -> float:
    """Of `Graph`: two entries an event, two indices and a weight each; three int64 an event stay from its making."""
    return (2 * (2 * LONG + FLOAT) + 3 * LONG) * shape.n_events


def propagation(shape: Shape, columns: int, times: int) -> float:
    """CPU seconds of `times` products of the graph with vectors of so many columns, there and in the gradient back."""
    return PRODUCT * 2 * times * 2 * shape.n_events * columns


def met(counts: LongArray, rows: int) -> float:
    """How many different users, or films, a batch of so many events holds, expected; counts: the events of each."""
    return float(-np.expm1(-rows * counts / max(1, counts.sum())).sum())


def contrasts(shape: Shape, rows: int, size: int) -> tuple[float, float]:
    """Bytes and CPU seconds of `Graph.contrast` of both sides in a step of `rows` events: a block of logits, unit
    vectors of both and their gradients; of each pair of a user of the batch with any user, and of a film of it with any
    film, the time.
    """
    sides = ((met(shape.lengths, rows), shape.n_users), (met(shape.counts, rows), shape.n_items))
    pairs = sum(found * side for found, side in sides)
    vectors = 2 * size * sum(found + side for found, side in sides)
    return FLOAT * vectors + softmax_bytes(*sides[0], size), pairs_seconds(pairs, size)


def softmax_bytes(rows: float, candidates: float, size: int) -> float:
    """Of `losses.softmax_over`: a block of logits, and both gradients."""
    return FLOAT * (min(BLOCK["cpu"], rows * candidates) + 2 * size * (rows + candidates))


def pairs_seconds(pairs: float, size: int) -> float:
    """CPU seconds of `losses.softmax_over` with so many logits, of vectors of this size, the gradients included."""
    return pairs * (2e-9 + 7e-11 * size)


def ranking(shape: Shape, scorers: int = 4) -> float:
    """Bytes while validation ranks a block of users: the scorer's answer and two copies, and `scorers` more rows."""
    return FLOAT * (3 + scorers) * RANKED * shape.n_items
