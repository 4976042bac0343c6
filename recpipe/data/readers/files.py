"""The files of a delivery, in a folder or inside a zip archive, read without unpacking."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast
from zipfile import BadZipFile, ZipFile

from recpipe.data.archives import BadArchive, safe_members

DEPTH = 3
"""Levels of folders that are looked at."""
PACKED = ".gz"
"""The ending of a single packed file."""


@dataclass(frozen=True)
class DataFile:
    """place: the folder or the zip archive. name: the path inside it, with forward slashes."""

    place: Path
    name: str

    def __str__(self) -> str:
        return f"{self.place.name}/{self.name}"

    @property
    def short(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.name).parent)

    @property
    def stored(self) -> Path:
        """The file on disk: of a member of an archive, the archive."""
        return self.place / self.name if self.place.is_dir() else self.place

    @property
    def plain(self) -> bool:
        """Whether it lies on disk as it is, neither in an archive nor packed."""
        return self.place.is_dir() and not self.name.lower().endswith(PACKED)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The content, unpacked where the name ends in .gz. Raises `BadArchive`."""
        with self._packed() as packed:
            if not self.name.lower().endswith(PACKED):
                yield packed
                return
            try:
                with gzip.GzipFile(fileobj=packed) as unpacked:
                    yield cast(IO[bytes], unpacked)
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise BadArchive(f"{self}: {error}; the file is damaged, deliver it again") from error

    @contextmanager
    def _packed(self) -> Iterator[IO[bytes]]:
        if self.place.is_dir():
            with (self.place / self.name).open("rb") as file:
                yield file
        else:
            try:
                with ZipFile(self.place) as archive, archive.open(self.name) as member:
                    yield member
            except (BadZipFile, zlib.error, EOFError) as error:
                raise BadArchive(f"{self}: {error}; the archive is damaged, fetch it again") from error

    def content(self) -> bytes:
        with self.open() as file:
            return file.read()

    def digest(self) -> str:
        """sha256 of the content, in hexadecimal; of a packed file, of what it holds."""
        digest = hashlib.sha256()
        with self.open() as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()


def delivered(path: Path) -> list[DataFile]:
    """Every file under a folder or in a zip, hidden ones left out, in the order of their names."""
    if path.is_dir():
        found = list(_under(path))
    elif path.is_file():
        try:
            with ZipFile(path) as archive:
                found = [member.filename for member in safe_members(archive)]
        except BadZipFile as error:
            raise BadArchive(f"{path}: {error}; a folder or a zip archive is wanted") from error
    else:
        raise FileNotFoundError(f"{path}: is not there; a folder or a zip archive with ratings is wanted")
    return [DataFile(path, name) for name in sorted(found) if not _hidden(name)]


def _under(path: Path) -> Iterator[str]:
    """Files by their path in a folder, without a look into hidden folders: what is being written there may vanish."""
    for folder, folders, names in os.walk(path, followlinks=True):
        place = Path(folder).relative_to(path)
        folders[:] = [name for name in folders if not _hidden(name)] if len(place.parts) < DEPTH - 1 else []
        yield from ((place / name).as_posix() for name in names if Path(folder, name).is_file())


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
