"""The robustness study as an artifact: scores a fold, a table of models, a page with pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.evaluation import pages, plots
from recpipe.storage import VIEWS
from recpipe.studies import pictures
from recpipe.studies.pairs import not_told_apart
from recpipe.studies.robustness import Robustness

SCORES_FILE, TABLE_FILE, PAGE = "robustness.json", "models.parquet", "robustness.html"
COLUMNS = ("model", "mean [95 %]", "deviation", "mean rank", "ranks", "to the best [95 %]", "p (Holm)")


@dataclass(frozen=True, eq=False)
class RobustnessReport:
    """The study and what a person should know of it: models left out, with the reason."""

    study: Robustness
    notes: tuple[str, ...] = ()

    def table(self) -> pa.Table:
        """One row a model, the best mean first: mean, low, high, deviation (between folds), mean_rank, best_rank,
        worst_rank; difference to the best with its low, high and p, null for the best itself."""
        study = self.study
        changes = [None, *study.to_the_best]
        rows = [
            {
                "model": model,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
                "deviation": round(float(study.scores[:, place].std(ddof=1)), 12),
                "mean_rank": float(study.ranks[:, place].mean()),
                "best_rank": float(study.ranks[:, place].min()),
                "worst_rank": float(study.ranks[:, place].max()),
                "difference": change and change.mean,
                "difference_low": change and change.low,
                "difference_high": change and change.high,
                "p": change and change.p,
            }
            for place, (model, mean, change) in enumerate(zip(study.models, study.means, changes, strict=True))
        ]
        schema = pa.schema([(name, pa.string() if name == "model" else pa.float64()) for name in rows[0]])
        return pa.Table.from_pylist(rows, schema=schema)

    def told(self) -> list[list[str]]:
        """The cells under `COLUMNS` as a person reads them."""
        rows = []
        for row in self.table().to_pylist():
            change = ["best", ""]
            if row["p"] is not None:
                ends = f"[{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]"
                change = [f"{row['difference']:+.4f} {ends}", f"{row['p']:.4f}"]
            ranks = f"{row['best_rank']:g} to {row['worst_rank']:g}"
            if row["best_rank"] == row["worst_rank"]:
                ranks = f"always {row['best_rank']:g}"
            rows.append(
                [row["model"], f"{row['mean']:.4f} [{row['low']:.4f}, {row['high']:.4f}]", f"{row['deviation']:.4f}",
                 f"{row['mean_rank']:.2f}", ranks, *change]
            )  # fmt: skip
        return rows

    def pictures(self) -> dict[str, str]:
        """Title → picture as data URI."""
        study = self.study
        names = [study.models[place] for place in study.by_rank]
        ranks = [float(study.ranks[:, place].mean()) for place in study.by_rank]
        critical = study.critical_difference
        runs, axis = not_told_apart(study.told_apart()), "mean rank over folds (1 is best)"
        line = pictures.places_on_a_line(names, ranks, runs, axis, critical=critical, decimals=2)
        folds = pictures.scores_by_fold(study.models, study.scores, study.means, study.metric)
        return {"Mean ranks": plots.data_uri(line), "Scores of every fold": plots.data_uri(folds)}

    def markdown(self) -> str:
        """Verdict, table and pictures for Dagster's metadata."""
        lines = [self.study.verdict(), *(f"- ⚠ {note}" for note in self.notes), ""]
        lines += pages.table(COLUMNS, self.told())
        return "\n".join([*lines, *(f"\n![{title}]({uri})" for title, uri in self.pictures().items()), ""])

    def html(self) -> str:
        """A page that stands alone."""
        told = {"columns": COLUMNS, "rows": self.told(), "pictures": self.pictures()}
        return pages.page("robustness.html", report=self, study=self.study, **told)

    def write(self, folder: Path) -> None:
        """`robustness.json` (every score) and `models.parquet`; the page lies in `views/`."""
        study = self.study
        content = {
            "metric": study.metric,
            "models": study.models,
            "folds": study.folds,
            "test_to_train": study.test_to_train,
            "scores": study.scores.tolist(),
            "notes": self.notes,
        }
        (folder / SCORES_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
        pq.write_table(self.table(), folder / TABLE_FILE)
        (folder / VIEWS).mkdir()
        (folder / VIEWS / PAGE).write_text(self.html(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The report written to `folder`."""
        content = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
        study = Robustness(np.array(content["scores"]), tuple(content["models"]), tuple(content["folds"]),
                           content["metric"], content["test_to_train"])  # fmt: skip
        return cls(study, tuple(content["notes"]))
