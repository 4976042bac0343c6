"""The search of a model's settings on a split: made on request alone."""

import dagster as dg

from recpipe.defs.io import Making, logged
from recpipe.defs.partitions import MODELS_AND_SPLITS, model_and_split
from recpipe.defs.retrying import retried
from recpipe.storage import Record


class SearchConfig(dg.Config):
    """What is not given stands in conf/search.yaml and conf/run.yaml."""

    trials: int | None = None
    minutes: float | None = None
    jobs: int | None = None
    seeds: int | None = None
    trial_seconds: float | None = None
    metric: str | None = None


@dg.asset(
    deps=["split", "interactions", "item_features", "model_settings"],
    partitions_def=MODELS_AND_SPLITS,
    group_name="models",
    kinds={"optuna"},
    pool="training",
)
@retried
def model_search(context: dg.AssetExecutionContext, config: SearchConfig) -> dg.Output[Record]:
    """Settings tried by the validation part: the best beside those of now, on other seeds too, and what mattered.

    Materialising it again goes on with the study until it has as many trials as are asked for. It changes no settings:
    `recpipe search MODEL --apply` does.
    """
    from recpipe.steps.search import Asked, search

    making = Making(context)
    model, split_name = model_and_split(context.partition_key)
    with logged(context):
        found = search(making.project, Asked(model, split_name, **config.model_dump()))
    figures = {"trials": len(found.trials), "metric": found.metric, "gain": found.gain, "study": found.study}
    return making.output(found, figures, [found.verdict], search=dg.MetadataValue.md(found.markdown()))
