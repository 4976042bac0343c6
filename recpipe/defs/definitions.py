"""Everything that Dagster sees. Loading it imports Dagster and the settings; what is heavy loads inside the steps."""

import dagster as dg

from recpipe.defs.assets.data import arrival, interactions, raw, split, tables
from recpipe.defs.assets.models import evaluation_report, leaderboard, trained_model
from recpipe.defs.assets.submission import ensemble, ensemble_submission
from recpipe.defs.io import ArtifactIO

defs = dg.Definitions(
    assets=[
        raw,
        arrival,
        *tables(),
        interactions,
        split,
        trained_model,
        evaluation_report,
        leaderboard,
        ensemble,
        ensemble_submission,
    ],
    resources={"io_manager": ArtifactIO()},
    executor=dg.in_process_executor,
)
