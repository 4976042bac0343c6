"""What may go: superseded versions, leftovers of killed processes, checkpoints, logs, what a removed YAML left.

What `recpipe.references` reaches never goes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from recpipe.lineage import UNPARTITIONED
from recpipe.processes import lives
from recpipe.references import gone_yaml, referred
from recpipe.settings import Project
from recpipe.storage import UNFINISHED, Store, Version, artifact_name
from recpipe.yaml_files import parse, read_yaml

HELD = timedelta(hours=1)
"""So long may a reader hold what was superseded; left over is what a process of elsewhere did not touch for so long."""


INSTANCES = ("dagster", "dagster-postgres")
"""Of Dagster, in the home folder, as `recpipe.instance` names them; one elsewhere is left alone."""


class Retention(BaseModel):
    """conf/retention.yaml: what stays of what is no longer current."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    superseded_versions: int = Field(1, ge=0, description="superseded versions of an artifact that stay, the latest")
    superseded_days: float = Field(1, ge=0, description="versions superseded within so many days stay, however many")
    checkpoint_days: float = Field(7, ge=0, description="checkpoints of unfinished trainings stay for so many days")
    log_days: float = Field(30, ge=0, description="what steps printed stays for so many days")

    @classmethod
    def of(cls, project: Project) -> Retention:
        """The project's policy, the default one where its settings have no such file."""
        path = project.conf / "retention.yaml"
        return parse(cls, read_yaml(path), path) if path.exists() else cls()


@dataclass(frozen=True)
class Waste:
    """Something that may go: a version, or else files and folders. what and why: for people. size: bytes."""

    what: str
    why: str
    paths: tuple[Path, ...]
    version: Version | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        size = sum(told.st_size for path in self.paths for told in _stats(path))
        object.__setattr__(self, "size", size)


def waste(project: Project, now: datetime, *, ghosts: bool) -> list[Waste]:
    """What the policy lets go at this time, artifacts first. Nothing is changed.

    ghosts: also what models and splits left whose YAML is gone.
    """
    policy = Retention.of(project)
    return [
        *_versions(project, policy, now, ghosts),
        *_unfinished(project, now),
        *_checkpoints(project, policy, now, ghosts),
        *_logs(project, policy, now),
    ]


def remove(project: Project, found: Iterable[Waste]) -> None:
    """Remove it all. The caller holds the build lock."""
    for each in found:
        if each.version is not None:
            project.store.remove_version(each.version)
        else:
            for path in each.paths:
                _remove(path)


def _versions(project: Project, policy: Retention, now: datetime, ghosts: bool) -> Iterator[Waste]:
    store, reached = project.store, referred(project)
    for asset, partition in store.places():
        versions = store.versions(asset, partition)
        gone = gone_yaml(project, asset, partition) if ghosts else ""
        reasons = {**_superseded(versions, policy, now), **_left_over(store, versions, now)}
        for version in versions:
            why = (gone if version.record else "") or reasons.get(version.name, "")
            if why and version not in reached:
                place = store.place(asset, partition)
                paths = (place / version.name, place / f"{version.name}.json")
                yield Waste(artifact_name(asset, partition), why, paths, version)


def _superseded(versions: list[Version], policy: Retention, now: datetime) -> dict[str, str]:
    """Versions by name that the policy no longer keeps, and why."""
    superseded = [(version.name, version.superseded_at) for version in versions if version.superseded_at]
    kept = max(timedelta(days=policy.superseded_days), HELD)
    return {name: f"superseded {_told(at)}" for name, at in superseded[policy.superseded_versions :] if now - at > kept}


def _left_over(store: Store, versions: list[Version], now: datetime) -> dict[str, str]:
    """Versions by name that were never published and will not be, and why."""
    reasons = {}
    for version in versions:
        if version.record is None:
            folder = store.place(version.asset, version.partition) / version.name
            reasons[version.name] = _abandoned(folder, version.process, now)
    return reasons


def _abandoned(path: Path, process: str | None, now: datetime) -> str:
    alive = lives(process) if process else None
    if alive is False:
        return "left over: its process is gone"
    last = _last_written(path, now)
    return f"left over: not written to since {_told(last)}" if alive is None and now - last > HELD else ""


def _unfinished(project: Project, now: datetime) -> Iterator[Waste]:
    """Files and folders that were to be renamed, and records of superseded versions that nothing superseded."""
    store = project.store
    places = [(store.place(asset, partition), store.record(asset, partition)) for asset, partition in store.places()]
    others = [project.home, *_folders(project.home), *_folders(project.home / "raw"), *_folders(project.home / "docs")]
    for folder in [*others, *(place for place, _ in places)]:
        for path in sorted(folder.glob(".*")):
            told = UNFINISHED.fullmatch(path.name)
            why = _abandoned(path, told["process"], now) if told else ""
            if why:
                yield Waste(str(path.relative_to(project.home)), why, (path,))
    for place, current in places:
        note = place / f"{current.version}.json" if current else None
        if note is not None and note.exists() and now - _last_written(note, now) > HELD:
            yield Waste(str(note.relative_to(project.home)), "left over: nothing took its version's place", (note,))


def _checkpoints(project: Project, policy: Retention, now: datetime, ghosts: bool) -> Iterator[Waste]:
    """Folders `checkpoints/MODEL/SPLIT/DIGEST` that no training will go on from, and likewise those of studies."""
    root = project.home / "checkpoints"
    for folder in (digest for model in _folders(root) for split in _folders(model) for digest in _folders(split)):
        model, split, _ = folder.relative_to(root).parts
        last = _last_written(folder, now)
        trained = project.store.record("trained_model", f"{model}|{split}")
        why = gone_yaml(project, "trained_model", f"{model}|{split}") if ghosts and model not in UNPARTITIONED else ""
        if trained is not None and datetime.fromisoformat(trained.written_at) >= last.replace(microsecond=0):
            why = "its training has been finished since"
        elif now - last > timedelta(days=policy.checkpoint_days):
            why = f"not written to since {_told(last)}"
        if why:
            yield Waste(f"checkpoint[{model}|{split}]", why, (folder,))


def _logs(project: Project, policy: Retention, now: datetime) -> Iterator[Waste]:
    """What steps printed, a folder a run. Runs and events stay: they are the history that people see."""
    for run in (run for home in INSTANCES for run in _folders(project.home / home / "storage")):
        last = _last_written(run, now)
        if now - last > timedelta(days=policy.log_days):
            yield Waste(f"log of run {run.name}", f"not written to since {_told(last)}", (run,))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _last_written(path: Path, now: datetime) -> datetime:
    """When a file, or anything in a folder, was written last; now where it vanished meanwhile."""
    times = [told.st_mtime for told in _stats(path)]
    return datetime.fromtimestamp(max(times), UTC) if times else now


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Of a file, or of a folder and everything in it; what vanishes meanwhile is left out."""
    for each in (path, *path.rglob("*")):
        try:
            yield each.stat()
        except FileNotFoundError:
            continue


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
