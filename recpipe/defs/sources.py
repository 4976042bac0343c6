"""The sources as Dagster shows them: raw files, the YAML of models, splits and ensemble, by digests of their content.

They are for people: they stand in the lineage before what they feed, with a new version at each change. What is rerun
follows from the artifacts' own records (`recpipe.upkeep`).
"""

import json
from collections.abc import Iterator

import dagster as dg

from recpipe.defs.partitions import ARRIVALS, MODELS, SPLITS, register
from recpipe.lineage import Lineage
from recpipe.settings import Project
from recpipe.storage import digest_of
from recpipe.yaml_files import read_yaml

VERSION_TAG = "dagster/data_version"

SOURCES = [
    dg.AssetSpec("raw_files", description="The delivery: files of the configured source.", group_name="sources"),
    dg.AssetSpec(
        "arrived_files",
        description="Files of ratings beside the source.",
        partitions_def=ARRIVALS,
        group_name="sources",
    ),
    dg.AssetSpec(
        "model_settings", description="conf/models/: recipe and settings.", partitions_def=MODELS, group_name="sources"
    ),
    dg.AssetSpec(
        "split_settings",
        description="conf/splits/: strategy and settings.",
        partitions_def=SPLITS,
        group_name="sources",
    ),
    dg.AssetSpec("ensemble_settings", description="conf/ensemble.yaml: members, method, metric.", group_name="sources"),
]


def versions(project: Project) -> dict[str, dict[str, str]]:
    """The version of every source by asset and partition ("" where it has none), as the line itself uses it."""
    models = {model: digest_of(project.model_settings(model)) for model in project.model_names()}
    splits = {split: digest_of(project.split_settings(split)) for split in project.split_names()}
    return {
        "raw_files": {"": Lineage(project).source_version()},
        "arrived_files": Lineage(project).arrivals(),
        "model_settings": models,
        "split_settings": splits,
        "ensemble_settings": {"": digest_of(read_yaml(project.conf / "ensemble.yaml"))},
    }


def sources_sensor() -> dg.SensorDefinition:
    """Brings new and vanished YAML files into the partitions, and new versions of the sources into the lineage."""

    @dg.sensor(
        name="look_at_sources",
        minimum_interval_seconds=Project.here().automation().look_every,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notes new versions of raw files and settings; a new YAML file becomes a partition.",
    )
    def look_at_sources(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        project = Project.here()
        try:
            changes = register(project, context.instance)
            now = versions(project)
        except (ValueError, OSError) as error:  # settings, a file's name, a file that cannot be read
            return dg.SkipReason(f"the sources cannot be read: {error}")
        before = json.loads(context.cursor or "{}")
        seen = list(_changed(before, now))
        if not seen:
            return dg.SkipReason("; ".join(changes) or "nothing changed")
        return dg.SensorResult(asset_events=seen, cursor=json.dumps(now, sort_keys=True))

    return look_at_sources


def _changed(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> Iterator[dg.AssetObservation]:
    for asset, by_partition in now.items():
        for partition, version in by_partition.items():
            if before.get(asset, {}).get(partition) != version:
                yield dg.AssetObservation(asset, partition=partition or None, tags={VERSION_TAG: version})
