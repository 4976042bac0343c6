"""The layouts in which GroupLens publishes MovieLens: 100K (u.data), 1M and 10M (`::`), 20M and later (csv).

F. M. Harper, J. A. Konstan: The MovieLens Datasets: History and Context, ACM TiiS 2015.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.data.readers.delimited import NUMBER, TEXT, WHOLE, Format, columns, rows
from recpipe.data.readers.files import DataFile
from recpipe.data.readers.rows import Rows
from recpipe.data.readers.tables import one_row_a_value, years_in_titles

NAME = "movielens"
DESCRIPTION = (
    "MovieLens: u.data and u.item (100K), ratings.dat and movies.dat (1M, 10M) "
    "or ratings.csv and movies.csv (20M and later)"
)
FILES = {
    "u.data": {"movies": "u.item", "genres": "u.genre"},
    "ratings.dat": {"movies": "movies.dat"},
    "ratings.csv": {"movies": "movies.csv"},
}
"""The file of ratings of each layout, and what may lie beside it."""
EVENT = ("user", "item", "rating", "time")
FILM = ("item", "title", "genres")
CSV_EVENT = {"userId": WHOLE, "movieId": WHOLE, "rating": NUMBER, "timestamp": WHOLE}
CSV_FILM = {"movieId": WHOLE, "title": TEXT, "genres": TEXT}
NO_GENRE = "(no genres listed)"
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The flags of u.item, in order; u.genre tells them too."""


def find(files: Mapping[str, DataFile]) -> list[dict[str, DataFile]]:
    """The deliveries among the files of one folder: the files by what they hold."""
    return [
        {"ratings": files[ratings], **{what: files[name] for what, name in beside.items() if name in files}}
        for ratings, beside in FILES.items()
        if ratings in files
    ]


def ratings(found: Mapping[str, DataFile]) -> Rows:
    """user, item, rating, time. Ids are whole numbers here; anything else is damage."""
    numbers = {name: NUMBER if name == "rating" else WHOLE for name in EVENT}
    match found["ratings"].short.lower():
        case "u.data":
            return rows(found["ratings"], Format("\t", quotes=False, names=EVENT), numbers)
        case "ratings.dat":
            return rows(found["ratings"], Format("::", quotes=False, names=EVENT), numbers)
        case _:
            told = rows(found["ratings"], Format(","), CSV_EVENT)
            return told.changed(lambda batch: batch.rename_columns(list(EVENT)))


def sides(found: Mapping[str, DataFile], item: pa.DataType) -> dict[str, pa.Table]:
    """Titles, years and genres, where the films were delivered. item: the type of the ids, always `WHOLE`."""
    movies = found.get("movies")
    if not movies:
        return {}
    match movies.short.lower():
        case "u.item":
            return _films_100k(movies, found.get("genres"))
        case "movies.dat":
            kinds = {"item": item, "title": TEXT, "genres": TEXT}
            return _films(columns(movies, Format("::", quotes=False, names=FILM), kinds))
        case _:
            return _films(columns(movies, Format(","), CSV_FILM).rename_columns(list(FILM)))


def _films(table: pa.Table) -> dict[str, pa.Table]:
    items, genres = one_row_a_value(table["item"], pc.split_pattern(table["genres"], "|"), none=NO_GENRE)
    titles = table.select(["item", "title"])
    return {"titles": titles, "years": years_in_titles(titles), "genres": pa.table({"item": items, "genre": genres})}


def _films_100k(movies: DataFile, names: DataFile | None) -> dict[str, pa.Table]:
    genres = GENRES_100K
    if names:
        told = columns(names, Format("|", quotes=False, names=("genre", "number")), {"genre": TEXT, "number": WHOLE})
        genres = tuple(told.sort_by("number")["genre"].to_pylist())
    form = Format("|", quotes=False, names=("item", "title", "released", "on video", "address", *genres))
    table = columns(movies, form, {"item": WHOLE, "title": TEXT, **dict.fromkeys(genres, WHOLE)})
    flags = np.stack([table[genre].to_numpy() for genre in genres], axis=1)
    films, positions = np.nonzero(flags == 1)
    known = np.array(genres)[positions] != "unknown"
    titles = table.select(["item", "title"])
    pairs = {"item": table["item"].take(films[known]), "genre": pa.array(np.array(genres)[positions[known]].tolist())}
    return {"titles": titles, "years": years_in_titles(titles), "genres": pa.table(pairs)}
