"""Trackers that follow a training: opened by name, told of every epoch, and dropped with a note where they fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from recpipe.conf_files import RunSettings
from recpipe.progress import listening, tell
from recpipe.recipe import Recipe
from recpipe.tracking.tracker import Tracker, Training
from recpipe.training.journal import Journal, of_stage
from recpipe.yaml_files import SettingsError

ABOUT_THE_WAY = frozenset({"event", "epoch", "epochs", "seconds_left", "node"})
"""What news of an epoch hold beside its figures."""


def check_installed(trackers: Sequence[str]) -> None:
    """Raises `SettingsError` where run.yaml names a tracker whose library is not there."""
    for name in trackers:
        if find_spec(name) is None:
            raise SettingsError(
                f"conf/run.yaml: trackers: {name} is not installed: pip install -c constraints.txt -e '.[{name}]', or "
                "take it off the list"
            )


@contextmanager
def followed(recipe: Recipe, model: str, split: str, settings: RunSettings, folder: Path) -> Iterator[Following]:
    """A training inside is followed by the trackers of `settings`; call `end` of what is given when it is done.

    folder: where trackers write. Raises `SettingsError` where one is not installed; later nothing of theirs does harm.
    """
    check_installed(settings.trackers)
    told = {"recipe": recipe.recipe_name(), **recipe.model_dump(mode="json"), **settings.choices}
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    following = Following(Training(model, split, told, folder, run), _openers(settings))
    with listening(following.hear):
        try:
            yield following
        finally:
            following.end_failed()


class Following:
    """The trackers of one training. notes: one sentence for each that failed and was dropped."""

    def __init__(self, training: Training, openers: Mapping[str, Callable[[Training], Tracker]]) -> None:
        self.notes: list[str] = []
        self._trackers: dict[str, Tracker] = {}
        self._heard: set[tuple[str, int]] = set()
        for name, opened in openers.items():
            with _Harmless(self, name, "could not begin"):
                self._trackers[name] = opened(training)

    def hear(self, news: Mapping[str, Any]) -> None:
        """News of an epoch go to every tracker; all other news are none of theirs."""
        stage, row = of_stage(news)
        if news.get("event") != "training" or "epoch" not in row:
            return
        self._heard.add((stage, row["epoch"]))
        self._tell(row, stage)

    def end(self, journal: Journal, figures: Mapping[str, Any]) -> None:
        """The training is done. Of the journal's epochs, those before a kill, which nobody heard here, are handed in
        now."""
        for stage, rows in (*journal.stages.items(), ("", journal.epochs)):
            for row in rows:
                if (stage, row["epoch"]) not in self._heard:
                    self._tell(row, stage)
        self._end(figures)

    def end_failed(self) -> None:
        """Trackers that are still open learn that the training failed."""
        self._end(None)

    def drop(self, name: str, what: str, error: Exception) -> None:
        """Tell the tracker nothing any more."""
        self._trackers.pop(name, None)
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        self.notes.append(f"{name} {what} and was left out, the training was not: {type(error).__name__}: {reason}")
        tell(event="training", note=self.notes[-1])

    def _tell(self, row: Mapping[str, Any], stage: str) -> None:
        figures = {f"{stage}/{name}" if stage else name: value for name, value in row.items()
                   if isinstance(value, int | float) and name not in ABOUT_THE_WAY}  # fmt: skip
        for name, tracker in list(self._trackers.items()):
            with _Harmless(self, name, f"failed at epoch {row['epoch']}"):
                tracker.epoch(row["epoch"], figures)

    def _end(self, figures: Mapping[str, Any] | None) -> None:
        for name, tracker in list(self._trackers.items()):
            with _Harmless(self, name, "failed at the end"):
                tracker.end(figures)
        self._trackers.clear()


class _Harmless:
    """A tracker's error of any class drops the tracker, with a note: its library is not ours, and hours may be lost.

    Interrupts go through.
    """

    def __init__(self, following: Following, name: str, what: str) -> None:
        self._following, self._name, self._what = following, name, what

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._following.drop(self._name, self._what, error)
        return True


def _openers(settings: RunSettings) -> dict[str, Callable[[Training], Tracker]]:
    """How each tracker of the settings is opened; nothing of it is imported before."""

    def tensorboard(training: Training) -> Tracker:
        from recpipe.tracking.to_tensorboard import ToTensorboard

        return ToTensorboard(training)

    def mlflow(training: Training) -> Tracker:
        from recpipe.tracking.to_mlflow import ToMlflow

        return ToMlflow(training, settings.mlflow_uri)

    def wandb(training: Training) -> Tracker:
        from recpipe.tracking.to_wandb import ToWandb

        return ToWandb(training, settings.wandb_mode)

    known = {"tensorboard": tensorboard, "mlflow": mlflow, "wandb": wandb}
    return {name: known[name] for name in settings.trackers}
