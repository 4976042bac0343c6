"""A data report for people: a standalone HTML page, and Markdown for Dagster's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from recpipe.evaluation import pages
from recpipe.evaluation.plots import data_uri
from recpipe.profiling import plots
from recpipe.profiling.findings import TITLES, findings
from recpipe.profiling.long_tail import QUANTILES, Quantiles

if TYPE_CHECKING:
    from recpipe.profiling.report import DataReport


@dataclass(frozen=True)
class Section:
    """seen: what the figures say. means: for the choice of a split. pictures: data URIs by title."""

    title: str
    seen: str
    means: str
    pictures: Mapping[str, str]


def html(report: DataReport) -> str:
    """A page that stands alone: plots inside, no script, nothing fetched."""
    return pages.page(
        "data_report.html",
        extent=report.extent,
        sections=sections(report),
        quantiles=_quantiles(report),
        names=list(QUANTILES),
        tests=report.splitting.by_date,
        pauses=report.sessions.by_pause,
    )


def markdown(report: DataReport) -> str:
    """The sections in short, with their plots as data URIs."""
    extent = report.extent
    lines = [f"{extent.events:,} interactions of {extent.users:,} users with {extent.films:,} films, {extent.first} to "
             f"{extent.last} (UTC)"]  # fmt: skip
    for section in sections(report):
        lines += ["", f"### {section.title}", section.seen, "", f"**For the split:** {section.means}"]
        lines += [f"\n![{title}]({picture})" for title, picture in section.pictures.items()]
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1)
def _pictures(report: DataReport) -> Mapping[str, Mapping[str, str]]:
    """By section; drawn once for the page and the Markdown of one report."""
    figures = {
        "films": {"Lorenz curves of films and users": plots.lorenz(report.films, report.users)},
        "sessions": {"Pauses between interactions of a user": plots.pauses(report.sessions)},
        "drift": {"Activity over time": plots.activity(report.drift),
                  "Rank correlation of popularity between parts": plots.rank_correlation(report.drift)},
        "side": {"Coverage of the side data": plots.coverage(report.side.fields)},
    }  # fmt: skip
    if report.years is not None:
        figures["years"] = {"Age of films when watched": plots.ages(report.years),
                            "Release years by year of the watch": plots.watch_years(report.years)}  # fmt: skip
    return {name: {title: data_uri(figure) for title, figure in each.items()} for name, each in figures.items()}


def sections(report: DataReport) -> list[Section]:
    """In the order of `TITLES`."""
    told, pictures = findings(report), _pictures(report)
    return [Section(title, told[name].seen, told[name].means, pictures.get(name, {})) for name, title in TITLES.items()]


def _quantiles(report: DataReport) -> dict[str, Quantiles]:
    """The rows of the page's table of quantiles: those that there is something to tell of."""
    rows = {
        "interactions of a film": report.films.events,
        "interactions of a user": report.users.events,
        "sessions of a user": report.sessions.of_a_user,
        "interactions of a session": report.sessions.events,
        "minutes of a session": report.sessions.minutes,
        "days between sessions of a user": report.sessions.days_between,
        "days from a user's first film to the last": report.splitting.span,
    }
    if report.years is not None:
        rows |= {
            "age of a film when watched (years)": report.years.age,
            "middle release year of a user's films": report.years.middle,
            "years that the middle half of a user's films spans": report.years.width,
        }
    return {name: row for name, row in rows.items() if row}
