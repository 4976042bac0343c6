"""conf/search.yaml: how long a search is, where its trials are kept, and what a project tries for its models."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from recpipe.search.dimensions import Dimension


class SearchSettings(BaseModel):
    """What a search takes where neither the command nor the run's config says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: SecretStr = Field(
        SecretStr(""), description="a data base, postgresql://host/name; empty: SQLite in the home folder"
    )
    trials: int = Field(30, ge=1, description="in all, those of earlier calls included")
    minutes: float | None = Field(None, gt=0, description="of one call, the measuring on other seeds included")
    jobs: int = Field(1, ge=1, description="processes that try settings at the same time")
    seeds: int = Field(1, ge=1, description="trainings a trial, whose mean counts")
    other_seeds: int = Field(3, ge=0, description="trainings by which the best and the settings of now are compared")
    trial_seconds: float | None = Field(None, gt=0, description="a training of a trial; its best epoch so far counts")
    pruning: Literal["median", "none"] = Field(
        "median", description="median: a trial ends at an epoch where it is below half of the others"
    )
    pruning_after: int = Field(
        5, ge=0, description="epochs, finished trials, and trials at an epoch, before which nothing is pruned"
    )
    drawn_first: int = Field(10, ge=1, description="trials drawn at random before what was found guides the rest")
    spaces: dict[str, dict[str, Dimension | None]] = Field(
        default_factory=dict, description="by model: ranges and choices in place of those of recpipe/search/ranges.py"
    )
