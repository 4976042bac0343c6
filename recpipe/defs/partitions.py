"""The two dimensions of the line: models and splits are the YAML files in conf/.

They are dynamic: a file that is added while `dagster dev` runs is a partition within seconds, and one that is removed
is none any more, without a reload of the definitions. Dagster keeps their names in its instance; `register` brings them
there: before every step of a build, at every look at the sources, and before the bare `dagster asset`.
"""

import dagster as dg

from recpipe.settings import Project

MODELS = dg.DynamicPartitionsDefinition(name="models")
SPLITS = dg.DynamicPartitionsDefinition(name="splits")
MODELS_AND_SPLITS = dg.MultiPartitionsDefinition({"model": MODELS, "split": SPLITS})


def model_and_split(partition_key: str) -> tuple[str, str]:
    """`ease|holdout` → ("ease", "holdout")."""
    model, _, split = partition_key.partition("|")
    return model, split


def register(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Make the instance's partitions those of the YAML files; returns what was added or removed, for people."""
    changes = []
    for kind, names in (("models", project.model_names()), ("splits", project.split_names())):
        known = instance.get_dynamic_partitions(kind)
        new, gone = [name for name in names if name not in known], [name for name in known if name not in names]
        if new:
            instance.add_dynamic_partitions(kind, new)
        for name in gone:
            instance.delete_dynamic_partition(kind, name)
        changes += [f"{kind}: {name} is new" for name in new] + [f"{kind}: {name} is gone" for name in gone]
    return changes


if __name__ == "__main__":
    with dg.DagsterInstance.get() as here:
        register(Project.here(), here)
