"""How good one model is on one split, for machines and for people: per-user table, figures, a page with plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.evaluation import pages
from recpipe.evaluation.comparison import Interval, intervals
from recpipe.evaluation.evaluate import Evaluation
from recpipe.storage import VIEWS

PER_USER, METRICS_FILE, TRAINING_FILE, PAGE = "per_user.parquet", "metrics.json", "training.json", "report.html"


@dataclass(frozen=True)
class TrainingRecord:
    """What is told beside the scores.

    epochs: one record an epoch with `epoch`, `loss`, `valid` and `seconds`, empty for models learned in one step.
    figures: `seconds`, `memory` (peak bytes), `parameters`, where known. warnings: what health checks found, in words.
    importance: what each column of a ranker's table brought, as a share of all; empty for other models.
    """

    model: str
    split: str
    split_digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, float], ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metric: str = "ndcg@10"
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Users of one kind: how many, what makes the kind in words, and their metrics."""

    users: int
    who: str
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """One model on one split. The per-user values are the primary output; everything else is derived from them."""

    training: TrainingRecord
    evaluation: Evaluation
    metrics: Mapping[str, Interval]
    user_groups: Mapping[str, Group]

    @classmethod
    def build(cls, evaluation: Evaluation, training: TrainingRecord) -> Self:
        """Means with bootstrap intervals, over all users and by groups: few known films (up to the median) and many."""
        known = evaluation.n_known
        median = int(np.median(known))
        groups = {
            name: Group(int(chosen.sum()), who, _intervals(evaluation, chosen))
            for name, who, chosen in (
                ("few", f"up to {median} known films", known <= median),
                ("many", f"more than {median} known films", known > median),
            )
            if chosen.any()
        }
        return cls(training, evaluation, _intervals(evaluation, np.ones(len(known), dtype=np.bool_)), groups)

    def write(self, folder: Path) -> None:
        """`per_user.parquet` and `metrics.json`, the same bytes for the same results; seconds and plots in `views/`."""
        evaluation, training = self.evaluation, asdict(self.training)
        columns = {"user": evaluation.users, "n_known": evaluation.n_known, "n_targets": evaluation.n_targets}
        pq.write_table(pa.table(columns | dict(evaluation.per_user)), folder / PER_USER, compression="zstd")
        views = {name: training.pop(name) for name in ("epochs", "figures")}
        content = {
            "training": training,
            "users": len(evaluation.users),
            "metrics": {name: asdict(interval) for name, interval in self.metrics.items()},
            "user_groups": {name: asdict(group) for name, group in self.user_groups.items()},
            "film_groups": evaluation.film_groups,
            "lists": evaluation.lists,
        }
        _write_json(folder / METRICS_FILE, content)
        (folder / VIEWS).mkdir()
        _write_json(folder / VIEWS / TRAINING_FILE, views)
        (folder / VIEWS / PAGE).write_text(pages.html(self), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The report written to `folder`."""
        content = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        views = json.loads((folder / VIEWS / TRAINING_FILE).read_text(encoding="utf-8"))
        stored = content["training"] | {"warnings": tuple(content["training"]["warnings"])}
        training = TrainingRecord(**stored, epochs=tuple(views["epochs"]), figures=views["figures"])
        table = pq.read_table(folder / PER_USER)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        users, n_known, n_targets = (columns.pop(name) for name in ("user", "n_known", "n_targets"))
        evaluation = Evaluation(users, n_known, n_targets, columns, content["lists"], content["film_groups"])
        groups = {
            name: Group(group["users"], group["who"], _read_intervals(group["metrics"]))
            for name, group in content["user_groups"].items()
        }
        return cls(training, evaluation, _read_intervals(content["metrics"]), groups)


def _intervals(evaluation: Evaluation, chosen: NDArray[np.bool_]) -> dict[str, Interval]:
    values = np.stack(list(evaluation.per_user.values()), axis=1)[chosen]
    return dict(zip(evaluation.per_user, intervals(values), strict=True))


def _read_intervals(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {name: Interval(**interval) for name, interval in metrics.items()}


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
