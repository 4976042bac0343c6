"""The ensemble chosen on validation, and the ten films that every user will watch."""

from collections.abc import Iterator

import dagster as dg

from recpipe.defs.checks import blocking_check, check_result, stop_where_failed
from recpipe.defs.io import Making, logged, output
from recpipe.defs.retrying import retried
from recpipe.lineage import FULL
from recpipe.settings import Project
from recpipe.storage import Record


def _of_members(split: str) -> dg.AssetDep:
    members = [f"{member}|{split}" for member in Project.here().ensemble_members()]
    return dg.AssetDep("trained_model", partition_mapping=dg.SpecificPartitionsPartitionMapping(members))


def _of_split(split: str) -> dg.AssetDep:
    return dg.AssetDep("split", partition_mapping=dg.SpecificPartitionsPartitionMapping([split]))


@dg.asset(
    deps=[
        "ensemble_settings",
        _of_members(Project.here().ensemble_split()),
        _of_split(Project.here().ensemble_split()),
        *(["interactions", "item_features"] if Project.here().filters_by_year() else []),
    ],
    group_name="submission",
    kinds={"numpy"},
)
@retried
def ensemble(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """Which members with which weights: chosen on the validation part, kept only if better than the best member."""
    from recpipe.blending.pages import markdown
    from recpipe.steps.ensemble import choose_ensemble

    making = Making(context)
    with logged(context):
        chosen = choose_ensemble(making.project)
    choice = dg.MetadataValue.md(markdown(chosen.blend))
    return making.output(chosen.blend, chosen.figures, chosen.notes, choice=choice)


@dg.asset(
    deps=["ensemble", "interactions", "item_features", _of_members(FULL), _of_split(FULL)],
    group_name="submission",
    kinds={"csv", "greatexpectations"},
    check_specs=[blocking_check("submission_suite", "ensemble_submission", "k known, unseen films a user.")],
)
@retried
def ensemble_submission(context: dg.AssetExecutionContext) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Ten films for every user, members refitted on all the data. What is missing upstream is built first."""
    from recpipe.blending.pages import markdown
    from recpipe.defs.planner import build_needs
    from recpipe.steps.submit import publish_file, submission, validated

    project = Project.here()
    with logged(context):
        build_needs(project, context.instance)
        making = Making(context)
        made = submission(project)
    outcome = validated(project, made.submission)
    yield check_result(outcome, "submission_suite", "submission")
    stop_where_failed(outcome)
    record = making.stage(made.submission, made.figures, made.notes)
    publish_file(project, making.staged_folder(record))
    yield output(record, views={"choice": dg.MetadataValue.md(markdown(made.blend))})
