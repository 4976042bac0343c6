"""The two dimensions of the line: models and splits are the YAML files in conf/."""

import dagster as dg

from recpipe.settings import Project

MODELS = dg.StaticPartitionsDefinition(Project.here().model_names())
SPLITS = dg.StaticPartitionsDefinition(Project.here().split_names())
MODELS_AND_SPLITS = dg.MultiPartitionsDefinition({"model": MODELS, "split": SPLITS})


def model_and_split(partition_key: str) -> tuple[str, str]:
    """`ease|holdout` → ("ease", "holdout")."""
    model, _, split = partition_key.partition("|")
    return model, split
