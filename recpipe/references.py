"""What leaderboards, submission, ensemble and reports were made from: versions that stay, superseded or not.

They name what they were made from by the digest of its content, and that names what it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from recpipe.settings import Project
from recpipe.storage import Record, Version

KEPT = ("leaderboard", "ensemble", "ensemble_submission")
"""Stay even where the YAML of their split is gone, and with them all that they were made from."""


def referred(project: Project) -> set[Version]:
    """The current versions of these assets and of the reports of present models, and all that they were made from.

    Several versions may have one content: the current one stands for it, or else the one superseded last.
    """
    store = project.store
    by_content: dict[tuple[str, str], Version] = {}
    waiting: list[Version] = []
    for asset, partition in store.places():
        for version in store.versions(asset, partition):
            if version.record is not None:
                by_content.setdefault((version.record.name, version.record.content), version)
            if version.current and _refers(project, asset, partition):
                waiting.append(version)
    reached: set[Version] = set()
    while waiting:
        version = waiting.pop()
        if version not in reached and version.record is not None:
            reached.add(version)
            waiting.extend(_made_from(version.record, by_content))
    return reached


def gone_yaml(project: Project, asset: str, partition: str | None) -> str:
    """Which YAML an artifact is about that is there no longer, as a sentence; empty where all are there."""
    if partition is None or asset in KEPT:
        return ""
    model, _, split = partition.rpartition("|")
    if model and model not in project.model_names():
        return f"there is no model {model} any more"
    return "" if split in project.split_names() else f"there is no split {split} any more"


def _made_from(record: Record, by_content: Mapping[tuple[str, str], Version]) -> Iterator[Version]:
    for upstream in record.made_from.items():
        if upstream in by_content:
            yield by_content[upstream]


def _refers(project: Project, asset: str, partition: str | None) -> bool:
    return asset in KEPT or (asset == "evaluation_report" and not gone_yaml(project, asset, partition))
