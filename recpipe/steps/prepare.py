"""From accepted ratings to interactions: the suite must pass, then filter, number and sort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recpipe.data.preparing import Prepared, prepare
from recpipe.settings import Project

if TYPE_CHECKING:
    from recpipe.validation.outcome import Outcome

RATING_COLUMNS = ["user", "item", "rating", "time"]


def prepare_interactions(project: Project) -> Prepared:
    """The accepted ratings after thresholds and k-core, over consecutive row numbers."""
    return prepare(accepted_ratings(project), project.dataset().preparation)


def validated(project: Project) -> Outcome:
    """The interactions suite on the accepted rows, their volume compared with the last good version's."""
    from recpipe.validation.interactions import InteractionLimits, validate_interactions

    last, source = project.store.record("interactions"), project.dataset().source
    same_source = last is not None and last.figures["source"] == source  # other data has another volume
    sides = project.store.read("raw_items").tables
    return validate_interactions(
        accepted_ratings(project),
        {name.removeprefix("raw_"): table["item"] for name, table in sides.items()},
        previous=last.figures["accepted"] if last is not None and same_source else None,
        limits=InteractionLimits(most_drop=project.dataset().most_volume_drop),
    )


def accepted_ratings(project: Project) -> pa.Table:
    """The rows that broke no rule, in the order of delivery: user, item, rating, time."""
    folder = project.store.folder("accepted_ratings")
    return pq.read_table(folder / "accepted_ratings.parquet", columns=RATING_COLUMNS)


def rejected_by_reason(project: Project) -> dict[str, int]:
    """How many rows were rejected, by the rule that they broke."""
    folder = project.store.folder("rejected_ratings")
    reasons = pq.read_table(folder / "rejected_ratings.parquet", columns=["reason"])["reason"]
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(reasons).to_pylist()}
