"""Great Expectations' outcomes as Dagster check results, and its Data Docs as pages beside the artifacts."""

from typing import TYPE_CHECKING

import dagster as dg

from recpipe.defs.betas import accepted
from recpipe.settings import Project

if TYPE_CHECKING:
    from recpipe.validation.outcome import Outcome


def blocking_check(
    name: str, asset: str, description: str, partitions: dg.PartitionsDefinition | None = None
) -> dg.AssetCheckSpec:
    """A check that an asset's own step carries out before it publishes anything."""
    with accepted():  # checks by partition: without them one bad split would hold back all splits
        return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=True, partitions_def=partitions)


def check_result(outcome: "Outcome", check_name: str, page: str) -> dg.AssetCheckResult:
    """An outcome with its findings, a sample of the failing rows included; its page goes to `docs/` of the home."""
    from recpipe.validation.data_docs import write_data_docs

    index = write_data_docs([outcome], Project.here().home / "docs" / page)
    return dg.AssetCheckResult(
        check_name=check_name,
        passed=outcome.success,
        metadata={
            "findings": dg.MetadataValue.md(outcome.to_markdown()),
            "checks": len(outcome.checks),
            "failed": [check.name for check in outcome.failures()],
            "data docs": dg.MetadataValue.path(str(index)),
        },
    )


def stop_where_failed(outcome: "Outcome") -> None:
    """Nothing is published after a failed suite: the last good artifact stays current."""
    from recpipe.validation.outcome import ValidationFailed

    try:
        outcome.raise_if_failed()
    except ValidationFailed as failed:
        raise dg.Failure(str(failed)) from failed
