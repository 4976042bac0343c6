"""What the current data looks like: figures, words, a page."""

from __future__ import annotations

from typing import Any

from recpipe.profiling.report import DataReport
from recpipe.settings import Project


def data_report(project: Project) -> DataReport:
    """Of the interactions as prepared and the films' side data."""
    store = project.store
    return DataReport.build(store.read("interactions"), store.read("item_features").tables["item_features"])


def figures(report: DataReport) -> dict[str, Any]:
    """What a person would ask for first, for the record."""
    return {
        "events": report.extent.events,
        "users": report.extent.users,
        "films": report.extent.films,
        "density": round(report.extent.density, 6),
        "gini of films": round(report.films.gini, 4),
        "sessions": report.sessions.sessions,
        "tied at the last film": round(report.splitting.tied, 4),
        "later training than the last film": round(report.splitting.later_training, 4),
    }
