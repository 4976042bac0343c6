"""The films of the generated world: series, directors with a style of their own, genres, release years, titles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, IntArray

GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "Film-Noir",
    "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
OLDEST, NEWEST = 1931, 2014
STYLE = 16
"""Length of the hidden vectors that films and tastes meet in."""
ADJECTIVES = (
    "Amber", "Borrowed", "Broken", "Burning", "Crooked", "Crystal", "Distant", "Electric", "Empty", "Fading",
    "Forgotten", "Frozen", "Gentle", "Golden", "Hidden", "Hollow", "Invisible", "Iron", "Last", "Little", "Lost",
    "Midnight", "Moonlit", "Northern", "Paper", "Patient", "Quiet", "Restless", "Salt", "Scarlet", "Second", "Secret",
    "Seventh", "Silent", "Silver", "Sleeping", "Stolen", "Strange", "Velvet", "Winter",
)  # fmt: skip
NOUNS = (
    "Accordion", "Alibi", "Archipelago", "Café", "Caravan", "Cartographer", "Cathedral", "Clockmaker", "Compass",
    "Crossing", "Daughter", "Echo", "Embassy", "Ferryman", "Garden", "Ghost", "Harbour", "Harvest", "Horizon",
    "Island", "Kingdom", "Lantern", "Letter", "Lighthouse", "Lodger", "Meridian", "Messenger", "Mirror", "Mountain",
    "Notebook", "Observatory", "Orchard", "Passenger", "Pilot", "Promise", "Republic", "Rivals", "River", "Señorita",
    "Shadow", "Signal", "Station", "Stranger", "Summer", "Telegram", "Tide", "Train", "Verdict", "Village", "Voyage",
)  # fmt: skip
FIRST_NAMES = (
    "Ada", "Aiko", "Amara", "Anton", "Beatriz", "Bruno", "Carmen", "Chidi", "Clara", "Dmitri", "Elena", "Emeka",
    "Farid", "Greta", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kofi", "Laila", "Leo", "Mara", "Mei", "Nadia", "Nils",
    "Olga", "Omar", "Paula", "Ravi", "Rosa", "Sami", "Sofia", "Tariq", "Tomás", "Uma", "Viktor", "Wanda", "Yusuf",
    "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Abara", "Almeida", "Becker", "Bianchi", "Castellan", "Cho", "Dahl", "Duarte", "Eriksen", "Farkas", "Ferreira",
    "Galanis", "Haddad", "Hoffmann", "Ivanova", "Jansen", "Kaminski", "Kowalczyk", "Lindqvist", "Marchetti", "Mbeki",
    "Moreau", "Nakada", "Novak", "O'Dowd", "Okafor", "Petrov", "Quist", "Rahimi", "Romero", "Saarinen", "Santoro",
    "Silva", "Sørensen", "Tanaka", "Urban", "Vasquez", "Weiss", "Yamin", "Zhang",
)  # fmt: skip
ORDINALS = ("", " II", " III", " IV", " V", " VI")


@dataclass(frozen=True, eq=False)
class Films:
    """Row f is film f, numbered from 0 in no order that means anything.

    years: int32. genres: bool [films × genres]. directors, writers: int32 [films × 2], -1 for none. series: int32,
    films of one series share a number; part: int32, their order in it from 0. style: float64 [films × STYLE].
    popularity: float32, weights with a long tail.
    """

    titles: list[str]
    years: IntArray
    genres: NDArray[np.bool_]
    directors: IntArray
    writers: IntArray
    series: IntArray
    part: IntArray
    style: NDArray[np.float64]
    popularity: FloatArray

    def __len__(self) -> int:
        return len(self.titles)


def make_films(n_films: int, random: np.random.Generator) -> Films:
    """Films of directors who keep to a few genres; two in five belong to a series of two to six."""
    lengths = np.where(random.random(n_films) < 0.15, random.integers(2, 7, n_films), 1)
    series = np.repeat(np.arange(n_films, dtype=np.int32), lengths)[:n_films]
    part = (np.arange(n_films) - np.searchsorted(series, series)).astype(np.int32)

    n_people = max(4, n_films // 4)
    leaning = random.dirichlet(np.full(len(GENRES), 0.25), n_people)  # of every director to every genre
    director = np.minimum(random.zipf(1.6, n_films) - 1, n_people - 1)
    busy = random.permutation(n_people)
    director = np.where(random.random(n_films) < 0.6, random.integers(0, n_people, n_films), busy[director])[series]
    genres = _genres(leaning[director], random)[series]

    first_year = NEWEST - np.minimum(random.exponential(16, n_films), NEWEST - OLDEST)
    years = np.minimum(first_year[series] + part * random.integers(1, 4, n_films)[series], NEWEST).astype(np.int32)

    style = 0.9 * (genres / np.sqrt(genres.sum(axis=1, keepdims=True))) @ random.normal(size=(len(GENRES), STYLE))
    style += 0.9 * random.normal(size=(n_people, STYLE))[director] + 0.7 * random.normal(size=(n_films, STYLE))[series]
    rank = random.permutation(n_films)
    popularity = (1.0 / (rank[series] + 0.012 * n_films) ** 1.1) * 0.8**part * random.lognormal(0, 0.3, n_films)

    second = np.where(random.random(n_films) < 0.08, random.integers(0, n_people, n_films), -1)
    second = np.where(second == director, -1, second)
    writer = np.where(random.random(n_films) < 0.35, director, n_people + random.integers(0, n_people, n_films))[series]
    co_writer = np.where(random.random(n_films) < 0.3, n_people + random.integers(0, n_people, n_films), -1)
    co_writer = np.where(co_writer == writer, -1, co_writer)

    shuffled = random.permutation(n_films)  # so that the films of a series are not neighbours in the tables
    titles = _titles(series, part, years, random)
    return Films(
        titles=[titles[film] for film in shuffled],
        years=years[shuffled],
        genres=genres[shuffled],
        directors=np.stack([director, second], axis=1).astype(np.int32)[shuffled],
        writers=np.stack([writer, co_writer], axis=1).astype(np.int32)[shuffled],
        series=series[shuffled],
        part=part[shuffled],
        style=style[shuffled],
        popularity=(popularity / popularity.mean()).astype(np.float32)[shuffled],
    )


def person(number: int) -> str:
    """A name for a director or writer; the same number is always the same person."""
    first, last = number % len(FIRST_NAMES), (number // len(FIRST_NAMES) + number) % len(LAST_NAMES)
    again = number // (len(FIRST_NAMES) * len(LAST_NAMES))
    return f"{FIRST_NAMES[first]} {LAST_NAMES[last]}" + (f" {again + 1}" if again else "")


def _genres(leaning: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
    """One to three genres a film, drawn without repetition by the director's leaning."""
    wanted = random.choice([1, 2, 3], size=len(leaning), p=[0.35, 0.4, 0.25])
    keys = random.exponential(size=leaning.shape) / (leaning + 1e-6)
    ranks = np.argsort(np.argsort(keys, axis=1), axis=1)
    return ranks < wanted[:, None]


def _titles(series: IntArray, part: IntArray, years: IntArray, random: np.random.Generator) -> list[str]:
    """Distinct titles as MovieLens writes them, the article behind: "Silent Harbour, The (1987)"."""
    n_names = len(ADJECTIVES) * len(NOUNS)
    drawn = random.permutation(n_names * (1 + int(series.max()) // n_names))
    titles = []
    for name, sequel, year in zip(drawn[series].tolist(), part.tolist(), years.tolist(), strict=True):
        again, name = divmod(name, n_names)
        words = f"{ADJECTIVES[name % len(ADJECTIVES)]} {NOUNS[name // len(ADJECTIVES)]}"
        remake = f" Again {again}" if again else ""
        article = ", The" if name % 3 else ""
        titles.append(f"{words}{remake}{ORDINALS[sequel]}{article} ({year})")
    return titles
