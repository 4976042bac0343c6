"""Zip archives from elsewhere, handled as untrusted: nothing lands outside the target, no links, bounded in size."""

from __future__ import annotations

import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from recpipe.storage import unfinished

MOST_BYTES = 16 * 2**30
"""Bytes that an archive may unpack to; the largest published one, ml-32m, has about 1 GiB."""
MOST_FILES = 10_000
ENCRYPTED = 0x1


class BadArchive(ValueError):
    """An archive is damaged, or holds what must not be unpacked."""


def unpack(archive: Path, target: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Unpack a zip into `target`, which must not exist; it appears whole or not at all. Raises `BadArchive`."""
    if target.exists():
        raise FileExistsError(f"{target}: stands in the way of unpacking {archive.name}; move it away first")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = unfinished(target)
    try:
        with _opened(archive) as zipped:
            for member in safe_members(zipped, most_bytes=most_bytes, most_files=most_files):
                place = partial / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(member) as packed, place.open("xb") as file:
                    shutil.copyfileobj(packed, file, 2**20)
        partial.mkdir(exist_ok=True)
        partial.replace(target)
    except (BadZipFile, zlib.error, EOFError, FileExistsError, NotADirectoryError) as error:
        raise BadArchive(f"{archive}: {error}; the archive is damaged, fetch it again") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def safe_members(zipped: ZipFile, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> list[ZipInfo]:
    """The files in an archive, folders left out; raises `BadArchive` if one of them must not be unpacked.

    The sizes that the archive declares are the bound: `zipfile` reads no byte beyond them.
    """
    name = zipped.filename
    files = [member for member in zipped.infolist() if not member.is_dir()]
    if len(files) > most_files:
        raise BadArchive(f"{name}: holds {len(files)} files; at most {most_files} are unpacked")
    size = sum(member.file_size for member in files)
    if size > most_bytes:
        raise BadArchive(f"{name}: unpacks to {size:,} bytes; at most {most_bytes:,} are unpacked")
    for member in files:
        if reason := _refusal(member):
            raise BadArchive(f"{name}: {member.filename!r} {reason}; nothing was unpacked")
    return files


def _refusal(member: ZipInfo) -> str | None:
    path = PurePosixPath(member.filename)
    windows = PureWindowsPath(member.filename)
    if path.is_absolute() or windows.drive or windows.root or ".." in path.parts or ".." in windows.parts:
        return "points outside the archive"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted"
    return None


def _opened(archive: Path) -> ZipFile:
    try:
        return ZipFile(archive)
    except BadZipFile as error:
        raise BadArchive(f"{archive}: {error}; a zip archive is wanted") from error
