"""Everything that Dagster sees. Loading it imports Dagster and the settings; what is heavy loads inside the steps."""

import dagster as dg

from recpipe.defs.assets.data import arrival, data_report, interactions, raw, split, tables
from recpipe.defs.assets.models import evaluation_report, leaderboard, trained_model
from recpipe.defs.assets.searches import model_search
from recpipe.defs.assets.studies import comparison, robustness_report, split_trust_report
from recpipe.defs.assets.submission import ensemble, ensemble_submission
from recpipe.defs.automation import following, following_sensor
from recpipe.defs.io import ArtifactIO
from recpipe.defs.nightly import nightly, nightly_schedule
from recpipe.defs.sources import SOURCES, sources_sensor
from recpipe.defs.watch import alarm_sensor, fresh, freshness, freshness_schedule

assets = [
    raw,
    arrival,
    *tables(),
    interactions,
    data_report,
    split,
    trained_model,
    evaluation_report,
    leaderboard,
    comparison,
    robustness_report,
    split_trust_report,
    model_search,
    ensemble,
    ensemble_submission,
]
defs = dg.Definitions(
    assets=[*SOURCES, *following(assets)],
    asset_checks=[fresh],
    jobs=[nightly, freshness],
    schedules=[nightly_schedule(), freshness_schedule],
    sensors=[following_sensor(), sources_sensor(), alarm_sensor()],
    resources={"io_manager": ArtifactIO()},
    executor=dg.in_process_executor,
)
