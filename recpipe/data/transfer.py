"""One file over HTTP: tried again when the line breaks, resumed where it stopped, compared with its checksum."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT = 30.0
BLOCK = 2**18

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
"""Receives the bytes so far and the bytes in all, None where the server does not say."""


class DownloadFailed(RuntimeError):
    """A file could not be fetched, or is not what its publisher says it is."""


def no_progress(done: int, total: int | None) -> None:
    """Tells nobody."""


def patiently(url: str, step: Callable[[], T], attempts: int, pause: float) -> T:
    """Repeat a step that fails in a way that may pass."""
    for attempt in range(attempts):
        try:
            return step()
        except (OSError, HTTPException) as error:  # urllib's errors and timeouts are OSErrors
            if isinstance(error, HTTPError):
                error.close()
                if error.code < 500 and error.code not in (408, 429):
                    raise DownloadFailed(f"{url}: the server answers {error.code} {error.reason}") from error
            if attempt == attempts - 1:
                raise DownloadFailed(
                    f"{url}: {attempts} attempts failed, the last with: {error}; "
                    "run the command again, it goes on from where it stopped"
                ) from error
            time.sleep(pause * 2**attempt)
    raise ValueError(f"attempts: at least 1 is wanted, {attempts} came")


def published_md5(url: str) -> str | None:
    """The checksum that stands beside a file, `digest  name` or `MD5 (name) = digest`; None where there is none."""
    try:
        with urlopen(Request(url), timeout=TIMEOUT) as answer:
            text = answer.read(4096).decode("ascii", errors="replace")
    except HTTPError as error:
        if error.code not in (403, 404, 410):
            raise
        error.close()
        return None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if not found:
        raise DownloadFailed(f"{url}: a checksum is wanted, {text[:80]!r} came")
    return found.group().lower()


def fetch(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing to `part`. Raises OSError where the transfer breaks: what has come stays."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        answer = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        if error.headers.get("Content-Range") == f"bytes */{done}":
            return  # it was whole
        part.unlink()
        raise OSError("the part on disk is not of this archive; it was removed") from error
    with answer:
        if answer.status != 206:  # the server does not know ranges and begins at the beginning
            done = 0
        rest = answer.headers.get("Content-Length")
        total = None if rest is None else done + int(rest)
        with part.open("ab" if done else "wb") as file:
            progress(done, total)
            while block := answer.read(BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection closed after {done:,} of {total:,} bytes")


def check(archive: Path, checksum: str | None, url: str) -> None:
    """Remove a file that is not what its publisher says, and raise `DownloadFailed`."""
    with archive.open("rb") as file:
        came = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if checksum is not None and came != checksum:
        archive.unlink()
        raise DownloadFailed(f"{url}: the published md5 is {checksum}, {came} came; the file was removed, try again")
