"""Where artifacts lie: one folder an asset and partition, replaced whole or not at all.

A folder holds `record.json`, which names the subfolder of the current version. A new version is written beside it and
becomes current when the record is replaced: a process killed at any moment leaves the old version or the new one.
Published versions lie on this machine (`Local`) or on a storage that machines share (`recpipe/remote.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

RECORD = "record.json"
VIEWS = "views"
"""A subfolder of pictures and pages for people: not part of the content's digest, since times stand in them."""


class Artifact(Protocol):
    """What a step makes: it writes itself to an empty folder; its class reads it back."""

    def write(self, folder: Path) -> None: ...

    @classmethod
    def read(cls, folder: Path) -> Any: ...


class Missing(LookupError):
    """An artifact that was asked for has not been made."""


class VersionGone(LookupError):
    """The version that a record names is not there: another process has replaced it since the record was read."""


@dataclass(frozen=True)
class Record:
    """What is known of an artifact without reading it.

    kind: `module:Class` of the artifact. content: sha256 over its files, the version that everything downstream sees.
    made_from: the versions of what went in, by name. figures: numbers that a person would ask for. notes: sentences for
    people (warnings of health checks, stale members). version: the subfolder. written_at: UTC, ISO 8601.
    """

    asset: str
    partition: str | None
    kind: str
    content: str
    made_from: dict[str, str]
    figures: dict[str, Any]
    version: str
    written_at: str
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return artifact_name(self.asset, self.partition)

    @property
    def place(self) -> PurePosixPath:
        return artifact_place(self.asset, self.partition)

    def json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


class Backend(Protocol):
    """Where published versions and their records lie; a place is relative, as `artifact_place` gives it."""

    def record(self, place: PurePosixPath) -> str | None:
        """The text of a place's record, None where there is none."""

    def records(self, asset: str) -> list[str]:
        """The texts of all records of an asset, in the order of their places."""

    def upload(self, record: Record) -> None:
        """Bring a staged version to where published versions lie; it is not current yet."""

    def replace_record(self, record: Record) -> None:
        """Make an uploaded version the current one, in one atomic replacement."""

    def remove_superseded(self, record: Record, replaced: Record | None) -> None:
        """Remove versions that are no longer needed now that `record` is current and `replaced` no longer is."""

    def fetch(self, record: Record) -> Path:
        """The folder of a published version on this machine; raises `VersionGone`."""

    def address(self, record: Record) -> str:
        """Where a version lies, for people."""

    def put_beside(self, name: str, text: str) -> None:
        """Put a file that is no artifact beside the artifacts, where these lie on a storage of their own."""


@dataclass(frozen=True)
class Local:
    """Published versions are the staged ones: nothing is copied."""

    root: Path

    def record(self, place: PurePosixPath) -> str | None:
        path = self.root / place / RECORD
        return path.read_text(encoding="utf-8") if path.exists() else None

    def records(self, asset: str) -> list[str]:
        return [path.read_text(encoding="utf-8") for path in sorted((self.root / asset).glob(f"**/{RECORD}"))]

    def upload(self, record: Record) -> None:
        """It lies where it was staged."""

    def replace_record(self, record: Record) -> None:
        replace_text(self.root / record.place / RECORD, record.json())

    def remove_superseded(self, record: Record, replaced: Record | None) -> None:
        for old in (self.root / record.place).glob("v-*"):  # the version before, and what killed processes left
            if old.name != record.version:
                shutil.rmtree(old, ignore_errors=True)

    def fetch(self, record: Record) -> Path:
        return self.root / record.place / record.version

    def address(self, record: Record) -> str:
        return str(self.fetch(record))

    def put_beside(self, name: str, text: str) -> None:
        """People look for it in the home folder, where it is put already."""


