"""Epochs as runs of MLflow: in a SQLite file of the home folder, or where `mlflow_uri` of run.yaml says."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from recpipe.tracking.tracker import Training

LONGEST = 500
"""Characters of a parameter's value; older servers refuse more."""
MANNERS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment in which MLflow is imported, where nobody has set it otherwise: it tells its makers nothing, and a server
that does not answer holds a training up for seconds, not minutes."""


class ToMlflow:
    """A run a training, in an experiment a split. The client is used directly: no run becomes the process's active one.

    uri: of a store or server; None for `mlflow.db` in the training's folder.
    """

    def __init__(self, training: Training, uri: str | None = None) -> None:
        for name, value in MANNERS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        training.folder.mkdir(parents=True, exist_ok=True)
        self._metric = Metric
        self._client = MlflowClient(uri or f"sqlite:///{training.folder / 'mlflow.db'}")
        experiment = f"recpipe {training.split}"
        known = self._client.get_experiment_by_name(experiment)
        files = None if uri else (training.folder / "mlflow").as_uri()
        number = known.experiment_id if known else self._client.create_experiment(experiment, artifact_location=files)
        self._run = self._client.create_run(number, run_name=training.name, tags={"model": training.model}).info.run_id
        settings = [Param(name, str(value)[:LONGEST]) for name, value in training.settings.items()]
        self._client.log_batch(self._run, params=settings)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """All figures in one write."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, float(value), now, number) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, figures: Mapping[str, Any] | None) -> None:
        """The figures as tags, since they are of no epoch."""
        for name, value in (figures or {}).items():
            self._client.set_tag(self._run, name, str(value))
        self._client.set_terminated(self._run, "FAILED" if figures is None else "FINISHED")
