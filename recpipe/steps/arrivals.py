"""One arrival: read, its rows judged by the rules of stg_ratings, the sound ones held against the suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recpipe.data.readers.arrived import Form, read_arrived
from recpipe.data.readers.files import DataFile
from recpipe.lineage import Lineage
from recpipe.steps.tables import SqlTable
from recpipe.storage import Missing

if TYPE_CHECKING:
    from recpipe.validation.outcome import Outcome

JUDGED = "stg_ratings"
"""The table whose rules judge the rows of the source, and those of an arrival by the same SQL."""


def judged_arrival(lineage: Lineage, name: str) -> SqlTable:
    """The rows of one file with the rule that each breaks; its lines count from 1.

    Raises `DamagedFile`, which names file and line, `BadArchive`, and `Missing` where the file has gone meanwhile.
    """
    project = lineage.project
    if name not in project.arrivals():
        raise Missing(f"the arrival {name} is not there any more")
    form = project.store.need("raw_ratings").figures.get("form")
    if form is None:
        raise Missing("raw_ratings was read by an older version; `recpipe build` reads it anew")
    rows = read_arrived(DataFile(project.arrivals_folder, name), Form(**form), str(project.dataset().source))
    return SqlTable(lineage.sql[JUDGED], {"raw_ratings": rows}, project.run())


def judged_rows(folder: Path) -> pa.Table:
    """line, user, item, rating, time and reason (null of a sound row) of an arrival's folder."""
    return pq.read_table(folder / f"{JUDGED}.parquet")


def validated(judged: pa.Table) -> Outcome:
    """The interactions suite on the sound rows of one arrival. A file without rows passes, one of bad rows does not."""
    from recpipe.validation.interactions import InteractionLimits, validate_interactions

    sound = judged.filter(pc.is_null(judged["reason"])).select(["user", "item", "rating", "time"])
    return validate_interactions(sound, limits=InteractionLimits(least_rows=min(1, len(judged))))


def figures(judged: pa.Table) -> dict[str, Any]:
    """Rows, how many are sound, and how many are not by the rule that they break."""
    reasons = judged["reason"].drop_null()
    rejected = {pair["values"]: pair["counts"] for pair in pc.value_counts(reasons).to_pylist()}
    return {"rows": len(judged), "sound": judged["reason"].null_count, "rejected": rejected}
