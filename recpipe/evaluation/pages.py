"""Reports and leaderboards for people: standalone HTML pages, and Markdown for Dagster's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recpipe.evaluation import plots
from recpipe.evaluation.comparison import Interval

if TYPE_CHECKING:
    from recpipe.evaluation.report import EvaluationReport

HEADLINE = ("ndcg", "recall", "capped_recall", "mrr", "map", "hit_rate")


def html(report: EvaluationReport) -> str:
    """A page that stands alone: plots inside, no script, nothing fetched."""
    return page(
        "report.html",
        report=report,
        training=report.training,
        cut_offs=cut_offs(report.metrics),
        headline=_headline(report),
        metric_names=HEADLINE,
        figures=told_figures(report.training.figures),
        plots=_plots(report),
    )


def markdown(report: EvaluationReport) -> str:
    """The report in short: warnings, key figures, plots as data URIs of some 30 kB each."""
    training = report.training
    lines = [f"**{training.model}** on split **{training.split}** (digest `{training.split_digest[:12]}`), "
             f"{len(report.evaluation.users):,} users", ""]  # fmt: skip
    lines += [f"- ⚠ {warning}" for warning in training.warnings] + [""]
    rows = [[name, str(interval)] for name, interval in _headline(report).items()]
    lines += table(("metric", "mean [95 % interval]"), rows)
    lines += ["", *table(("figure", "value"), list(told_figures(training.figures).items()))]
    lines += [f"\n![{title}]({picture})" for title, picture in _plots(report).items()]
    return "\n".join(lines) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]


def told_figures(figures: Mapping[str, float]) -> dict[str, str]:
    """Seconds, memory (bytes) and parameters as a person reads them; other numbers as they are."""
    told = {}
    for name, value in figures.items():
        if name == "memory":
            told[name] = f"{value / 2**20:,.0f} MiB"
        elif name == "seconds":
            told[name] = f"{value:,.1f} s"
        else:
            told[name] = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"
    return told


def cut_offs(metrics: Mapping[str, Any]) -> list[int]:
    """The cut-offs among `name@k`, ascending."""
    return sorted({int(name.partition("@")[2]) for name in metrics})


def page(template: str, **values: Any) -> str:
    """A template of this folder, filled."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _headline(report: EvaluationReport) -> dict[str, Interval]:
    """The metrics at 10, or at the largest cut-off where 10 is not among them."""
    known = cut_offs(report.metrics)
    k = 10 if 10 in known else known[-1]
    return {f"{name}@{k}": report.metrics[f"{name}@{k}"] for name in HEADLINE}


@lru_cache(maxsize=1)
def _plots(report: EvaluationReport) -> Mapping[str, str]:
    """Drawn once for the page and the Markdown of one report."""
    known = cut_offs(report.metrics)
    users = {f"{name}: {group.who}": group.metrics for name, group in report.user_groups.items()}
    figures = {
        "Metrics by group of users": plots.metrics_by_user_group(users, list(_headline(report))),
        "Hidden films found, by group of films": plots.recall_by_film_group(report.evaluation.film_groups, known),
    }
    if report.training.epochs:
        curve = plots.training_curve(report.training.epochs, report.training.metric)
        figures = {"Training curve": curve, **figures}
    if report.training.importance:
        figures["What the trees split at"] = plots.importance(report.training.importance)
    return {title: plots.data_uri(figure) for title, figure in figures.items()}
