"""Where artifacts lie: one folder an asset and partition, replaced whole or not at all.

A folder holds `record.json`, which names the subfolder of the current version. A new version is written beside it and
becomes current when the record is replaced: a process killed at any moment leaves the old version or the new one. What
was replaced stays, with its own record beside it, until `recpipe.retention` takes it: readers that hold it go on.
Published versions lie on this machine (`Local`) or on a storage that machines share (`recpipe/remote.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from recpipe.processes import PROCESS, this_process
from recpipe.space import telling_of_space

RECORD = "record.json"
VIEWS = "views"
"""A subfolder of pictures and pages for people: not part of the content's digest, since times stand in them."""
VERSION = re.compile(rf"v-(?:(?P<process>{PROCESS})-[0-9a-f]{{8}}|[0-9a-f]{{12}})")
"""Names of version folders; those without the process that began them were written before names told it."""
UNFINISHED = re.compile(rf"\..+\.(?P<process>{PROCESS})-[0-9a-f]{{8}}")
"""Names of files and folders that become another's by being renamed."""


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
        """The texts of all records of an asset, of every asset where it is empty, in the order of their places."""

    def upload(self, record: Record) -> None:
        """Bring a staged version to where published versions lie; it is not current yet."""

    def replace(self, record: Record, replaced: Record | None) -> None:
        """Make an uploaded version the current one in place of `replaced`, in one atomic replacement."""

    def remove_record(self, place: PurePosixPath) -> None:
        """Nothing is current in this place any more."""

    def fetch(self, record: Record) -> Path:
        """The folder of a published version on this machine; raises `VersionGone`."""

    def address(self, record: Record) -> str:
        """Where a version lies, for people."""

    def put_beside(self, name: str, text: str) -> None:
        """Put a file that is no artifact beside the artifacts, where these lie on a storage of their own."""


@dataclass(frozen=True)
class Version:
    """One version of an artifact: `name` is its folder, and by it and the artifact's name two are equal.

    record: its own, None where it was never published. current: whether the artifact's record names it.
    superseded_at: when another took its place, None where none has.
    """

    asset: str
    partition: str | None
    name: str
    record: Record | None = field(compare=False)
    current: bool = field(default=False, compare=False)
    superseded_at: datetime | None = field(default=None, compare=False)

    @property
    def process(self) -> str | None:
        """Who began it, where its name tells."""
        told = VERSION.fullmatch(self.name)
        return told and told["process"]


@dataclass(frozen=True)
class Local:
    """Published versions are the staged ones: nothing is copied."""

    root: Path

    def record(self, place: PurePosixPath) -> str | None:
        try:
            return (self.root / place / RECORD).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def records(self, asset: str) -> list[str]:
        return [path.read_text(encoding="utf-8") for path in sorted((self.root / asset).glob(f"**/{RECORD}"))]

    def upload(self, record: Record) -> None:
        """It lies where it was staged."""

    def replace(self, record: Record, replaced: Record | None) -> None:
        """What is replaced stays, with its own record and the time beside it."""
        place = self.root / record.place
        if replaced is not None and replaced.version != record.version:
            told = {"superseded_at": datetime.now(UTC).isoformat(), "record": asdict(replaced)}
            _write_json(place / f"{replaced.version}.json", told)
        replace_text(place / RECORD, record.json())

    def remove_record(self, place: PurePosixPath) -> None:
        (self.root / place / RECORD).unlink(missing_ok=True)

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

    def every_record(self) -> list[Record]:
        """The records of all assets and partitions."""
        return self.records("")

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
        version = f"v-{this_process()}-{uuid.uuid4().hex[:8]}"
        folder = self.place(asset, partition) / version
        with telling_of_space(self.root, artifact_name(asset, partition)):
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
        """Make a staged artifact the current one, in one atomic replacement; what it replaces stays as superseded."""
        replaced = self.record(record.asset, record.partition)
        with telling_of_space(self.root, record.name):
            self.backend.upload(record)
            self.backend.replace(record, replaced)

    def discard(self, record: Record) -> None:
        """Remove what was staged and will not be published."""
        shutil.rmtree(self.place(record.asset, record.partition) / record.version)

    def places(self) -> Iterator[tuple[str, str | None]]:
        """Asset and partition of every folder that holds a version or a record, the unpublished ones included."""
        for path, folders, files in os.walk(self.root):
            versions = {name for name in folders if _is_version(name)}
            folders[:] = sorted(set(folders) - versions)
            asset, *keys = Path(path).relative_to(self.root).parts or ("",)
            if asset and (versions or any(name == RECORD or _is_version(name) for name in files)):
                yield asset, "|".join(keys) or None

    def versions(self, asset: str, partition: str | None = None) -> list[Version]:
        """Every version of an artifact: the current one, superseded ones, the latest first, then unpublished ones."""
        place = self.place(asset, partition)
        current = self.record(asset, partition)
        found = [] if current is None else [Version(asset, partition, current.version, current, current=True)]
        names = {path.name.removesuffix(".json") for path in place.iterdir() if _is_version(path.name)}
        superseded: list[tuple[datetime, Version]] = []
        unpublished = []
        for name in sorted(names - {version.name for version in found}):
            path = place / f"{name}.json"
            if path.exists():
                told = json.loads(path.read_text(encoding="utf-8"))
                at = datetime.fromisoformat(told["superseded_at"])
                superseded.append((at, Version(asset, partition, name, Record(**told["record"]), superseded_at=at)))
            else:
                unpublished.append(Version(asset, partition, name, None))
        superseded.sort(key=lambda told: told[0], reverse=True)
        return [*found, *(version for _, version in superseded), *unpublished]

    def remove_version(self, version: Version) -> None:
        """Remove a version, and folders that are empty then.

        Its record goes first: a kill in between leaves an unpublished folder, never a record without its files.
        """
        if version.current:
            self.backend.remove_record(artifact_place(version.asset, version.partition))
        place = self.place(version.asset, version.partition)
        (place / f"{version.name}.json").unlink(missing_ok=True)
        if (place / version.name).exists():
            shutil.rmtree(place / version.name)
        while place != self.root and not any(place.iterdir()):
            place.rmdir()
            place = place.parent

    def forget(self, asset: str, partition: str) -> None:
        """Remove a partition and its files: what it was made from is gone."""
        self.backend.remove_record(artifact_place(asset, partition))
        shutil.rmtree(self.place(asset, partition), ignore_errors=True)

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
    temporary = unfinished(path)
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """A name beside `path` for what will be renamed to it; it tells which process is at work."""
    return path.with_name(f".{path.name}.{this_process()}-{uuid.uuid4().hex[:8]}")


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
    """sha256 of a JSON-like value, whatever the order of its keys; 1 and 1.0 are the same number."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True, default=str).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_version(name: str) -> bool:
    """Whether a name is of a version's folder, or of the record beside it."""
    return VERSION.fullmatch(name.removesuffix(".json")) is not None


def _write_json(path: Path, value: Any) -> None:
    replace_text(path, json.dumps(value, indent=1, sort_keys=True))
