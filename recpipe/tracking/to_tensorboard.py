"""Epochs as TensorBoard event files: `tensorboard --logdir HOME/tracking/tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from recpipe.tracking.tracker import Training


class ToTensorboard:
    """A folder a training, MODEL/SPLIT/RUN, so that TensorBoard lists models as runs."""

    def __init__(self, training: Training) -> None:
        folder = training.folder / "tensorboard" / training.model / training.split / training.run
        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("settings", _table(training.settings))

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """One scalar a figure; written at once, so that the page moves while the training runs."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def end(self, figures: Mapping[str, Any] | None) -> None:
        """The figures as a table."""
        self._writer.add_text("figures", "failed" if figures is None else _table(figures))
        self._writer.close()


def _table(values: Mapping[str, Any]) -> str:
    """Markdown, which TensorBoard shows as a table."""
    return "\n".join(["| name | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())])
