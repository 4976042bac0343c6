"""The study of splits as an artifact: what each split is worth, every model's scores, a page with pictures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.evaluation import pages, plots
from recpipe.evaluation.comparison import Interval
from recpipe.storage import VIEWS
from recpipe.studies import pictures
from recpipe.studies.split_trust import SplitTrust, Trust

TRUSTS_FILE, SCORES_FILE, PAGE = "split_trust.json", "scores.parquet", "split_trust.html"
COLUMNS = ("split", "users", "models", "tau [95 %]", "to the best [95 %]", "its choice", "costs", "valid less hidden",
           "own models: tau", "valid less hidden of own")  # fmt: skip


@dataclass(frozen=True, eq=False)
class SplitTrustReport:
    """What is derived of the study: a Trust a split, the most trusted first; sentences for people.

    scores: one row a split and model, the best on the hidden part first: split, model, valid, hidden, own; null where a
    model has none. users: with a hidden part.
    """

    metric: str
    users: int
    verdict: str
    trusts: tuple[Trust, ...]
    scores: pa.Table
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, study: SplitTrust, notes: tuple[str, ...] = ()) -> Self:
        """Everything that is told of a study, without the values of single users."""
        hidden = dict(zip(study.models, study.hidden.means, strict=True))
        ordered = sorted(hidden, key=lambda model: (-_last(hidden[model]), model))
        rows = []
        for trust in study.trusts:
            valid = dict(zip(study.models, study.valid[trust.split].means, strict=True))
            own = dict(zip(study.models, study.own[trust.split].means, strict=True)) if trust.split in study.own else {}
            rows += [
                {"split": trust.split, "model": model, "valid": _number(valid[model]),
                 "hidden": _number(hidden[model]), "own": _number(own.get(model))}
                for model in ordered
            ]  # fmt: skip
        kinds = dict.fromkeys(("split", "model"), pa.string()) | dict.fromkeys(("valid", "hidden", "own"), pa.float64())
        scores = pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))
        return cls(study.metric, len(study.hidden.users), study.verdict(), tuple(study.trusts), scores, notes)

    def told(self) -> list[list[str]]:
        """The cells under `COLUMNS` as a person reads them."""
        return [
            [
                trust.split,
                f"{trust.users:,}",
                str(trust.models),
                f"{trust.tau.mean:.3f} [{trust.tau.low:.3f}, {trust.tau.high:.3f}]",
                _less(trust.to_the_best) if trust.to_the_best else "best",
                trust.picked,
                f"{trust.cost:.4f}" if trust.cost else "nothing",
                f"{trust.gap:+.4f}",
                "" if math.isnan(trust.own_tau) else f"{trust.own_tau:.3f}",
                "" if math.isnan(trust.own_gap) else f"{trust.own_gap:+.4f}",
            ]
            for trust in self.trusts
        ]

    def score_rows(self) -> list[list[str]]:
        """One row a model: its hidden score, then its validation score on every split."""
        table = self.scores.to_pylist()
        models = list(dict.fromkeys(row["model"] for row in table))
        told = {(row["split"], row["model"]): row for row in table}
        first = self.trusts[0].split
        return [
            [
                model,
                _score(told[first, model]["hidden"]),
                *(_score(told[trust.split, model]["valid"]) for trust in self.trusts),
            ]
            for model in models
        ]

    def pictures(self) -> dict[str, str]:
        """Title → picture as data URI."""
        names, taus = [trust.split for trust in self.trusts], [trust.tau for trust in self.trusts]
        table = self.scores.to_pylist()
        points = {
            split: [(row["hidden"], row["valid"]) for row in table
                    if row["split"] == split and None not in (row["hidden"], row["valid"])]
            for split in names
        }  # fmt: skip
        return {
            "Agreement with the hidden part": plots.data_uri(pictures.agreements(names, taus)),
            "Scores beside the hidden scores, a point a model": plots.data_uri(
                pictures.scores_beside_scores(points, f"hidden {self.metric}", "validation")
            ),
        }

    def markdown(self) -> str:
        """Verdict, table and pictures for Dagster's metadata."""
        lines = [self.verdict, *(f"- ⚠ {note}" for note in self.notes), "", *pages.table(COLUMNS, self.told())]
        return "\n".join([*lines, *(f"\n![{title}]({uri})" for title, uri in self.pictures().items()), ""])

    def html(self) -> str:
        """A page that stands alone."""
        told = {"columns": COLUMNS, "rows": self.told(), "scores": self.score_rows(), "pictures": self.pictures()}
        return pages.page("split_trust.html", report=self, **told)

    def write(self, folder: Path) -> None:
        """`split_trust.json` and `scores.parquet`; the page lies in `views/`."""
        content: dict[str, Any] = {
            "metric": self.metric,
            "users": self.users,
            "verdict": self.verdict,
            "trusts": [asdict(trust) | {name: _number(getattr(trust, name)) for name in ("gap", "own_tau", "own_gap")}
                       for trust in self.trusts],
            "notes": self.notes,
        }  # fmt: skip
        (folder / TRUSTS_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
        pq.write_table(self.scores, folder / SCORES_FILE)
        (folder / VIEWS).mkdir()
        (folder / VIEWS / PAGE).write_text(self.html(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The report written to `folder`."""
        content = json.loads((folder / TRUSTS_FILE).read_text(encoding="utf-8"))
        trusts = tuple(_read_trust(each) for each in content["trusts"])
        table, notes = pq.read_table(folder / SCORES_FILE), tuple(content["notes"])
        return cls(content["metric"], content["users"], content["verdict"], trusts, table, notes)


def _read_trust(told: dict[str, Any]) -> Trust:
    best = told["to_the_best"]
    numbers = {name: math.nan if told[name] is None else told[name] for name in ("gap", "own_tau", "own_gap")}
    intervals = {"tau": Interval(**told["tau"]), "to_the_best": None if best is None else Interval(**best)}
    return Trust(**(told | numbers | intervals))


def _less(change: Interval) -> str:
    return f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _last(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _number(value: float | None) -> float | None:
    """For files: null where there is no number; products differ in their last bits between machines."""
    return None if value is None or math.isnan(value) else round(float(value), 12)
