"""All pairs of a split's models, from the per-user tables of their reports: a table, a picture, a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.evaluation import pages, plots
from recpipe.evaluation.leaderboard import one_split
from recpipe.evaluation.report import EvaluationReport
from recpipe.storage import VIEWS
from recpipe.studies import pictures
from recpipe.studies.pairs import ALPHA, every_pair, not_told_apart, told_apart

TABLE_FILE, PAGE = "comparison.parquet", "comparison.html"


@dataclass(frozen=True, eq=False)
class Comparison:
    """One row a pair of models, the better one first: model, other, difference (mean of model less mean of other), low,
    high (95 % of this pair alone), p (corrected for all pairs by Holm).

    models: mean of the metric by name, the best first; equal ones in the order of their names.
    """

    table: pa.Table
    models: Mapping[str, float]
    metric: str
    split: str
    split_digest: str
    users: int

    @classmethod
    def build(cls, reports: Mapping[str, EvaluationReport], metric: str = "ndcg@10") -> Self:
        """Reports by model name, at least two, all of one split; refuses what `Leaderboard.build` refuses."""
        split, digest = one_split(reports, metric)
        ordered = sorted(reports, key=lambda model: (-reports[model].metrics[metric].mean, model))
        values = np.stack([reports[model].evaluation.per_user[metric] for model in ordered], axis=1)
        pairs = every_pair(values)
        table = pa.table(
            {
                "model": pa.array([ordered[place] for place in pairs.first], pa.string()),
                "other": pa.array([ordered[place] for place in pairs.second], pa.string()),
                "difference": pairs.mean,
                "low": pairs.low,
                "high": pairs.high,
                "p": pairs.p,
            }
        )
        means = {model: reports[model].metrics[metric].mean for model in ordered}
        return cls(table, means, metric, split, digest, len(values))

    def told_apart(self) -> NDArray[np.bool_]:
        """bool [models × models], in their order: whether the corrected p is below 5 %."""
        return told_apart(self.table["p"].to_numpy(), len(self.models))

    def differences(self) -> NDArray[np.float64]:
        """float64 [models × models]: mean of the row's model less mean of the column's."""
        means = np.array(list(self.models.values()))
        return means[:, None] - means

    def verdict(self) -> str:
        """What can be said of the first place, in one sentence."""
        best, *others = self.models
        near = [other for other, apart in zip(others, self.told_apart()[0, 1:], strict=True) if not apart]
        told = f"{int(np.triu(self.told_apart()).sum())} of {self.table.num_rows} pairs are told apart"
        if near:
            return f"{best} is first by {self.metric}, but cannot be told from {', '.join(near)}; {told}."
        return f"{best} is better than every other model by {self.metric}; {told}."

    def told(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells of the table of pairs as a person reads them."""
        rows = [
            [row["model"], row["other"], f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]",
             f"{row['p']:.4f}", "yes" if row["p"] < ALPHA else "no"]
            for row in self.table.to_pylist()
        ]  # fmt: skip
        return ["model", "less", f"{self.metric} [95 %]", "p (Holm)", "told apart"], rows

    def pictures(self) -> dict[str, str]:
        """Title → picture as data URI."""
        names, means = list(self.models), list(self.models.values())
        runs = not_told_apart(self.told_apart())
        axis = f"{self.metric} (mean over {self.users:,} users)"
        line = pictures.places_on_a_line(names, means, runs, axis, best="right")
        matrix = pictures.difference_matrix(names, self.differences(), self.told_apart(), self.metric)
        return {
            "Models on a line; a bar joins those that are not told apart": plots.data_uri(line),
            "Difference of every pair": plots.data_uri(matrix),
        }

    def markdown(self) -> str:
        """Verdict and pictures for Dagster's metadata."""
        lines = [f"Split **{self.split}** (digest `{self.split_digest[:12]}`). {self.verdict()}"]
        return "\n".join([*lines, *(f"\n![{title}]({uri})" for title, uri in self.pictures().items()), ""])

    def html(self) -> str:
        """A page that stands alone."""
        columns, rows = self.told()
        return pages.page("comparison.html", comparison=self, columns=columns, rows=rows, pictures=self.pictures())

    def write(self, folder: Path) -> None:
        """`comparison.parquet`, the same bytes for the same results; the page lies in `views/`."""
        about: dict[str, Any] = {"models": dict(self.models), "metric": self.metric, "split": self.split,
                                 "split_digest": self.split_digest, "users": self.users}  # fmt: skip
        table = self.table.replace_schema_metadata({"comparison": json.dumps(about)})
        pq.write_table(table, folder / TABLE_FILE)
        (folder / VIEWS).mkdir()
        (folder / VIEWS / PAGE).write_text(self.html(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The comparison written to `folder`."""
        table = pq.read_table(folder / TABLE_FILE)
        return cls(table.replace_schema_metadata(None), **json.loads(table.schema.metadata[b"comparison"]))
