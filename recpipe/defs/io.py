"""How assets meet the artifact store: the body stages an artifact, the io manager publishes it and reads it back."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from time import monotonic
from typing import Any

import dagster as dg

from recpipe.defs.betas import accepted
from recpipe.defs.retrying import again
from recpipe.lineage import Lineage, Node, Versions
from recpipe.progress import epoch_in_words, listening
from recpipe.settings import Project
from recpipe.storage import Artifact, Missing, Record, digest_of
from recpipe.upkeep import begin_attempt, end_attempt

HOST = "recpipe/host"
"""A run's tag: the machine that executes it. Machines may share one instance; a process is looked for on its own."""


SLOW, SILENCE = 5.0, 60.0
"""Seconds that a line of the log takes where the database is gone, and for which no further line is tried then."""


class ArtifactIO(dg.IOManager):
    """Publishes staged artifacts; reads the current artifact of an upstream asset, whatever class it is."""

    def handle_output(self, context: dg.OutputContext, obj: Record) -> None:
        """Make what the step staged the current version."""
        project = Project.here()
        store = project.store
        with again(obj.name):
            store.publish(obj)
        end_attempt(project, Node(obj.asset, obj.partition))
        if obj.asset == "trained_model" and obj.partition:
            shutil.rmtree(project.checkpoints(obj.partition), ignore_errors=True)  # nobody needs to go on from them
        context.add_output_metadata({"folder": dg.MetadataValue.path(store.backend.address(obj))})

    def load_input(self, context: dg.InputContext) -> Any:
        """The current artifact of the upstream asset and partition."""
        partition = context.asset_partition_key if context.has_asset_partitions else None
        name = context.asset_key.to_user_string()
        try:
            with again(name):
                return Project.here().store.read(name, partition)
        except Missing as missing:
            raise dg.Failure(str(missing)) from missing


class Making:
    """One artifact in the making: what goes into it is fixed at the start, so a change meanwhile leaves it stale."""

    def __init__(self, context: dg.AssetExecutionContext, asset: str | None = None) -> None:
        if context.run.tags.get(HOST) != gethostname():  # asked for from the interface or with `dagster asset`
            context.instance.add_run_tags(context.run.run_id, {HOST: gethostname()})
        self.project = Project.here()
        self.lineage = Lineage(self.project)
        name = asset or context.asset_key.to_user_string()
        self.node = Node(name, context.partition_key if context.has_partition_key else None)
        self._inputs: Versions = self.lineage.versions(self.node)
        if context.retry_number == 0:  # what is tried again within a run is one attempt
            begin_attempt(self.lineage, self.node)

    def checkpoints(self) -> Path:
        """Where this model's training keeps what must survive a kill: other inputs, another folder."""
        return self.project.checkpoints(self.node.partition or "") / digest_of(self._inputs)[:16]

    def stage(self, artifact: Artifact, figures: Mapping[str, Any], notes: Sequence[str] = ()) -> Record:
        """Write the artifact beside the current one; it becomes current when the output is handled."""
        versions = {name: version for name, version in self._inputs.items() if version is not None}
        return self.project.store.stage(self.node.asset, self.node.partition, artifact, versions, figures, notes)

    def output(
        self, artifact: Artifact, figures: Mapping[str, Any], notes: Sequence[str] = (), **views: dg.MetadataValue
    ) -> dg.Output[Record]:
        """Stage the artifact: `figures` go into its record and Dagster's metadata, `views` into the metadata alone."""
        return output(self.stage(artifact, figures, notes), views=views)

    def discard(self, record: Record) -> None:
        """Remove a staged artifact that will not be published."""
        self.project.store.discard(record)

    def staged_folder(self, record: Record) -> Path:
        """Where a staged artifact lies before it is published."""
        return self.project.store.place(record.asset, record.partition) / record.version


def output(record: Record, output_name: str = "result", views: Mapping[str, Any] | None = None) -> dg.Output[Record]:
    """What a step yields: the staged record with its figures as metadata and its content as data version."""
    metadata = {name: as_metadata(value) for name, value in record.figures.items()} | dict(views or {})
    if record.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in record.notes))
    with accepted():  # own data versions: the early cut-off rests on them
        return dg.Output(
            record, output_name=output_name, metadata=metadata, data_version=dg.DataVersion(record.content)
        )


@contextmanager
def logged(context: dg.AssetExecutionContext) -> Iterator[None]:
    """News of the work inside, an epoch for instance, become lines of Dagster's log.

    Where the instance's database is gone, a line waits until Dagster gives up: then a minute goes by without lines, so
    that a training is not held up at every epoch.
    """
    silent_until = 0.0

    def log(news: dict[str, Any]) -> None:
        nonlocal silent_until
        started = monotonic()
        if started < silent_until:
            return
        context.log.info(_sentence(news))
        ended = monotonic()
        if ended - started > SLOW:
            silent_until = ended + SILENCE

    with listening(log):
        yield


def as_metadata(value: Any) -> Any:
    """A figure as Dagster shows it best: numbers plotted over time, the rest as JSON or text."""
    if value is None:
        return dg.MetadataValue.null()
    if isinstance(value, bool | int | float | str):
        return value
    return dg.MetadataValue.json(value)


def _sentence(news: dict[str, Any]) -> str:
    if news.get("event") == "training" and "epoch" in news:
        return epoch_in_words(news)
    return ", ".join(f"{name} {_short(value)}" for name, value in news.items())


def _short(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value