@dataclass(frozen=True)
class Store:
    """Artifacts under one root folder; with a `remote` the folder holds what is staged and what was fetched."""

    root: Path
    remote: Backend | None = None

    @property
    def backend(self) -> Backend:
        return self.remote or Local(self.root)

    def place(self, asset: str, partition: str | None = None) -> Path:
        """The folder of an artifact on this machine; it may not exist. Partition keys `a|b` become nested folders."""
        return self.root / artifact_place(asset, partition)

    def record(self, asset: str, partition: str | None = None) -> Record | None:
        """The record of what is current, None where nothing was made."""
        text = self.backend.record(artifact_place(asset, partition))
        return None if text is None else Record(**json.loads(text))

    def records(self, asset: str) -> list[Record]:
        """The records of every partition of an asset, in the order of their keys."""
        return [Record(**json.loads(text)) for text in self.backend.records(asset)]

    def folder(self, asset: str, partition: str | None = None) -> Path:
        """The files of what is current, on this machine; raises `Missing`."""
        return self._current(asset, partition)[1]

    def need(self, asset: str, partition: str | None = None) -> Record:
        """The record of what is current; raises `Missing`."""
        record = self.record(asset, partition)
        if record is None:
            name = artifact_name(asset, partition)
            raise Missing(f"{name} has not been made; `recpipe status` shows what is missing, `recpipe build` makes it")
        return record

    def read(self, asset: str, partition: str | None = None) -> Any:
        """The current artifact, as the class that wrote it; raises `Missing`."""
        record, folder = self._current(asset, partition)
        module, _, name = record.kind.partition(":")
        if not module.startswith("recpipe."):
            raise ValueError(
                f"{artifact_name(asset, partition)}: its record names {module}, which is not of this project"
            )
        kind: type[Artifact] = getattr(import_module(module), name)
        return kind.read(folder)

    def stage(
        self,
        asset: str,
        partition: str | None,
        artifact: Artifact,
        made_from: Mapping[str, str],
        figures: Mapping[str, Any],
        notes: Sequence[str] = (),
    ) -> Record:
        """Write an artifact beside the current one, which stays current until `publish`."""
        place = self.place(asset, partition)
        version = f"v-{uuid.uuid4().hex[:12]}"
        folder = place / version
        folder.mkdir(parents=True)
        try:
            artifact.write(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        kind = f"{type(artifact).__module__}:{type(artifact).__qualname__}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Record(
            asset, partition, kind, content_digest(folder), dict(made_from), dict(figures), version, now, list(notes)
        )

    def publish(self, record: Record) -> None:
        """Make a staged artifact the current one, in one atomic replacement, and remove what it replaces."""
        replaced = self.record(record.asset, record.partition)
        self.backend.upload(record)
        self.backend.replace_record(record)
        self.backend.remove_superseded(record, replaced)

    def write(
        self,
        asset: str,
        partition: str | None,
        artifact: Artifact,
        made_from: Mapping[str, str],
        figures: Mapping[str, Any],
        notes: Sequence[str] = (),
    ) -> Record:
        """Stage and publish: an error or a kill in it leaves the old version current."""
        record = self.stage(asset, partition, artifact, made_from, figures, notes)
        self.publish(record)
        return record

    def _current(self, asset: str, partition: str | None) -> tuple[Record, Path]:
        record = self.need(asset, partition)
        try:
            return record, self.backend.fetch(record)
        except VersionGone:  # replaced between the two looks: the new record names a version that is there
            record = self.need(asset, partition)
            return record, self.backend.fetch(record)


def artifact_place(asset: str, partition: str | None) -> PurePosixPath:
    """Where an artifact lies below a store's root: `trained_model/ease/holdout`."""
    return PurePosixPath(asset, *(partition.split("|") if partition else []))


def artifact_name(asset: str, partition: str | None) -> str:
    """How an artifact is named to people: `trained_model[ease|holdout]`."""
    return f"{asset}[{partition}]" if partition else asset


def replace_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def content_digest(folder: Path) -> str:
    """sha256 over the names and bytes of a folder's files, `views` left out."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        name = path.relative_to(folder)
        if name.parts[0] == VIEWS:
            continue
        digest.update(name.as_posix().encode() + b"\0" + file_digest(path).encode() + b"\0")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """sha256 of a JSON-like value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
