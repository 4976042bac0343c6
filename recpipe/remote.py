"""Artifacts on a storage that machines share, through fsspec: S3 and its like, or a mounted folder.

Published versions never change, so this machine keeps those that it made or fetched. A version is uploaded whole before
one put replaces the record; who reads meanwhile sees the old version or the new one. A version that another machine has
made is downloaded once, beside its place, compared with the digest in its record, and renamed.
"""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from recpipe.storage import RECORD, Local, Record, VersionGone, content_digest, replace_text

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ATOMIC = ("s3", "s3a", "gs", "gcs", "abfs", "az", "file", "memory")
"""Kinds of storage on which replacing one file is one atomic step, by the first word of an address."""

IN_FLIGHT = timedelta(hours=1)
"""How long an upload that was never published may still be under way: younger versions are left alone."""


class Unreachable(OSError):
    """The storage did not answer, or refused, as often as was asked for."""


class Damaged(ValueError):
    """What was downloaded is not what its record tells of."""


@dataclass(frozen=True)
class Remote:
    """Artifacts below `base` on a filesystem of fsspec; `cache` is the folder of this machine.

    url: the address as it was given, for messages.
    """

    files: AbstractFileSystem
    base: str
    url: str
    cache: Local

    @classmethod
    def at(cls, url: str, cache: Path, attempts: int, connect_timeout: float, read_timeout: float) -> Remote:
        """The storage at an address like `s3://bucket/prefix`; nothing is asked of it yet.

        Credentials and the endpoint come from the environment, as the library behind the address reads them. Raises
        ValueError for a kind of storage that is unknown, not installed, or not atomic.
        """
        import fsspec

        check_kind(url)
        options: dict[str, Any] = {"use_listings_cache": False}  # others write there too: every look is a new one
        if url.startswith(("s3://", "s3a://")):
            retries = {"mode": "standard", "max_attempts": attempts}
            options["max_concurrency"] = 1  # parts of one file: with more, every look at a record is two requests
            options["config_kwargs"] = {
                "retries": retries, "connect_timeout": connect_timeout, "read_timeout": read_timeout
            }  # fmt: skip
        if url.startswith("file://"):
            options["auto_mkdir"] = True
        files, base = fsspec.url_to_fs(url, **options)
        return cls(files, base.rstrip("/"), url.rstrip("/"), Local(cache))

    def record(self, place: PurePosixPath) -> str | None:
        with self._reaching():
            try:
                content: bytes = self.files.cat_file(self._path(place, RECORD))
            except FileNotFoundError:
                return None
            return content.decode()

    def records(self, asset: str) -> list[str]:
        with self._reaching():
            found = [
                path for path in self.files.find(f"{self.base}/{asset}".rstrip("/")) if path.endswith(f"/{RECORD}")
            ]
            texts = self.files.cat(found, on_error="return") if found else {}
            for content in texts.values():
                if isinstance(content, BaseException):
                    raise content
        return [content.decode() for _, content in sorted(texts.items())]

    def upload(self, record: Record) -> None:
        """Copy a staged version to the storage; a version that is there already is written again, the same."""
        folder = self.cache.fetch(record)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        there = [self._path(record.place, record.version, path.relative_to(folder).as_posix()) for path in files]
        with self._reaching():
            self.files.put([str(path) for path in files], there)

    def replace(self, record: Record, replaced: Record | None) -> None:
        """One put: storages of objects show the old content or the new one.

        Then versions go that are older than the one just replaced, which somebody may be reading now. Those that were
        uploaded within the last hour stay too: another machine may be about to publish one.
        """
        self._replace(self._path(record.place, RECORD), record.json())
        keep = {record.version} | ({replaced.version} if replaced else set())
        with self._reaching():
            for folder in self.files.ls(self._path(record.place), detail=False):
                version = folder.rstrip("/").rpartition("/")[2]
                if version.startswith("v-") and version not in keep:
                    self._remove_settled(folder)

    def remove_record(self, place: PurePosixPath) -> None:
        """And the versions with it: without a record nobody finds them."""
        with self._reaching():
            if self.files.exists(self._path(place)):
                self.files.rm(self._path(place), recursive=True)

    def fetch(self, record: Record) -> Path:
        """The version's folder on this machine, downloaded where it is not there yet.

        Raises `VersionGone` where the storage has no such version, `Damaged` where its files are not those of the
        record: what is torn or changed is never used.
        """
        folder = self.cache.fetch(record)
        if not folder.exists():
            self._download(record, folder)
            _forget_cached(folder)
        return folder

    def address(self, record: Record) -> str:
        return "/".join((self.url, str(record.place), record.version))

    def put_beside(self, name: str, text: str) -> None:
        self._replace(f"{self.base}/{name}", text)

    def _download(self, record: Record, folder: Path) -> None:
        source = self._path(record.place, record.version)
        beside = folder.with_name(f".{record.version}.{uuid.uuid4().hex[:8]}")
        try:
            with self._reaching():
                names = self.files.find(source)
                targets = [beside / path.removeprefix(f"{source}/") for path in names]
                for parent in {target.parent for target in targets}:
                    parent.mkdir(parents=True, exist_ok=True)
                try:
                    self.files.get(names, [str(target) for target in targets])
                except FileNotFoundError:  # removed while it was read
                    names = []
                if not names or self.files.find(source) != names:
                    raise VersionGone(self._told(record, "is not there any more, or not whole"))
            self._compare(record, beside)
            _rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _compare(self, record: Record, beside: Path) -> None:
        if content_digest(beside) != record.content:
            raise Damaged(self._told(record, "is not what its record tells of"))

    def _told(self, record: Record, what: str) -> str:
        return (
            f"{record.name}: {self.address(record)} {what}. Where this stays so, remove "
            f"{self.url}/{record.place}/{RECORD} and call `recpipe build`, which makes the artifact anew"
        )

    def _remove_settled(self, folder: str) -> None:
        try:
            latest = max(self.files.modified(path) for path in self.files.find(folder))
            if latest < datetime.now(UTC) - IN_FLIGHT:
                self.files.rm(folder, recursive=True)
        except FileNotFoundError:
            return  # another machine has removed it meanwhile: what was wanted

    def _replace(self, path: str, text: str) -> None:
        with self._reaching():
            if self.url.startswith("file://"):
                replace_text(Path(path), text)  # on a mounted folder a put is not atomic, renaming is
            else:
                self.files.pipe_file(path, text.encode())

    def _path(self, place: PurePosixPath, *names: str) -> str:
        return "/".join((self.base, str(place), *names))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What the storage's library raises in the end becomes one error with a sentence for people."""
        try:
            yield
        except _storage_errors() as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise Unreachable(
                f"the artifacts' storage {self.url} could not be used ({told}); what is published stays as it is: call "
                "the command again when the storage is back, and it goes on from there"
            ) from None  # its own cause would be told in place of this sentence


