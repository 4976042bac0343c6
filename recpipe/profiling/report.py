"""The data report (B-21): every figure about the interactions and the side data, in words, and a page with plots."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from recpipe.data.features import item_features
from recpipe.data.preparing import Prepared
from recpipe.profiling.coverage import SideData
from recpipe.profiling.drift import Drift
from recpipe.profiling.long_tail import Extent, Spread
from recpipe.profiling.sessions import Sessions
from recpipe.profiling.splitting import Splitting
from recpipe.profiling.years import Years
from recpipe.storage import VIEWS

FIGURES, PAGE = "figures.json", "data_report.html"


@dataclass(frozen=True, eq=False)
class DataReport:
    """One field a section of the page. films, users: how interactions are spread over them. years: None where no
    release year is known.
    """

    extent: Extent
    films: Spread
    users: Spread
    sessions: Sessions
    drift: Drift
    side: SideData
    years: Years | None
    splitting: Splitting

    @classmethod
    def build(cls, prepared: Prepared, features: pa.Table) -> Self:
        """features: dbt_like_sql's item_features: item, title, year, genres, directors, writers.

        Raises ValueError where there are no interactions.
        """
        events, items = prepared.interactions, prepared.ids.items
        counts = np.bincount(events.items, minlength=events.n_items)
        return cls(
            extent=Extent.of(events),
            films=Spread.of(counts),
            users=Spread.of(np.diff(events.offsets)),
            sessions=Sessions.of(events),
            drift=Drift.of(events),
            side=SideData.of(features, items, counts),
            years=Years.of(events, item_features(features, items).years),
            splitting=Splitting.of(events),
        )

    def figures(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and dicts."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """`figures.json`, the same bytes for the same data; the page lies in `views/`."""
        from recpipe.profiling.pages import html

        text = json.dumps(self.figures(), indent=1, allow_nan=False)
        (folder / FIGURES).write_text(text + "\n", encoding="utf-8", newline="\n")
        (folder / VIEWS).mkdir()
        (folder / VIEWS / PAGE).write_text(html(self), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The report written to `folder`."""
        return TypeAdapter(cls).validate_json((folder / FIGURES).read_bytes())
