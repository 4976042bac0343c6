"""Studies of models beside each other: all pairs of a split, ranks over folds, which split to trust."""

import dagster as dg

from recpipe.defs.io import Making, logged
from recpipe.defs.partitions import SPLITS
from recpipe.defs.retrying import retried
from recpipe.storage import Record


@dg.asset(partitions_def=SPLITS, deps=["leaderboard", "evaluation_report"], group_name="studies", kinds={"matplotlib"})
@retried
def comparison(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """Every pair of a split's models: difference, interval, p corrected for all pairs, and who is told apart."""
    from recpipe.steps.compare import comparison

    making = Making(context)
    made = comparison(making.project, context.partition_key)
    figures = {"models": len(made.models), "pairs": made.table.num_rows, "verdict": made.verdict()}
    return making.output(made, figures, comparison=dg.MetadataValue.md(made.markdown()))


@dg.asset(deps=["evaluation_report"], group_name="studies", kinds={"matplotlib"})
@retried
def robustness_report(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """How far scores and ranks of the models depend on the split: means, deviations and ranks over folds."""
    from recpipe.steps.robustness import robustness_report

    making = Making(context)
    report = robustness_report(making.project)
    figures = {"best": report.study.models[0], "folds": len(report.study.folds), "mean tau": report.study.mean_tau}
    return making.output(report, figures, report.notes, robustness=dg.MetadataValue.md(report.markdown()))


@dg.asset(
    deps=["interactions", "item_features", "model_settings", "split_settings"],
    group_name="studies",
    kinds={"torch", "matplotlib"},
    pool="training",
)
@retried
def split_trust_report(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """How well each split strategy's validation scores rank models as a part laid aside first does.

    It trains every model on every split by itself, so it is made when it is asked for and never by automation.
    """
    from recpipe.steps.split_trust import cells_of, split_trust_report

    making = Making(context)
    with logged(context):
        report = split_trust_report(making.project, cells_of(making.lineage))
    figures = {"best": report.trusts[0].split, "tau": report.trusts[0].tau.mean, "splits": len(report.trusts)}
    return making.output(report, figures, report.notes, split_trust=dg.MetadataValue.md(report.markdown()))
