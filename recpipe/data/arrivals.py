"""Further files of ratings beside the source: every file in one folder is an arrival, its name is the partition."""

from __future__ import annotations

from pathlib import Path

UNFINISHED = (".part", ".tmp")
"""Endings of files that are still being written; hidden ones are left alone too."""


class BadName(ValueError):
    """A file's name cannot be that of a partition."""


def arrived(folder: Path) -> list[Path]:
    """The files of a folder in the order of their names, which is the order in which they count; none without a folder.

    Folders inside it, hidden files and `UNFINISHED` ones are left out. Raises `BadName`.
    """
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    found = [path for path in found if not path.name.lower().endswith(UNFINISHED)]
    for path in found:
        if "|" in path.name or "..." in path.name or not path.name.isprintable():
            raise BadName(f"{path}: '|', '...' and control characters cannot stand in an arrival's name; rename it")
    return sorted(found, key=lambda path: path.name)
