"""A page to look at: what people watched, what models recommend to them, why, and what of it was hidden and found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recpipe.data.features import UNKNOWN_YEAR, ItemFeatures
from recpipe.data.interactions import Histories
from recpipe.evaluation import pages
from recpipe.evaluation.ranking import Ranking
from recpipe.explaining.reasons import PLACES, Part, Reason, Reasons
from recpipe.scoring.top import NO_FILM

WATCHED = 20
"""Films of a history that are shown, the latest first."""


@dataclass(frozen=True, eq=False)
class Listed:
    """What one model recommends to the users of a page. ranking: a row a user, in their order. reasons: of each user;
    None for one whom the model does not serve.
    """

    ranking: Ranking
    reasons: Sequence[Reasons | None]


@dataclass(frozen=True, eq=False)
class Looked:
    """users: raw ids. histories: what the models knew of each. targets: the films hidden from each, in order of time,
    no row's the history's. lists: by model. about: what the page is about (the split, which films are marked), in
    sentences.
    """

    users: Sequence[str]
    histories: Histories
    targets: Sequence[Sequence[int]]
    lists: Mapping[str, Listed]
    about: Sequence[str]


@dataclass(frozen=True)
class Film:
    """One film on the page. day: when it was watched, ISO; empty where that is not told."""

    title: str
    year: str
    genres: str
    day: str = ""


@dataclass(frozen=True)
class Row:
    """One film of a list. why: lines, the largest part first. total: the sum in words, empty where nothing adds up."""

    film: Film
    hit: bool
    why: tuple[str, ...]
    total: str


@dataclass(frozen=True)
class Column:
    """One model's list for one user. how: what its reasons are. hits: of so many films hidden. rows: None where the
    model does not serve this user.
    """

    model: str
    how: str
    hits: int
    rows: tuple[Row, ...] | None


@dataclass(frozen=True)
class Person:
    """One user on the page. watched: the latest films, the latest first, of `n_watched`. hidden: each with the models
    that found it.
    """

    user: str
    n_watched: int
    watched: tuple[Film, ...]
    hidden: tuple[tuple[Film, str], ...]
    columns: tuple[Column, ...]


def html(looked: Looked, films: ItemFeatures) -> str:
    """A page that stands alone: no script, nothing fetched, every text escaped. films: side data by row number."""
    return pages.page("look.html", people=people(looked, films), about=looked.about, models=list(looked.lists))


def people(looked: Looked, films: ItemFeatures) -> list[Person]:
    """What the page shows, user by user."""
    return [_person(looked, films, row) for row in range(len(looked.users))]


def _person(looked: Looked, films: ItemFeatures, row: int) -> Person:
    known = looked.histories.rows(np.array([row]))
    hidden = list(looked.targets[row])
    columns = tuple(_column(model, listed, films, row, hidden) for model, listed in looked.lists.items())
    found_by = {film: [model for model, listed in looked.lists.items() if film in listed.ranking.items[row]]
                for film in hidden}  # fmt: skip
    days = np.datetime_as_string(known.times[::-1][:WATCHED].astype("datetime64[s]").astype("datetime64[D]")).tolist()
    latest = zip(known.items[::-1][:WATCHED].tolist(), days, strict=True)
    return Person(
        user=looked.users[row],
        n_watched=len(known.items),
        watched=tuple(_film(films, film, day) for film, day in latest),
        hidden=tuple((_film(films, film), ", ".join(found_by[film])) for film in hidden),
        columns=columns,
    )


def _column(model: str, listed: Listed, films: ItemFeatures, row: int, hidden: Sequence[int]) -> Column:
    reasons = listed.reasons[row]
    if reasons is None:
        return Column(model, "This model has not seen the user at training and serves nobody else.", 0, None)
    items = [film for film in listed.ranking.items[row].tolist() if film != NO_FILM]
    of = reasons.of or [Reason()] * len(items)
    rows = tuple(
        Row(_film(films, film), film in hidden, _why(reason, films, reasons.how), _total(reason))
        for film, reason in zip(items, of, strict=True)
    )
    return Column(model, reasons.how, sum(each.hit for each in rows), rows)


def _film(films: ItemFeatures, film: int, day: str = "") -> Film:
    bag = films.bags["genres"]
    genres = [bag.vocabulary[value] for value in bag.values[bag.offsets[film] : bag.offsets[film + 1]]]
    year = int(films.years[film])
    title = films.titles[film]
    told = "" if year == UNKNOWN_YEAR or f"({year})" in title else str(year)
    return Film(title, told, ", ".join(genres), day)


def _why(reason: Reason, films: ItemFeatures, how: str) -> tuple[str, ...]:
    def told(part: Part) -> str:
        what = part.label or " and ".join(films.titles[film] for film in part.films)
        return f"{what}: {part.value:.0f}" if how == PLACES else f"{_signed(part.value)} {what}"

    return tuple(told(part) for part in reason.parts)


def _total(reason: Reason) -> str:
    if reason.score is None:
        return ""
    count = f"{reason.n_others} other{'s' if reason.n_others > 1 else ''}"
    others = f"{_signed(reason.others)} from {count} " if reason.n_others else ""
    rest = f"{_signed(reason.rest)} in any case " if reason.rest else ""
    return f"{others}{rest}= {reason.score:.4g}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")
