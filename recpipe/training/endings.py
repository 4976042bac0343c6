"""Why a training ended, by what it has reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIME_BUDGET = "time budget"
"""What `stopped` says where the time was up."""


def cut_short(closing: Mapping[str, Any]) -> bool:
    """Whether the time budget ended it, or a part that is trained first (`training.pretraining`, PART_stopped)."""
    return any(told == TIME_BUDGET for name, told in closing.items() if name == "stopped" or name.endswith("_stopped"))
