"""`recpipe build`: the planner's news as progress on a terminal, with the time left, and the leaderboard at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from recpipe.defs.planner import BuildFailed, Built, Hands, OwnHands, build
from recpipe.lineage import Lineage, Node, Standing, model_node
from recpipe.lock import only_builder
from recpipe.progress import duration, epoch_in_words, listening
from recpipe.settings import Project
from recpipe.showing import show_leaderboard
from recpipe.space import telling_of_space

DATA_REPORT = Node("data_report")

QUICK = 1.0
"""Seconds assumed for a step that has never been run."""
LINE_EVERY = 30.0
"""Seconds between two lines about epochs where the output is no terminal."""


def build_line(project: Project, models: Sequence[str], split: str, out: Console, workers: str = "") -> bool:
    """Make reports, leaderboard and, on the ensemble's split with all its members, the submission.

    workers: a Dask scheduler's address, whose workers then carry out the steps; run.yaml's where it is empty.
    Returns whether all of it stands at the end; a model that failed is named and does not stop the others.
    """
    from recpipe.tracking.following import check_installed

    check_installed(project.run().trackers)
    models = project.models_asked(models)
    goals = build_goals(project, models, split)
    _check_settings(project, models, project.split_asked(split))
    arrivals = len(project.arrivals())
    data = project.dataset().source + (f", arrivals: {arrivals}" if arrivals else "")
    out.print(f"[bold]{len(models)} models[/bold] on {escape(data)}; writing to {escape(project.address)}")
    built, failure = carry_out(project, goals, out, workers or project.run().workers)
    board = goals[-1] if goals[-1].asset == "leaderboard" else goals[-2]
    if project.store.record(board.asset, board.partition):
        show_leaderboard(project, board.partition or "", out)
    if failure is not None:
        out.print(f"[red]{escape(str(failure))}[/red]", highlight=False, soft_wrap=True)
        return False
    if goals[-1].asset == "ensemble_submission":
        from recpipe.steps.submit import place_file

        for note in project.store.need("ensemble_submission").notes:
            out.print(escape(note), highlight=False, soft_wrap=True)
        place_file(project)
        out.print(f"[bold green]submission:[/bold green] {escape(str(project.submission_file))}", soft_wrap=True)
    return not built.failed


def _check_settings(project: Project, models: Sequence[str], split: str) -> None:
    """Every model's YAML is checked first: but for those whose training is current, which passed as they stand."""
    lineage = Lineage(project)
    for name in models:
        if lineage.state(model_node(name, split)).standing is not Standing.CURRENT:
            project.recipe(name)  # loads what the recipe learns with, torch for instance


def build_aside(project: Project, goal: Node, out: Console) -> bool:
    """Make one artifact beside the line and all that it needs, with the same progress; whether it stands at the end."""
    out.print(f"[bold]{goal}[/bold]; writing to {escape(project.address)}", soft_wrap=True)
    _, failure = carry_out(project, [goal], out, project.run().workers)
    if failure is not None:
        out.print(f"[red]{escape(str(failure))}[/red]", highlight=False, soft_wrap=True)
    return failure is None


def carry_out(
    project: Project, goals: Sequence[Node], out: Console, workers: str | None
) -> tuple[Built, BuildFailed | None]:
    """Make the goals, showing how far it is, and what failed at the end. workers: a Dask scheduler's address."""
    started = time.monotonic()
    failure = None
    with (
        _Shown(project, out) as shown,
        listening(shown.hear),
        telling_of_space(project.home, "the build's history"),
        only_builder(project),  # before the instance: two that set one up at once would be in each other's way
        instance_answers(),
        dg.DagsterInstance.get() as instance,
    ):
        try:
            with _hands(project, instance, workers) as hands:
                built = build(project, goals, instance, hands=hands)
        except BuildFailed as failed:
            failure, built = failed, failed.built
    out.print(f"{len(built.ran)} steps run, {len(built.current)} current, {time.monotonic() - started:.0f} s")
    for node, reason in built.failed.items():
        out.print(f"[red]failed[/red] {escape(f'{node}: {reason}')}", highlight=False, soft_wrap=True)
    return built, failure


@contextmanager
def _hands(project: Project, instance: dg.DagsterInstance, workers: str | None) -> Iterator[Hands]:
    if not workers:
        yield OwnHands(instance)
        return
    from recpipe.defs.spreading import workers_of

    with workers_of(workers, project, instance) as hands:
        yield hands


