"""Epochs as runs of Weights & Biases: offline, under the home folder, until somebody runs `wandb sync`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from recpipe.tracking.tracker import Training


class ToWandb:
    """A run a training, in the project `recpipe`; neither code, console nor machine figures are taken along."""

    def __init__(self, training: Training, mode: Literal["offline", "online"] = "offline") -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # at its import: it would report crashes to its makers
        import wandb

        training.folder.mkdir(parents=True, exist_ok=True)  # in which wandb makes one of its own name
        quiet = wandb.Settings(console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True)
        self._run = wandb.init(
            project="recpipe", name=training.name, group=training.split, config=dict(training.settings),
            dir=str(training.folder), mode=mode, reinit="create_new", settings=quiet,
        )  # fmt: skip
        self._run.define_metric("*", step_metric="epoch")

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """One row; `epoch` is the axis, since rows of a resumed training come out of order."""
        self._run.log({"epoch": number, **figures})

    def end(self, figures: Mapping[str, Any] | None) -> None:
        """The figures into the run's summary."""
        self._run.summary.update({f"final/{name}": value for name, value in (figures or {}).items()})
        self._run.finish(exit_code=1 if figures is None else 0)
