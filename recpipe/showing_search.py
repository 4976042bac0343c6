"""A search on the terminal: the best trials, the settings that would change, what mattered, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from recpipe.search.result import ModelSearch

SHOWN = 5
"""Trials in the table, the best first; the settings of now besides."""


def show_search(found: ModelSearch, out: Console) -> None:
    """The verdict last, where the eye is."""
    from recpipe.search.pages import changes

    counts = ", ".join(f"{count} {state}" for state, count in found.counts().items() if count) or "no trial yet"
    out.print(f"[bold]{found.model}[/bold] on {found.split}, study {escape(found.study)}: {counts}", highlight=False)
    _trials(found, out)
    if found.importance:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.importance.items())
        out.print(f"what sets the best apart: {shares}", highlight=False)
    told = changes(found)
    if told:
        table = Table("setting", "now", "best", box=None)
        for name, (now, best) in told.items():
            table.add_row(name, escape(str(now)), escape(str(best)))
        out.print(table)
    out.print(escape(found.verdict), highlight=False, soft_wrap=True)
    if told and found.is_better:
        out.print(f"`recpipe search {found.model} --apply` writes them into conf/models/{found.model}.yaml",
                  highlight=False)  # fmt: skip


def told_settings(settings: Mapping[str, Any]) -> str:
    """`regularization 250, damping 0.5`."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in settings.items())  # fmt: skip


def _trials(found: ModelSearch, out: Console) -> None:
    table = Table("trial", f"validation {found.metric}", "seconds", "epochs", "settings", box=None)
    shown = sorted(found.complete, key=lambda trial: (-trial.score, trial.number))[:SHOWN]
    if found.default is not None and found.default not in shown:
        shown.append(found.default)
    for trial in shown:
        now = " (now)" if trial is found.default else ""
        table.add_row(f"{trial.number + 1}{now}", f"{trial.score:.4f}", f"{trial.seconds:.1f}", str(trial.epochs or ""),
                      escape(told_settings(trial.settings)))  # fmt: skip
    if shown:
        out.print(table)
