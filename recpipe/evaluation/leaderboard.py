"""All models of one split in one table, the best first, each compared with the best on the same users."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.evaluation.comparison import Difference, Interval, holm, paired_differences
from recpipe.evaluation.metrics import METRICS
from recpipe.evaluation.naming import parse_metric
from recpipe.storage import VIEWS

if TYPE_CHECKING:
    import pandas as pd

    from recpipe.evaluation.report import EvaluationReport

COSTS = ("seconds", "memory", "parameters")
LISTS = ("coverage", "novelty", "gini")
TABLE_FILE, COSTS_FILE, PAGE = "leaderboard.parquet", "costs.parquet", "leaderboard.html"


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """One row a model. Columns: rank, model, score (mean of `metric`), low, high; difference to the best model, its
    difference_low and difference_high, and p (Holm-corrected; null for the best itself); the other metrics at the same
    cut-off; seconds, memory (peak bytes), parameters, null where not known; split_digest."""

    table: pa.Table
    metric: str
    split: str
    split_digest: str

    @classmethod
    def build(cls, reports: Mapping[str, EvaluationReport], metric: str = "ndcg@10") -> Self:
        """Reports by model name, all of one split; equal scores stand in the order of their names.

        Raises ValueError where there is no report, reports tell of different splits or users, or lack the metric.
        """
        name, k = parse_metric(metric)
        split, digest = one_split(reports, metric)
        ordered = sorted(reports, key=lambda model: (-reports[model].metrics[metric].mean, model))
        differences = _to_the_best([reports[model] for model in ordered], metric)
        others = [f"{other}@{k}" for other in METRICS if other != name]
        rows = [
            _row(place, model, reports[model], metric, difference)
            | {other: reports[model].metrics[other].mean for other in others}
            | {f"{each}@{k}": reports[model].evaluation.lists[f"{each}@{k}"] for each in LISTS}
            | {cost: _number(reports[model].training.figures.get(cost)) for cost in COSTS}
            | {"split_digest": digest}
            for place, (model, difference) in enumerate(zip(ordered, differences, strict=True), start=1)
        ]
        types = {"rank": pa.int32(), "model": pa.string(), "split_digest": pa.string()}
        schema = pa.schema([(column, types.get(column, pa.float64())) for column in rows[0]])
        return cls(pa.Table.from_pylist(rows, schema=schema), metric, split, digest)

    @property
    def models(self) -> list[str]:
        """The models' names, the best first."""
        names: list[str] = self.table["model"].to_pylist()
        return names

    def frame(self) -> pd.DataFrame:
        """The table for pandas."""
        return self.table.to_pandas()

    def markdown(self) -> str:
        """The table and its plot for Dagster's metadata."""
        from recpipe.evaluation import pages

        columns, rows = self.told()
        lines = [f"Split **{self.split}** (digest `{self.split_digest[:12]}`), by {self.metric}", ""]
        lines += pages.table(columns, rows)
        return "\n".join([*lines, "", f"![models by {self.metric}]({self._picture()})", ""])

    def html(self) -> str:
        """A page that stands alone."""
        from recpipe.evaluation import pages

        columns, rows = self.told()
        return pages.page("leaderboard.html", board=self, columns=columns, rows=rows, picture=self._picture())

    def write(self, folder: Path) -> None:
        """`leaderboard.parquet`, the same bytes for the same results; what differs from run to run lies in `views/`."""
        about = {"metric": self.metric, "split": self.split, "split_digest": self.split_digest}
        table = self.table.drop_columns(list(COSTS)).replace_schema_metadata({"leaderboard": json.dumps(about)})
        pq.write_table(table, folder / TABLE_FILE)
        (folder / VIEWS).mkdir()
        pq.write_table(self.table.select(COSTS), folder / VIEWS / COSTS_FILE)
        (folder / VIEWS / PAGE).write_text(self.html(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The leaderboard written to `folder`."""
        table = _read(folder / TABLE_FILE)
        about = json.loads(table.schema.metadata[b"leaderboard"])
        digest = table.schema.get_field_index("split_digest")
        costs = _read(folder / VIEWS / COSTS_FILE)
        for place, cost in enumerate(COSTS):
            table = table.add_column(digest + place, costs.schema.field(cost), costs[cost])
        return cls(table.replace_schema_metadata(None), **about)

    def _intervals(self) -> list[Interval]:
        return [Interval(row["score"], row["low"], row["high"]) for row in self.table.to_pylist()]

    def _picture(self) -> str:
        from recpipe.evaluation import plots  # loads Matplotlib, which who only reads the table can do without

        return plots.data_uri(plots.scores_of_models(self.models, self._intervals(), self.metric))

    def told(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells as a person reads them."""
        from recpipe.evaluation import pages

        told = {"rank", "model", "score", "low", "high", "difference", "difference_low", "difference_high", "p"}
        others = [name for name in self.table.column_names if name not in {*told, *COSTS, "split_digest"}]
        columns = ["rank", "model", self.metric, "to the best", "p", *others, *COSTS, "split digest"]
        rows = []
        for row, interval in zip(self.table.to_pylist(), self._intervals(), strict=True):
            costs = pages.told_figures({cost: row[cost] for cost in COSTS if row[cost] is not None})
            change, p = "best", ""
            if row["p"] is not None:
                change = f"{row['difference']:+.4f} [{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]"
                p = f"{row['p']:.4f}"
            rows.append(
                [str(row["rank"]), row["model"], str(interval), change, p]
                + [f"{row[name]:.4f}" for name in others]
                + [costs.get(cost, "") for cost in COSTS]
                + [row["split_digest"][:12]]
            )
        return columns, rows


def _read(path: Path) -> pa.Table:
    """A file as it stands; `pq.read_table` is for folders of files too, and loads pandas for it."""
    with pq.ParquetFile(path) as file:
        return file.read()


def one_split(reports: Mapping[str, EvaluationReport], metric: str) -> tuple[str, str]:
    """Name and digest of the one split that all reports are about.

    Raises ValueError where there is no report, reports tell of different splits or users, or lack the metric.
    """
    if not reports:
        raise ValueError("leaderboard: there is no report; evaluate a model on this split first")
    digests = {model: report.training.split_digest for model, report in reports.items()}
    if len(set(digests.values())) > 1:
        told = ", ".join(f"{model}: {digest[:12]}" for model, digest in sorted(digests.items()))
        raise ValueError(f"leaderboard: the reports were made on different splits and cannot be compared ({told}); "
                         "evaluate the models again on the current split")  # fmt: skip
    first = next(iter(reports.values()))
    for model, report in reports.items():
        if metric not in report.metrics:
            raise ValueError(f"leaderboard: the report of {model} has no {metric}; it has {', '.join(report.metrics)}")
        if not np.array_equal(report.evaluation.users, first.evaluation.users):
            raise ValueError(f"leaderboard: the report of {model} tells of other users; evaluate it again")
    return first.training.split, first.training.split_digest


def _to_the_best(reports: list[EvaluationReport], metric: str) -> list[Difference | None]:
    """Each against the first; p corrected for the number of comparisons."""
    values = np.stack([report.evaluation.per_user[metric] for report in reports], axis=1)
    if len(reports) == 1:
        return [None]
    raw = paired_differences(values[:, 1:], values[:, 0])
    corrected = holm(np.array([each.p for each in raw]))
    return [
        None,
        *(replace(each, p=float(p)) for each, p in zip(raw, corrected, strict=True)),
    ]


def _row(
    place: int, model: str, report: EvaluationReport, metric: str, difference: Difference | None
) -> dict[str, Any]:
    score = report.metrics[metric]
    change = Difference(0.0, 0.0, 0.0, 1.0) if difference is None else difference
    return {
        "rank": place, "model": model, "score": score.mean, "low": score.low, "high": score.high,
        "difference": change.mean, "difference_low": change.low, "difference_high": change.high,
        "p": None if difference is None else change.p,
    }  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
