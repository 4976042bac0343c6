"""A full disk, said plainly: how much is free, and what makes room."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_IN_WORDS = ("no space left on device", "disk is full", "os error 28", "disk quota exceeded")
"""What libraries that write by themselves say of it: DuckDB, SQLite, safetensors."""
SUSPECT = "disk i/o error"
"""What SQLite also says, of a broken disk too: believed where next to nothing is free."""
SCARCE = 2**20
ADVICE = "`recpipe gc --dry-run` shows what could go, `recpipe gc` removes it; then build again"


class NoSpace(OSError):
    """The disk is full. What was current stays current."""


@contextmanager
def telling_of_space(folder: Path, what: str) -> Iterator[None]:
    """Errors inside that mean a full disk become `NoSpace`; all others pass as they are.

    folder: it tells which disk is meant. what: the thing that could not be written, for the message.
    """
    try:
        yield
    except NoSpace:
        raise
    except BaseException as error:
        suspect = SUSPECT in str(error).lower() and free_bytes(folder) < SCARCE
        if not isinstance(error, Exception) or not (suspect or means_full(error)):
            raise
        raise NoSpace(
            f"{what} could not be written: the disk of {folder} is full ({told_bytes(free_bytes(folder))} free). What "
            f"stood before is untouched. {ADVICE}"
        ) from error


def means_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if _says_full(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def advised(reason: str) -> str:
    """The reason of a failure, with what makes room where it tells of a full disk and not yet what to do."""
    return f"{reason}; {ADVICE}" if _says_full(reason) and ADVICE not in reason else reason


def _says_full(text: str) -> bool:
    return any(words in text.lower() for words in FULL_IN_WORDS)


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder that need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def told_bytes(count: float) -> str:
    """Bytes as people read them: `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
