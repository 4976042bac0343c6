"""`recpipe search`: an ordinary run of `model_search`, its trials as they end, the time left, and what was found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from recpipe.defs.building import carry_out, instance_answers
from recpipe.defs.planner import run_step
from recpipe.lineage import FULL, Lineage, Node, model_node
from recpipe.progress import duration, listening
from recpipe.settings import Project
from recpipe.showing_search import show_search, told_settings
from recpipe.space import telling_of_space
from recpipe.yaml_files import SettingsError


class SearchFailed(ValueError):
    """The run of the search failed; the message is its reason."""


def search_model(
    project: Project, model: str, split: str, asked: Mapping[str, Any], out: Console, *, apply: bool, force: bool
) -> None:
    """Make the split where it is missing or stale, search, show what was found, and write it where that is wanted.

    Raises `SearchFailed`, and ValueError where nothing better is there to be written.
    """
    from recpipe.steps.search import apply as written

    node = _node(project, model, split)
    name = (node.partition or "").rpartition("|")[2]
    needs = [need for need in Lineage(project).upstream(node) if need.asset in {"split", "item_features"}]
    config = {key: value for key, value in asked.items() if value is not None}
    _, failure = carry_out(project, needs, out, None)
    if failure is not None:
        raise SearchFailed(f"search of {model} on {name}: {failure}")
    with (
        _Shown(out, asked.get("jobs") or project.search().jobs) as shown,
        listening(shown.hear),
        telling_of_space(project.home, "the search's history"),
        instance_answers(),
        dg.DagsterInstance.get() as instance,
    ):
        failed = run_step(node, instance, config=config)
    if failed:
        raise SearchFailed(f"search of {model} on {name}: {failed}")
    found = project.store.read(node.asset, node.partition)
    show_search(found, out)
    if apply:
        out.print(escape(written(project, found, force)), highlight=False, soft_wrap=True)


def show_so_far(project: Project, model: str, split: str, asked: Mapping[str, Any], out: Console) -> None:
    """The study as it stands now, also while a search is at work on it."""
    from recpipe.steps.search import Asked, so_far

    node = _node(project, model, split)
    show_search(so_far(project, Asked(model, (node.partition or "").rpartition("|")[2], **asked)), out)


def _node(project: Project, model: str, split: str) -> Node:
    project.recipe(model)  # an unknown name and a wrong setting are errors before anything is made
    if split == FULL:
        raise SettingsError(f"--split: {FULL} hides nothing to search by; take another split")
    return model_node(model, project.split_asked(split), "model_search")


class _Shown:
    """A bar of trials with the best so far and the time left; a line for each trial that has ended."""

    def __init__(self, out: Console, jobs: int) -> None:
        self.out, self.jobs = out, jobs
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"), TimeElapsedColumn(), console=out, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, told="")
        self._best: float | None = None
        self._until: float | None = None
        self._seconds: list[float] = []
        self._left = 0

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def hear(self, news: dict[str, Any]) -> None:
        """One piece of news: of the search, or of a training."""
        match news["event"]:
            case "search":
                self._until, self._left, self._best = news["until"], max(0, news["wanted"] - news["done"]), news["best"]
                self._bar.update(self._task, description="trials", completed=news["done"], total=news["wanted"])
                self.out.print(f"study {escape(news['study'])}: {news['done']} trials of {news['wanted']} are there",
                               highlight=False)  # fmt: skip
                if news["killed"]:
                    self.out.print(f"{news['killed']} that a killed process left are tried again", highlight=False)
            case "training" if news.get("epoch") and news.get("valid") is not None:
                self._tell(f"epoch {news['epoch']}, validation {news['valid']:.4f}")
            case "trial":
                self._end(news)
            case "measuring again":
                self._bar.update(self._task, description="on other seeds", completed=news["done"], total=news["wanted"])
            case "waiting":
                self.out.print(escape(news["what"]), highlight=False)

    def _end(self, news: dict[str, Any]) -> None:
        state, score, reason = news["state"], news["score"], news["reason"]
        if state != "fail" or reason:  # without a reason it was cut short, and does not count
            self._left -= 1
            self._bar.advance(self._task)
        self._seconds.append(news["seconds"])
        better = state == "complete" and (self._best is None or score > self._best)
        if better:
            self._best = score
        figure = "" if score is None else f"{score:.4f}"
        word = {"complete": "[bold green]best[/bold green]" if better else "    ", "pruned": "[dim]pruned[/dim]"}
        failed = f"[red]failed[/red] ({escape(reason)})" if reason else "[yellow]cut short[/yellow]"
        self.out.print(f"{news['number'] + 1:>4} {figure:>7} {word.get(state, failed)} "
                       f"{escape(told_settings(news['settings']))}  [dim]{news['seconds']:.1f} s[/dim]",
                       highlight=False, soft_wrap=True)  # fmt: skip
        self._tell("")

    def _tell(self, now: str) -> None:
        best = "" if self._best is None else f"best {self._best:.4f}"
        self._bar.update(self._task, told=", ".join(each for each in (best, now, self._time_left()) if each))

    def _time_left(self) -> str:
        """At the pace so far, or until the time is up, whichever comes first; empty while nothing is known."""
        bounds = [] if self._until is None else [max(0.0, self._until - time.time())]
        if self._seconds:
            bounds.append(sum(self._seconds) / len(self._seconds) * self._left / self.jobs)
        left = min(bounds, default=None)
        if left is None:
            return ""
        return f"about {duration(left)} left"
