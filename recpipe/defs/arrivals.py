"""The partitions of `arrival`: one a file in the folder of arrivals, by its name.

Models and splits are settings: they are listed when the definitions load, and a new one is a change of the project.
Arrivals are data that come while Dagster runs, so their partitions are dynamic: a sensor or a build registers a new
file's name, and neither the interface nor the daemon needs to load the definitions anew. An instance that has never
seen a file loses nothing: what is current is known from the artifacts, and each build registers what is there.
"""

import dagster as dg

from recpipe.settings import Project

ARRIVALS = dg.DynamicPartitionsDefinition(name="arrivals")


def take_stock(project: Project, instance: dg.DagsterInstance) -> None:
    """Register the arrivals that are there; forget those that are gone, with what was made of them."""
    there, known = set(project.arrivals()), set(instance.get_dynamic_partitions("arrivals"))
    if new := sorted(there - known):
        instance.add_dynamic_partitions("arrivals", new)
    for gone in sorted(known - there):
        instance.delete_dynamic_partition("arrivals", gone)
    for record in project.store.records("arrival"):
        if record.partition is not None and record.partition not in there:
            project.store.forget(record.asset, record.partition)