def build_goals(project: Project, models: Sequence[str], split: str) -> list[Node]:
    """Reports of the models on the split, its leaderboard; the submission where all members are among the models."""
    on = project.split_asked(split)
    goals = [model_node(name, on, "evaluation_report") for name in models]
    goals.append(Node("leaderboard", on))
    if on == project.ensemble_split() and set(project.ensemble_members()) <= set(models):
        goals.append(Node("ensemble_submission"))
    return goals


class InstanceLost(OSError):
    """Dagster's instance did not answer, as often as Dagster itself tried."""


@contextmanager
def instance_answers() -> Iterator[None]:
    """A database that is gone becomes one sentence for people; its address is not told, a password may stand in it."""
    try:
        yield
    except _database_errors() as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise InstanceLost(
            f"the database of Dagster's instance does not answer ({reason}); what is published stays as it is: build "
            "again when the database is back, and it goes on from there"
        ) from error


def _database_errors() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError

    postgres = sys.modules.get("dagster_postgres.utils")  # loaded where the instance lies on PostgreSQL
    return (SQLAlchemyError, *([postgres.DagsterPostgresException] if postgres else []))


class _Shown:
    """A line for the steps under way, with their epochs; a line left behind for each step done."""

    def __init__(self, project: Project, out: Console) -> None:
        self.lineage, self.out = Lineage(project), out
        self.built = Built()
        narrow, wide = Column(no_wrap=True), Column(ratio=1)
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}", table_column=narrow),
            TextColumn("{task.fields[left]}", table_column=wide), TimeElapsedColumn(table_column=narrow),
            console=out, transient=True, expand=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, left="")
        self._started: dict[Node, float] = {}
        self._moving = out.is_terminal  # asked inside a step it would be about Dagster's capture of the output
        self._last_line = time.monotonic()

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def hear(self, news: dict[str, Any]) -> None:
        """One piece of news from the planner or from a training."""
        match news["event"]:
            case "start":
                self._started[news["node"]] = time.monotonic()
                left = sum(self._expected(node) for node in news["remaining"])
                self._bar.update(self._task, description=self._under_way(), left=_told(left))
            case "training" if "resumed_from" in news:
                self.out.print(f"training goes on after epoch {news['resumed_from']}, from a checkpoint")
            case "training" if "note" in news:
                self.out.print(escape(news["note"]), highlight=False, soft_wrap=True)
            case "training" if "epoch" in news:
                self._show_epoch(news)
            case "study":
                until = "" if news["left"] is None else f", {_told(news['left'])}"
                self._bar.update(self._task, left=escape(f"{news['what']}, {news['done'] + 1} of {news['of']}{until}"))
            case "done":
                self.built.ran.append(news["node"])
                self._say("[green]made[/green]", news["node"], f"{self._took(news['node']):.1f} s")
            case "failed":
                self._took(news["node"])
                self.built.failed[news["node"]] = news["error"]
                self._say("[red]failed[/red]", news["node"], news["error"].splitlines()[0])
            case "left out":
                self._say("[yellow]left out[/yellow]", news["node"], f"because of {news['because']}")
            case "current":
                self.built.current.append(news["node"])
            case "waiting":
                self.out.print(escape(news["what"]), soft_wrap=True)

    def _show_epoch(self, news: dict[str, Any]) -> None:
        """On the moving line; where there is none, in a log file, as a line of its own now and then."""
        words = epoch_in_words(news)
        self._bar.update(self._task, left=escape(f"{news['node']} {words}" if len(self._started) > 1 else words))
        if not self._moving and time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            node = escape(news["node"]) if "node" in news else self._under_way()
            self.out.print(f"{node}: {escape(words)}", highlight=False, soft_wrap=True)

    def _say(self, word: str, node: Node, rest: str) -> None:
        self.out.print(f"{word} {escape(str(node))}  [dim]{escape(rest)}[/dim]", highlight=False)

    def _took(self, node: Node) -> float:
        seconds = time.monotonic() - self._started.pop(node, time.monotonic())
        self._bar.update(self._task, description=self._under_way())
        return seconds

    def _under_way(self) -> str:
        return escape(", ".join(map(str, self._started)))

    def _expected(self, node: Node) -> float:
        record = self.lineage.project.store.record(node.asset, node.partition)
        return float(record.figures.get("seconds", QUICK)) if record else QUICK


def _told(seconds: float) -> str:
    return f"about {duration(seconds)} left"
