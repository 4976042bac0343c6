"""The MovieLens archives from their publisher, GroupLens: resumed after a break, checked, unpacked, licence in hand."""

from __future__ import annotations

import difflib
import re
import shutil
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

from recpipe.data.archives import BadArchive, unpack
from recpipe.data.transfer import DownloadFailed, Progress, check, fetch, no_progress, patiently, published_md5

__all__ = ["ARCHIVES", "BASE_URL", "DownloadFailed", "Downloaded", "Progress", "download", "licence"]

ARCHIVES = ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small")
BASE_URL = "https://files.grouplens.org/datasets/movielens/"


@dataclass(frozen=True)
class Downloaded:
    """folder: the unpacked data. licence: the archive's README, to be shown.

    verified: whether it equals a published checksum; None where the folder was there already.
    """

    folder: Path
    licence: str
    verified: bool | None


def download(
    name: str,
    target: Path,
    *,
    base_url: str = BASE_URL,
    progress: Progress = no_progress,
    attempts: int = 5,
    pause: float = 1.0,
) -> Downloaded:
    """Fetch archive `name` and unpack it to `target/name`. What is there already is not fetched again.

    A broken transfer goes on from `name.zip.part`, at most `attempts` times with a pause that doubles from `pause`
    seconds. The archive is compared with the `.md5` published beside it, and removed where it differs.
    Raises `ValueError` for an unknown name, `DownloadFailed`, `BadArchive`.
    """
    if name not in ARCHIVES:
        near = difflib.get_close_matches(name, ARCHIVES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"no archive is called {name!r}{hint}; known are {', '.join(ARCHIVES)}")
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ValueError(f"{base_url}: an http or https address is wanted")
    folder = target / name
    if folder.exists():
        return Downloaded(folder, licence(folder), verified=None)
    target.mkdir(parents=True, exist_ok=True)
    url = f"{base_url.rstrip('/')}/{name}.zip"
    checksum = patiently(f"{url}.md5", lambda: published_md5(f"{url}.md5"), attempts, pause)
    archive = target / f"{name}.zip"
    if not archive.exists():  # it does where a process was killed between fetching and unpacking
        part = target / f"{name}.zip.part"
        patiently(url, lambda: fetch(url, part, progress), attempts, pause)
        part.replace(archive)
    check(archive, checksum, url)
    _unpack_flat(archive, folder)
    archive.unlink()
    return Downloaded(folder, licence(folder), verified=checksum is not None)


def licence(folder: Path) -> str:
    """The text of the README that lies with the data, HTML tags taken out; empty where there is none."""
    readmes = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.lower().startswith("readme"))
    if not readmes:
        return ""
    content = readmes[0].read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if readmes[0].suffix.lower() in (".html", ".htm"):
        text = unescape(re.sub(r"(?s)<(style|script).*?</\1>|<[^>]*>", "", text))
    return text.strip()


def _unpack_flat(archive: Path, folder: Path) -> None:
    """The published archives hold one folder each; its content becomes `folder`."""
    around = folder.with_name(f".{folder.name}.unpacked")
    shutil.rmtree(around, ignore_errors=True)
    try:
        unpack(archive, around)
    except BadArchive:
        archive.unlink()
        raise
    inside = list(around.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        inside[0].replace(folder)
        around.rmdir()
    else:
        around.replace(folder)
