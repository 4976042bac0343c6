"""Why a film stands on a list, as far as the model can tell it; where it cannot, nothing is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Histories
from recpipe.evaluation.ranking import Ranking
from recpipe.explaining.contributions import Contributions, contributions
from recpipe.explaining.nearness import cosines, film_vectors, films_read
from recpipe.recipe import Scorer
from recpipe.scoring.same_for_all import SameForAll
from recpipe.scoring.top import NO_FILM

SHOWN = 3
"""Parts of a reason that are shown."""

SUM = (
    "The score is a sum over the history: the films that bring most, the others together, and what no film brings "
    "(bias, or the user's own vector)."
)
TREES = (
    "What the columns of the ranker's table bring to the sum of its trees' leaves, which orders the list (Shapley "
    "values), the others together, and what the trees expect of any film."
)
NEAREST = (
    "The films of the history that lie nearest in the model's own film vectors (cosine). No parts of the score: they "
    "tell what the model takes for alike."
)
SAME = "The same order for everybody, without what the user has seen."
PLACES = "The film's places in the members' lists."
NOTHING = "This model gives no reason that could be checked."


@dataclass(frozen=True)
class Part:
    """One part of a reason: films of the history, one or two that vote together, or a `label` where it is no film."""

    value: float
    films: tuple[int, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Reason:
    """Of one film. parts: the largest first. n_others, others: how many more bring something, and what they bring
    together; rest: what none of them brings; with `parts` they add up to `score`. score: None where nothing adds up.
    """

    parts: tuple[Part, ...] = ()
    n_others: int = 0
    others: float = 0.0
    rest: float = 0.0
    score: float | None = None


@dataclass(frozen=True)
class Reasons:
    """how: one sentence on what the numbers are. of: a reason a film, in the order asked; empty where there is none."""

    how: str
    of: tuple[Reason, ...] = ()


def reasons(scorer: Scorer, history: Histories, films: NDArray[np.integer]) -> Reasons:
    """Why these films, which the user has not seen, stand on the list of one user. history: one row."""
    if isinstance(scorer, SameForAll):
        return Reasons(SAME)
    if hasattr(scorer, "trees"):
        from recpipe.explaining.trees import tree_contributions

        found, names = tree_contributions(scorer, history, films)  # type: ignore[arg-type]
        return Reasons(TREES, tuple(_labelled(row, rest, names) for row, rest in found))
    summed = contributions(scorer, history, films)
    if summed is not None:
        return Reasons(SUM, tuple(_sum(summed, place) for place in range(len(films))))
    vectors, read = film_vectors(scorer), films_read(scorer, history)
    if vectors is None or not len(read):
        return Reasons(NOTHING)
    return Reasons(NEAREST, tuple(_nearest(row, read) for row in cosines(vectors, films, read)))


def places(lists: Mapping[str, Ranking], row: int, films: NDArray[np.integer]) -> Reasons:
    """The place, from 1, of each film in the members' lists of one row; a member that does not have it is left out."""
    of = []
    for film in films.tolist():
        found = {member: np.flatnonzero(ranking.items[row] == film) for member, ranking in lists.items()}
        parts = [Part(int(place[0]) + 1, label=member) for member, place in found.items() if len(place)]
        of.append(Reason(tuple(sorted(parts, key=lambda part: part.value))))
    return Reasons(PLACES, tuple(of))


def _sum(summed: Contributions, place: int) -> Reason:
    films = [tuple(film for film in term if film != NO_FILM) for term in summed.films.tolist()]
    parts = [Part(value, term) for value, term in zip(summed.values[place].tolist(), films, strict=True)]
    return _largest(parts, float(summed.rest[place]))


def _labelled(values: NDArray[np.float64] | None, rest: float, names: Sequence[str]) -> Reason:
    if values is None:
        return Reason()
    return _largest([Part(value, label=name) for value, name in zip(values.tolist(), names, strict=True)], rest)


def _largest(parts: list[Part], rest: float) -> Reason:
    """The largest that speak for the film; what speaks against it is among the others."""
    ordered = sorted((part for part in parts if part.value), key=lambda part: -part.value)
    shown = tuple(part for part in ordered[:SHOWN] if part.value > 0)
    left = ordered[len(shown) :]
    score = sum(part.value for part in ordered) + rest
    return Reason(shown, len(left), sum(part.value for part in left), rest, score)


def _nearest(row: NDArray[np.float64], read: NDArray[np.int64]) -> Reason:
    order = np.argsort(-row, kind="stable")[:SHOWN]
    return Reason(tuple(Part(float(row[place]), (int(read[place]),)) for place in order))
