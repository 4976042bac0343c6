"""Data without a build, for a notebook or an estimate: a split as it stands, or made in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from recpipe.conf_files import SAMPLE
from recpipe.data.parts import Parts
from recpipe.data.preparing import prepare
from recpipe.data.readers import RawTables, read
from recpipe.data.sample import write_sample
from recpipe.settings import Project
from recpipe.steps.raw import read_raw
from recpipe.yaml_files import SettingsError


def parts_of(project: Project, split: str, source: str = "") -> Parts:
    """The split as it stands; made in memory from the interactions, or from a delivery, where it does not.

    source: a folder or zip in a layout that is read, or `sample`; the current data where it is empty.
    """
    strategy = project.strategy(split)
    if not source and project.store.record("split", split):
        parts: Parts = project.store.read("split", split)
        return parts
    if not source and project.store.record("interactions"):
        return strategy.split(project.store.read("interactions").interactions)
    tables = _delivery(project, source)
    return strategy.split(prepare(tables.ratings, project.dataset().preparation).interactions)


def _delivery(project: Project, source: str) -> RawTables:
    if not source:
        return read_raw(project)
    if source == SAMPLE:
        with TemporaryDirectory() as folder:
            write_sample(Path(folder), seed=project.dataset().sample_seed)
            return read(Path(folder))
    path = Path(source).expanduser()
    if not path.exists():
        raise SettingsError(f"the data {path} do not exist; give a folder, a zip, or 'sample'")
    return read(path)
