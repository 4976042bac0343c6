"""What the command line shows of studies: pairs, a head-to-head, robustness, which split to trust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from recpipe.settings import Project
from recpipe.storage import VIEWS, replace_text
from recpipe.yaml_files import SettingsError


def show_comparison(project: Project, out: Console, models: Sequence[str], split: str, page: Path | None) -> None:
    """All pairs of a split where no model is named, two head to head; both also as a page."""
    on = project.split_asked(split)
    if not models:
        show_pairs(project, out, on, page)
    elif len(models) == 2:
        show_duel(project, out, models[0], models[1], on, page)
    else:
        raise SettingsError(f"compare: name two models, or none for all pairs; {len(models)} came")


def show_pairs(project: Project, out: Console, split: str, page: Path | None) -> None:
    """A table of all pairs and the verdict; the page has the pictures."""
    from recpipe.steps.compare import comparison

    made = comparison(project, split)
    out.print(_table(*made.told()))
    out.print(escape(made.verdict()), highlight=False)
    target = page or project.home / "studies" / f"comparison-{split}.html"
    replace_text(target, made.html())
    _show_page(out, target)


def show_duel(project: Project, out: Console, first: str, second: str, split: str, page: Path | None) -> None:
    """The verdict, and the groups in which one of the two is better."""
    from recpipe.steps.compare import duel

    made = duel(project, first, second, split, page)
    out.print(escape(made.result.verdict()), highlight=False)
    rows = [
        [f"{group.by}: {group.who}", f"{group.users:,}", f"{group.first:.4f}", f"{group.second:.4f}",
         f"{group.difference.mean:+.4f}", f"{group.difference.p:.4f}"]
        for group in made.result.groups
        if group.found
    ]  # fmt: skip
    if rows:
        out.print(_table(["where one is better", "users", first, second, "difference", "p (Holm)"], rows))
    if project.store.record("item_features") is None:
        out.print("without titles, genres and years: item_features has not been made (a build of the submission does)")
    _show_page(out, made.page)


def show_robustness(project: Project, out: Console) -> None:
    """The table of models over folds, and the verdict."""
    from recpipe.studies.robustness_report import COLUMNS, PAGE

    report = project.store.read("robustness_report")
    out.print(_table(COLUMNS, report.told()))
    _show_words(out, report.study.verdict(), report.notes)
    _show_page(out, project.store.folder("robustness_report") / VIEWS / PAGE)


def show_split_trust(project: Project, out: Console) -> None:
    """The table of splits, the most trusted first, and the verdict."""
    from recpipe.studies.split_trust_report import COLUMNS, PAGE

    report = project.store.read("split_trust_report")
    out.print(_table(COLUMNS, report.told()))
    _show_words(out, report.verdict, report.notes)
    _show_page(out, project.store.folder("split_trust_report") / VIEWS / PAGE)


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*(Column(escape(column), overflow="fold") for column in columns), box=None)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _show_words(out: Console, verdict: str, notes: Iterable[str]) -> None:
    for words in (verdict, *notes):
        out.print(escape(words), highlight=False)


def _show_page(out: Console, page: Path) -> None:
    out.print(f"[bold green]page:[/bold green] {escape(str(page))}", soft_wrap=True, highlight=False)
