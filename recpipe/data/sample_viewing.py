"""Who watches what in the generated world, and when.

A film is drawn by a product of weights: its popularity at that time (a long tail, decay after the release, nothing
before it), the user's taste (which moves from one taste to another over the years), what follows the film before (the
next part of a series, the same director), and not yet seen. Films come in evenings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, IntArray, LongArray
from recpipe.data.sample_films import STYLE, Films

OPENING = 1_262_304_000
"""2010-01-01, unix seconds: nobody watches before."""
MONTHS = 60
DAY = 86_400
MONTH = 30.4375 * DAY
FEWEST = 20
"""Events of every user, at least."""
TASTE = 2.3
"""How sharp tastes are: the scale of the logarithm of the weights."""
FOLLOWING = {"next": 260.0, "series": 25.0, "director": 7.0}
"""How much likelier a film becomes after one that it follows: the next part, another part, the same director."""


@dataclass(frozen=True, eq=False)
class Events:
    """Who watched what: users and films by number from 0, int32; times: int64. Sorted by (user, time)."""

    users: IntArray
    films: IntArray
    times: LongArray


def watch(films: Films, n_users: int, n_events: int, random: np.random.Generator) -> Events:
    """Let users choose films, one after the other, all users at once."""
    lengths = _history_lengths(n_users, n_events, most=longest(len(films)), random=random)  # longest first
    times = _evenings(lengths, random)  # [users × longest]
    months = ((times - OPENING) // MONTH).astype(np.int64)
    early, late = (np.exp(TASTE * taste).astype(np.float32) for taste in _tastes(films, n_users, random))
    change = late - early
    appeal = _appeal(films, random)
    follows = _follows(films)

    chosen = np.full(times.shape, -1, dtype=np.int32)
    for step in range(times.shape[1]):
        active = int(np.searchsorted(-lengths, -step, side="left"))  # users with more than `step` events come first
        moved = ((times[:active, step] - OPENING) / (MONTHS * MONTH)).astype(np.float32)[:, None]
        weights = change[:active] * moved
        weights += early[:active]
        weights *= appeal[months[:active, step]]
        if step:
            weights *= follows[chosen[:active, step - 1]]
        below = np.cumsum(weights, axis=1)
        mark = random.random(active, dtype=np.float32) * below[:, -1]
        picks = (below > np.minimum(mark, np.nextafter(below[:, -1], np.float32(0)))[:, None]).argmax(axis=1)
        chosen[:active, step] = picks
        early[np.arange(active), picks] = change[np.arange(active), picks] = 0  # seen

    rows = random.permutation(n_users)  # long histories are not the first ids
    inside = chosen[rows] >= 0
    users = np.repeat(np.arange(n_users, dtype=np.int32), lengths[rows])
    return Events(users, chosen[rows][inside], times[rows][inside])


def longest(n_items: int) -> int:
    """Events of a user, at most: some films are not out yet, and there are only so many evenings."""
    return min(int(0.45 * n_items), 3000)


def _history_lengths(n_users: int, n_events: int, most: int, random: np.random.Generator) -> LongArray:
    """Log-normal, between `FEWEST` and `most`, adding up to `n_events`; the longest first."""
    spare = n_events - FEWEST * n_users
    share = random.lognormal(0, 1.0, n_users)
    room = most - FEWEST
    extra = np.zeros(n_users)
    for _ in range(50):  # what the full ones cannot take goes to the others
        free = extra < room
        left = spare - extra.sum()
        if left < 1 or not free.any():
            break
        extra[free] = np.minimum(extra[free] + left * share[free] / share[free].sum(), room)
    whole = np.floor(extra).astype(np.int64)
    for _ in range(n_users):
        missing = spare - int(whole.sum())
        if missing <= 0:
            break
        whole[np.flatnonzero(whole < room)[:missing]] += 1
    return np.sort(FEWEST + whole)[::-1].copy()


def _evenings(lengths: LongArray, random: np.random.Generator) -> LongArray:
    """int64 [users × longest]: ascending unix seconds, one to four films an evening, over some months of each user.

    Behind a user's length the times mean nothing.
    """
    shape = (len(lengths), int(lengths.max()))
    column = np.arange(shape[1])[None, :]
    begins = random.random(shape) < 0.45
    begins[:, 0] = True
    begins |= (column - np.maximum.accumulate(np.where(begins, column, 0), axis=1)) % 4 == 0
    evening = np.cumsum(begins, axis=1) - 1

    last = lengths[:, None] - 1
    nights = np.take_along_axis(evening, last, axis=1) + 1
    days = int(MONTHS * MONTH / DAY) - 2
    idle = np.minimum(nights * random.lognormal(1.0, 0.8, nights.shape), days - nights)  # days without a film
    passed = np.cumsum(np.where(begins, random.exponential(size=shape), 0.0), axis=1)
    passed *= idle / np.take_along_axis(passed, last, axis=1)
    joined = np.floor(random.random(nights.shape) * (days - nights - idle))
    day = joined + np.floor(passed) + evening

    seven_or_so = np.take_along_axis(random.uniform(17.0, 20.0, shape), evening, axis=1) * 3600
    running = np.cumsum(random.uniform(95.0, 150.0, shape), axis=1) * 60
    since = running - np.maximum.accumulate(np.where(begins, running, 0.0), axis=1)
    return (OPENING + day * DAY + seven_or_so + since).astype(np.int64)


def _tastes(films: Films, n_users: int, random: np.random.Generator) -> Iterable[NDArray[np.float64]]:
    """How much users like films when they join the world and when it ends: [users × films] each, of unit variance."""
    circles = random.normal(size=(12, STYLE))
    begin = circles[random.integers(0, len(circles), n_users)] + 0.7 * random.normal(size=(n_users, STYLE))
    end = 0.7 * begin + 0.7 * (circles[random.integers(0, len(circles), n_users)])
    for vectors in (begin, end):
        taste = vectors @ films.style.T
        yield (taste - taste.mean(axis=1, keepdims=True)) / taste.std(axis=1, keepdims=True)


def _appeal(films: Films, random: np.random.Generator) -> FloatArray:
    """float32 [months × films]: popularity, higher while a film is new, 0 before its release."""
    release = (films.years - 2010) * 12 + random.integers(1, 12, len(films))
    age = np.arange(MONTHS)[:, None] - release[None, :]
    novelty = 1.0 + 4.0 * np.exp(-np.maximum(age, 0) / 8.0)
    return np.where(age >= 0, films.popularity * novelty, 0.0).astype(np.float32)


def _follows(films: Films) -> FloatArray:
    """float32 [film before × film]: how much likelier a film is after another."""
    follows = np.ones((len(films), len(films)), dtype=np.float32)
    for director in films.directors.T:
        known = (director[:, None] >= 0) & (director[:, None] == films.directors[:, 0])
        follows[known] = FOLLOWING["director"]
    same = films.series[:, None] == films.series[None, :]
    follows[same] = FOLLOWING["series"]
    follows[same & (films.part[None, :] == films.part[:, None] + 1)] = FOLLOWING["next"]
    return follows