def check_kind(url: str) -> None:
    """Raises ValueError, with what to do, unless the address is of a storage that can hold artifacts."""
    from fsspec.registry import known_implementations

    kind, separator, rest = url.partition("://")
    if not separator or kind not in ATOMIC:
        raise ValueError(f"an address such as s3://bucket/prefix was wanted, of one of: {', '.join(ATOMIC)}")
    if "@" in rest.partition("/")[0] and kind in {"s3", "s3a"}:
        raise ValueError("credentials do not belong into an address; they come from the environment")
    implementation = known_implementations[kind]
    if find_spec(implementation["class"].partition(".")[0]) is None:
        raise ValueError(f"{kind}:// needs a package: {implementation['err']}; for S3: pip install 'recpipe[s3]'")


def _forget_cached(current: Path) -> None:
    """Remove this machine's older versions of an artifact, and downloads that were cut off, after an hour."""
    before = (datetime.now(UTC) - IN_FLIGHT).timestamp()
    for old in (*current.parent.glob("v-*"), *current.parent.glob(".v-*")):
        if old != current and old.stat().st_mtime < before:
            shutil.rmtree(old, ignore_errors=True)


def _rename(beside: Path, folder: Path) -> None:
    try:
        beside.rename(folder)
    except OSError:
        if not folder.exists():  # else another process of this machine was first, with the same files
            raise


def _storage_errors() -> tuple[type[BaseException], ...]:
    """OSError, and the errors of the library behind s3://, which are not; of what is not loaded nothing can come."""
    named = (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"),
             ("aiohttp", "ClientError"))  # fmt: skip
    loaded = (getattr(sys.modules.get(module), name, None) for module, name in named)
    return (OSError, *(error for error in loaded if error is not None))
