"""What a fit by gradients takes: the loop's share, the same for every recipe that learns by it."""

from __future__ import annotations

from dataclasses import dataclass

from recpipe.costs import FLOAT, LONG, MIB, RANKED, Cost, Shape

START = 55 * MIB
"""What torch loads and allocates at its first optimiser and first step, whatever the size of the network."""
START_SECONDS = 0.3


@dataclass(frozen=True)
class Stream:
    """Bytes of a stream of batches: `kept` while it is drawn from, `building` at the peak of its making."""

    kept: float
    building: float


def pairs_stream(shape: Shape) -> Stream:
    """`batches.watched_and_not`: the sampler's two tables, the events and their order, each int64 an event."""
    return Stream(4 * LONG * shape.n_events, 9 * LONG * shape.n_events)


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
    moments and the best epoch's weights, 20 bytes a parameter in all; while validating one copy more, for the scorer or
    the new best, and about half of a step's memory, which was freed and not given back to the system.
    """
    weights = FLOAT * parameters
    on_device = max(5 * weights + step, 6 * weights + scoring + step / 2)
    peak = START + max(on_device + stream.kept, weights + stream.building)
    return Cost(int(peak), START_SECONDS + seconds, int(on_device))


def ranking(shape: Shape, scorers: int = 4) -> float:
    """Bytes while validation ranks a block of users: the scorer's answer and two copies, and `scorers` more rows."""
    return FLOAT * (3 + scorers) * RANKED * shape.n_items
