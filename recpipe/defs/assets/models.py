"""One trained artifact and one report per model and split, and the leaderboard of a split."""

from typing import Any

import dagster as dg

from recpipe.defs.io import Making, logged
from recpipe.defs.partitions import MODELS_AND_SPLITS, SPLITS, model_and_split
from recpipe.defs.retrying import retried
from recpipe.storage import Record


@dg.asset(
    deps=["interactions", "item_features", "model_settings"],
    partitions_def=MODELS_AND_SPLITS,
    group_name="models",
    kinds={"torch", "numpy"},
    pool="training",
)
@retried
def trained_model(context: dg.AssetExecutionContext, split: Any) -> dg.Output[Record]:
    """A model's recipe learned on a split's training part; early stopping follows its validation part.

    On the split `full` everything trains, for as many epochs as validation found on the ensemble's split. How many
    train at a time is the pool's limit, and then what memory and GPUs allow (`claims`).
    """
    from recpipe.steps.train import refit_epochs, train, training_set
    from recpipe.tracking.following import followed

    making = Making(context)
    model, split_name = model_and_split(context.partition_key)
    recipe = making.project.recipe(model)
    data = training_set(making.project, recipe, split, split_name)
    epochs = refit_epochs(making.lineage, model, split_name, recipe)
    settings = making.project.run()
    trackers = followed(recipe, model, split_name, settings, making.project.tracking)
    with logged(context), trackers as following:
        trained = train(recipe, split, data, settings, epochs, making.checkpoints(), making.project.claims)
        following.end(trained.journal, trained.figures)
    return making.output(trained, trained.figures, [*trained.warnings, *following.notes])


@dg.asset(
    partitions_def=MODELS_AND_SPLITS, deps=["trained_model", "split"], group_name="evaluation", kinds={"matplotlib"}
)
@retried
def evaluation_report(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """How well a model finds the hidden films of a split: every metric a user, intervals, groups, plots."""
    from recpipe.evaluation.pages import markdown
    from recpipe.steps.evaluate import evaluation_report

    making = Making(context)
    model, split_name = model_and_split(context.partition_key)
    report = evaluation_report(making.project, model, split_name)
    figures: dict[str, Any] = {name: round(interval.mean, 5) for name, interval in report.metrics.items()}
    figures["lists"] = dict(report.evaluation.lists)
    return making.output(report, figures, report=dg.MetadataValue.md(markdown(report)))


@dg.asset(partitions_def=SPLITS, deps=["evaluation_report"], group_name="evaluation", kinds={"matplotlib"})
@retried
def leaderboard(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """All evaluated models of a split: score with interval, cost, and whether the best is really better."""
    from recpipe.steps.evaluate import leaderboard

    making = Making(context)
    board = leaderboard(making.project, context.partition_key)
    figures = {"models": board.table.num_rows, "best": board.table["model"][0].as_py()}
    return making.output(board, figures, leaderboard=dg.MetadataValue.md(board.markdown()))
