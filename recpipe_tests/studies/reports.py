"""Evaluation reports whose per-user values are written down, without any model behind them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recpipe.evaluation.evaluate import Evaluation
from recpipe.evaluation.metrics import Values
from recpipe.evaluation.report import EvaluationReport, TrainingRecord


def reports_of(values: Mapping[str, Values], split: str = "holdout", digest: str = "d" * 64) -> dict:
    """One report a model whose ndcg@10 are these values, a user each."""

    def report(model: str, each: Values) -> EvaluationReport:
        users = np.arange(len(each), dtype=np.int32)
        counts = np.ones(len(each), dtype=np.int64)
        evaluation = Evaluation(users, counts, counts, {"ndcg@10": np.asarray(each, dtype=float)}, {}, {})
        return EvaluationReport.build(evaluation, TrainingRecord(model, split, digest))

    return {model: report(model, each) for model, each in values.items()}
