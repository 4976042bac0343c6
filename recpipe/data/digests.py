"""Digests of delivered files, computed again only where a file has changed: what is known lies in one small cache."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from recpipe.data.readers.files import DataFile
from recpipe.storage import replace_text

SETTLED = 2_000_000_000
"""Nanoseconds after its last change from which on a file's digest is remembered: within one tick of a coarse clock, a
second change of the same size would go unseen."""

Stamp: TypeAlias = list[int]
"""Size, time of the last change of the content and of the entry (nanoseconds; the latter cannot be set back)."""


@dataclass(frozen=True)
class Digests:
    """sha256 of files by their content. path: the cache, JSON, replaced whole; it may be deleted at any time."""

    path: Path

    def of(self, file: DataFile) -> str:
        """The digest of a file, of what it holds where it is packed. Raises `FileNotFoundError`."""
        stamp = _stamp(file.stored)
        known = self._known()
        told, name = known.get(str(file.stored), {}), file.name
        if told.get("stamp") == stamp and name in told["digests"]:
            return str(told["digests"][name])
        digest = file.digest()
        if stamp == _stamp(file.stored) and time.time_ns() - max(stamp[1:]) > SETTLED:
            digests = told["digests"] if told.get("stamp") == stamp else {}
            entry = {"stamp": stamp, "digests": digests | {name: digest}}
            there = {path: each for path, each in known.items() if Path(path).exists()}
            replace_text(self.path, json.dumps(there | {str(file.stored): entry}, indent=1, sort_keys=True))
        return digest

    def _known(self) -> dict[str, dict]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return {}
        return _entries(self.path, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4)
def _entries(path: Path, modified: int, inode: int) -> dict[str, dict]:
    """Parsed anew only where it was replaced; nobody changes what is returned."""
    try:
        entries: dict[str, dict] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:  # edited by hand: a cache is built anew
        return {}
    return entries


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
