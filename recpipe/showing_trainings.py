"""What the command line shows of trainings: learning curves of those that were, estimates of those that are to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from recpipe.costs import in_words
from recpipe.progress import duration
from recpipe.settings import Project

if TYPE_CHECKING:
    from recpipe.steps.estimate import Estimate


def show_curves(project: Project, out: Console, models: Sequence[str], split: str, path: Path | None) -> None:
    """One row a model, and the picture written to `path`, `curves.png` of the home folder where none is given."""
    from recpipe.evaluation.curves import COLUMNS, row
    from recpipe.steps.curves import read_curves, write_curves

    split = project.split_asked(split)
    curves, metric = read_curves(project, models, split)
    out.print(f"[bold]{escape(split)}[/bold], validation by {metric}", highlight=False)
    table = Table(*(Column(name, justify="left" if name in {"model", "ended by"} else "right") for name in COLUMNS),
                  box=None)  # fmt: skip
    for curve in curves:
        table.add_row(*map(escape, row(curve)))
    out.print(table)
    path = path or project.home / "curves.png"
    write_curves(curves, split, metric, path)
    out.print(f"[bold green]curves:[/bold green] {escape(str(path))}", soft_wrap=True)


def show_estimates(
    project: Project, out: Console, models: Sequence[str], *, split: str, source: str, probed: bool
) -> None:
    """One row a model: memory and whether it fits, seconds by formula and probe, and what a whole training takes."""
    from recpipe.steps.estimate import estimates
    from recpipe.steps.loading import parts_of

    split = project.split_asked(split)
    names = project.models_asked(models)
    with out.status("reading the data"):
        parts = parts_of(project, split, source)
    train, settings = parts.train, project.run()
    out.print(
        f"[bold]{escape(split)}[/bold] of {escape(source or project.dataset().source)}: {len(train):,} events of "
        f"{(train.offsets[1:] > train.offsets[:-1]).sum():,} users and {train.n_items:,} films to learn from; CPU "
        "seconds of one thread",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    found: list[Estimate] = []
    with out.status("") as line:
        for place, name in enumerate(names, start=1):
            line.update(f"{'probing' if probed else 'estimating'} {name}, {place} of {len(names)}")
            found += estimates(project, [name], parts, probed)
    out.print(_table_of(found))
    for each in found:
        if not each.fits:
            room = in_words(each.room) + (f", {in_words(each.gpu_room)} of a GPU" if each.wanted.on_gpu else "")
            out.print(f"{each.model}: {room} may be taken: {each.wanted.hint}", highlight=False, soft_wrap=True)
        if each.unprobed:
            out.print(f"{each.model}: by the formula alone: {escape(each.unprobed)}", highlight=False, soft_wrap=True)
    budget = "" if settings.time_budget is None else f", up to the budget of {duration(settings.time_budget)}"
    out.print(f"at most: all epochs with a validation after each{budget}; early stopping may end it", soft_wrap=True)


def _table_of(found: Sequence[Estimate]) -> Table:
    columns = ("memory", "fits", "by the formula", "× probe", "an epoch or fit", "validation", "epochs", "at most")
    table = Table("model", *(Column(name, justify="right") for name in columns), box=None)
    for each in found:
        probe = each.probe
        fits = "yes" if each.fits else "[red]no[/red]"
        memory = in_words(each.wanted.memory + each.wanted.on_gpu)
        correction = f"{probe.correction:.2f}" if probe else "–"
        validation = duration(each.validation) if probe and each.epochs else "–"
        table.add_row(
            each.model, memory, fits, duration(each.formula), correction, duration(each.seconds), validation,
            str(each.epochs or "–"), duration(each.at_most),
        )  # fmt: skip
    return table
