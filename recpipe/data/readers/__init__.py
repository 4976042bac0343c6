"""Raw data of any known layout into one typed value; the layout is recognised by its files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pyarrow as pa

from recpipe.data.readers import competition, movielens, recbole
from recpipe.data.readers.delimited import DamagedFile
from recpipe.data.readers.files import DataFile, delivered
from recpipe.data.readers.rows import Rows
from recpipe.data.readers.tables import RawTables, ratings_of, sides_of

__all__ = ["DamagedFile", "Delivery", "RawTables", "Rows", "UnknownLayout", "read", "recognise", "source_digest"]

LAYOUTS = (competition, movielens, recbole)


class UnknownLayout(ValueError):
    """No layout was recognised, or more than one."""


@dataclass(frozen=True)
class Delivery:
    """layout: the reader's name. files: those that it reads, by what they hold; the ratings are always there."""

    layout: str
    files: dict[str, DataFile]

    def read(self) -> RawTables:
        """Everything in it. Raises `DamagedFile`, which names file and line."""
        ratings = self.ratings()
        return RawTables.of(ratings, self.sides(ratings))

    def ratings(self) -> Rows:
        """The ratings of `RawTables`, to be read a block at a time; `DamagedFile` may come with any block."""
        return ratings_of(self._reader.ratings(self.files))

    def sides(self, ratings: Rows) -> dict[str, pa.Table]:
        """The side tables of `RawTables` by name, with items of the type that the ratings have."""
        item = ratings.schema.field("item").type
        return sides_of(self._reader.sides(self.files, item), item)

    @property
    def _reader(self) -> ModuleType:
        return next(layout for layout in LAYOUTS if self.layout == layout.NAME)


def read(path: Path) -> RawTables:
    """The data in a folder or a zip archive.

    Raises `FileNotFoundError`, `UnknownLayout`, `DamagedFile`, and `BadArchive` for a zip that is damaged or unsafe.
    """
    return recognise(path).read()


def recognise(path: Path) -> Delivery:
    """Which layout lies in a folder or a zip, at most three folders deep. Raises `UnknownLayout`."""
    files = delivered(path)
    folders: dict[str, dict[str, DataFile]] = defaultdict(dict)
    for file in files:
        folders[file.folder][file.short.lower()] = file
    found = [
        Delivery(layout.NAME, group)
        for layout in LAYOUTS
        for folder in folders.values()
        for group in layout.find(folder)
    ]
    if len(found) == 1:
        return found[0]
    understood = "; ".join(layout.DESCRIPTION for layout in LAYOUTS)
    if found:
        several = ", ".join(f"{delivery.files['ratings'].name} ({delivery.layout})" for delivery in found)
        raise UnknownLayout(
            f"{path}: one data set is wanted, {len(found)} were found: {several}; name one of their folders"
        )
    names = ", ".join(file.name for file in files[:12]) + (", ..." if len(files) > 12 else "")
    raise UnknownLayout(f"{path}: no known layout; found: {names or 'no file'}; understood are: {understood}")


def source_digest(path: Path, digest_of: Callable[[DataFile], str] = DataFile.digest) -> str:
    """sha256 over the layout, the names and the contents of the files that `read` reads: the version of raw data.

    digest_of: the digest of one file; `Digests.of` knows those that have not changed.
    """
    delivery = recognise(path)
    digest = hashlib.sha256(delivery.layout.encode())
    for what, file in sorted(delivery.files.items()):
        digest.update(f"\0{what}\0{file.short}\0{digest_of(file)}".encode())
    return digest.hexdigest()
