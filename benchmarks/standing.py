"""Whether a home folder is whole: the same as another, nothing left over, and readable at every moment.

python benchmarks/standing.py HOME STOP    reads every record and artifact of HOME until the file STOP is there
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from recpipe.lineage import Lineage, Node
from recpipe.settings import Project
from recpipe.storage import RECORD, VERSION, Record, content_digest
from recpipe.upkeep import ATTEMPT_FILE

TOP = {"artifacts", "checkpoints", "dagster", "docs", "memory", "raw", "build.lock", "dataset.yaml", "digests.json",
       "submission.csv"}  # fmt: skip
AT_REST = 8.0
"""The reader rests so many times as long as it read: it must not slow the build that it watches."""


def records(project: Project) -> dict[str, Record]:
    """The current records by name."""
    found = (project.store.record(asset, partition) for asset, partition in project.store.places())
    return {record.name: record for record in found if record is not None}


def differences(one: Project, other: Project) -> list[str]:
    """What is not the same in two homes: content and origin of every artifact, bytes of the submission. Times aside."""
    ours, theirs = records(one), records(other)
    found = [f"{name}: only in one of both" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        for part in ("kind", "content", "made_from"):
            if getattr(ours[name], part) != getattr(theirs[name], part):
                found.append(f"{name}: another {part}")
        if content_digest(folder_of(one, ours[name])) != ours[name].content:
            found.append(f"{name}: its files are not what its record says")
    if one.submission_file.read_bytes() != other.submission_file.read_bytes():
        found.append("submission.csv: other bytes")
    return found


def orphans(project: Project, *, build_failed: bool = False) -> list[str]:
    """Files of a home that belong to nothing. Where its last build failed, checkpoints belong to unfinished trainings,
    and the notes of attempts to artifacts of the line that could not be made: automation counts them."""
    accounted: set[Path] = set()
    for asset, partition in project.store.places():
        place = project.store.place(asset, partition)
        versions = [version for version in project.store.versions(asset, partition) if version.record]
        accounted |= {place / version.name for version in versions}
        accounted |= {place / (RECORD if version.current else f"{version.name}.json") for version in versions}
        accounted.add(place / ATTEMPT_FILE)
    files = [path for path in project.store.root.rglob("*") if path.is_file()]
    loose = [path for path in files if not accounted & {path, *path.parents}]
    if build_failed:
        loose = [path for path in loose if not (path.name == ATTEMPT_FILE and _is_of_the_line(project, path.parent))]
    else:
        loose += [path for path in (project.home / "checkpoints").rglob("*") if path.is_file()]
    loose += [path for path in project.home.iterdir() if path.name not in TOP]
    loose += [path for part in ("raw", "docs", "memory") for path in (project.home / part).rglob(".*")]
    loose += sorted(project.claims.glob("*.json"))
    return sorted(str(path.relative_to(project.home)) for path in loose)


def _is_of_the_line(project: Project, place: Path) -> bool:
    """Whether the folder is the place of an artifact that this project makes."""
    asset, *partition = place.relative_to(project.store.root).parts
    return Lineage(project).has(Node(asset, "|".join(partition) or None))


def folder_of(project: Project, record: Record) -> Path:
    """The files of a record, which may have been superseded since it was read."""
    assert VERSION.fullmatch(record.version)
    return project.store.place(record.asset, record.partition) / record.version


def read_all(project: Project) -> int:
    """Read every current artifact and the submission; how many. Raises where anything is not whole."""
    count = 0
    for name, record in records(project).items():
        began = time.monotonic()
        if content_digest(folder_of(project, record)) != record.content:
            raise RuntimeError(f"{name}: its files are not what its record says")
        project.store.read(record.asset, record.partition)
        count += 1
        time.sleep(AT_REST * (time.monotonic() - began))
    if project.submission_file.exists():
        header, *rows = project.submission_file.read_text(encoding="utf-8").splitlines()
        if header != "user,item" or not rows or any(row.count(",") != 1 for row in rows):
            raise RuntimeError("submission.csv is not whole")
        count += 1
    return count


def main() -> None:
    home, stop = map(Path, sys.argv[1:])
    project = Project(home, Project.here().conf)
    os.nice(5)
    reads = passes = 0
    while not stop.exists():
        reads += read_all(project)
        passes += 1
        time.sleep(0.1)
    print(json.dumps({"reads": reads, "passes": passes}))


if __name__ == "__main__":
    main()
