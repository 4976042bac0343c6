"""The dimensions of the line: models and splits are the YAML files in conf/, arrivals the files beside the source.

They are dynamic: a file that is added while `dagster dev` runs is a partition within seconds, and one that is removed
is none any more, without a reload of the definitions. Dagster keeps their names in its instance; `register` brings them
there: before every step of a build, at every look at the sources, and before the bare `dagster asset`. An instance that
has never seen a file loses nothing by it: what is current is known from the artifacts.
"""

import dagster as dg

from recpipe.lineage import ARRIVAL
from recpipe.settings import Project

MODELS = dg.DynamicPartitionsDefinition(name="models")
SPLITS = dg.DynamicPartitionsDefinition(name="splits")
MODELS_AND_SPLITS = dg.MultiPartitionsDefinition({"model": MODELS, "split": SPLITS})
ARRIVALS = dg.DynamicPartitionsDefinition(name="arrivals")


def model_and_split(partition_key: str) -> tuple[str, str]:
    """`ease|holdout` → ("ease", "holdout")."""
    model, _, split = partition_key.partition("|")
    return model, split


def register(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Make the instance's partitions those of the files; returns what was added or removed, for people.

    What was made of an arrival that is gone is forgotten.
    """
    changes = []
    files = {"models": project.model_names(), "splits": project.split_names(), "arrivals": project.arrivals()}
    for kind, names in files.items():
        known = instance.get_dynamic_partitions(kind)
        new, gone = [name for name in names if name not in known], [name for name in known if name not in names]
        if new:
            instance.add_dynamic_partitions(kind, new)
        for name in gone:
            instance.delete_dynamic_partition(kind, name)
        changes += [f"{kind}: {name} is new" for name in new] + [f"{kind}: {name} is gone" for name in gone]
    for record in project.store.records(ARRIVAL):
        if record.partition is not None and record.partition not in files["arrivals"]:
            project.store.forget(ARRIVAL, record.partition)
    return changes


if __name__ == "__main__":
    with dg.DagsterInstance.get() as here:
        register(Project.here(), here)
