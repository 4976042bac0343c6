"""What changes as time goes by: how much is watched, who and what comes anew, and whether the same films lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from recpipe.data.interactions import Interactions, LongArray

MOST_PERIODS = 48
PARTS = 4
DRAWS = 4
DAY = 86_400


@dataclass(frozen=True)
class Drift:
    """unit: of the calendar, the finest with at most `MOST_PERIODS` periods: day, week, month, quarter or year.

    periods: the first day of each, none left out. events, active_users, new_users, new_films: of each period; new is
    who or what had no interaction before.
    part_ends: the data cut in order of time into parts of equal size, the time of each part's last interaction.
    rank_correlation: Spearman's of the films' popularity, [parts × parts], over all films; null where nothing is
    ranked. drawn: its mean between parts of the same size that are drawn at random (what no drift at all would give).
    last_part_new_users, last_part_new_films: the share of the last part's interactions whose user, or film, had none
    in the parts before.
    """

    unit: str
    periods: list[str]
    events: list[int]
    active_users: list[int]
    new_users: list[int]
    new_films: list[int]
    part_ends: list[str]
    rank_correlation: list[list[float | None]]
    drawn: float | None
    last_part_new_users: float
    last_part_new_films: float

    @classmethod
    def of(cls, interactions: Interactions) -> Drift:
        """Deterministic: what is drawn has a seed."""
        users, items, times = interactions.users, interactions.items, interactions.times
        unit, starts = _periods(times)
        period = np.searchsorted(starts, times, side="right") - 1
        active = np.unique(period * interactions.n_users + users) // interactions.n_users
        order = np.argsort(times, kind="stable")
        part = np.empty(len(times), dtype=np.int64)
        part[order] = np.arange(len(times)) * PARTS // len(times)
        ends = times[order[-(-np.arange(1, PARTS + 1) * len(times) // PARTS) - 1]]
        last, new_users, new_films = part == PARTS - 1, _first(users, part), _first(items, part)
        random = np.random.default_rng(0)
        drawn = [_correlations(items, random.permutation(part), interactions.n_items) for _ in range(DRAWS)]
        return cls(
            unit=unit,
            periods=_days(starts),
            events=_counted(period, len(starts)),
            active_users=_counted(active, len(starts)),
            new_users=_counted(period[_firsts(users, times)], len(starts)),
            new_films=_counted(period[_firsts(items, times)], len(starts)),
            part_ends=_days(ends),
            rank_correlation=_correlations(items, part, interactions.n_items),
            drawn=_mean_between([each for table in drawn for each in _off_diagonal(table)]),
            last_part_new_users=float((new_users[users[last]] == PARTS - 1).sum() / max(1, last.sum())),
            last_part_new_films=float((new_films[items[last]] == PARTS - 1).sum() / max(1, last.sum())),
        )

    @property
    def neighbours(self) -> float | None:
        """The mean rank correlation of parts that follow one another."""
        return _mean_between([self.rank_correlation[place][place + 1] for place in range(PARTS - 1)])


def _periods(times: LongArray) -> tuple[str, LongArray]:
    """The unit, and the first second of each period from that of the first time to that of the last."""
    first, last = int(times.min()), int(times.max())
    units: dict[str, Callable[[LongArray], LongArray]] = {
        "day": _by_numpy("D", 1), "week": _by_week, "month": _by_numpy("M", 1), "quarter": _by_numpy("M", 3),
        "year": _by_numpy("Y", 1),
    }  # fmt: skip
    for unit, starts in units.items():
        found = starts(np.array([first, last]))
        if len(found) <= MOST_PERIODS or unit == "year":
            return unit, found
    raise AssertionError("years are the last unit")


def _by_numpy(letter: str, each: int) -> Callable[[LongArray], LongArray]:
    """Starts of periods of so many of NumPy's calendar units, counted from 1970."""

    def starts(ends: LongArray) -> LongArray:
        first, last = (ends.astype("datetime64[s]").astype(f"datetime64[{letter}]").astype(np.int64) // each).tolist()
        numbers = np.arange(first, last + 1) * each
        return numbers.astype(f"datetime64[{letter}]").astype("datetime64[s]").astype(np.int64)

    return starts


def _by_week(ends: LongArray) -> LongArray:
    """Weeks begin on Monday; 1970 began on a Thursday."""
    first, last = ((ends // DAY + 3) // 7).tolist()
    return (np.arange(first, last + 1) * 7 - 3) * DAY


def _days(times: LongArray) -> list[str]:
    found: list[str] = np.datetime_as_string(times.astype("datetime64[s]").astype("datetime64[D]")).tolist()
    return found


def _counted(numbers: LongArray, size: int) -> list[int]:
    counts: list[int] = np.bincount(numbers, minlength=size).tolist()
    return counts


def _firsts(rows: np.ndarray, times: LongArray) -> LongArray:
    """Places of the first interaction of each user, or film, in time."""
    order = np.argsort(times, kind="stable")
    _, first = np.unique(rows[order], return_index=True)
    return order[first]


def _first(rows: np.ndarray, part: LongArray) -> LongArray:
    """int64 [rows]: the first part in which each occurs."""
    first = np.full(int(rows.max()) + 1, PARTS, dtype=np.int64)
    for number in range(PARTS - 1, -1, -1):
        first[rows[part == number]] = number
    return first


def _correlations(items: np.ndarray, part: LongArray, n_items: int) -> list[list[float | None]]:
    """Spearman's between the parts' counts a film; None where a part ranks nothing."""
    counts = np.bincount(part * n_items + items, minlength=PARTS * n_items).reshape(PARTS, n_items)
    ranks = [len(np.unique(row)) > 1 for row in counts]

    def between(one: int, other: int) -> float | None:
        return float(spearmanr(counts[one], counts[other]).statistic) if ranks[one] and ranks[other] else None

    upper = {(one, other): between(one, other) for one in range(PARTS) for other in range(one + 1, PARTS)}
    return [
        [1.0 if one == other else upper[min(one, other), max(one, other)] for other in range(PARTS)]
        for one in range(PARTS)
    ]


def _off_diagonal(table: list[list[float | None]]) -> list[float | None]:
    return [table[one][other] for one in range(PARTS) for other in range(one + 1, PARTS)]


def _mean_between(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else None
