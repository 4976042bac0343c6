"""What `conf/studies.yaml` says: which models and splits the studies train on, and what is laid aside."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recpipe.evaluation.naming import parse_metric

CHEAP = ("popularity", "item_knn", "user_knn", "rp3beta", "ease", "ease_recent", "slim_elastic", "ials", "ncepl_rec",
         "markov_chain", "markov_fading")  # fmt: skip
"""Models that learn in seconds to a minute on a million events, of five families."""


class RobustnessSettings(BaseModel):
    """The part `robustness`: models whose reports on several splits of one kind are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(CHEAP, min_length=2, description="by their names in conf/models")
    splits: tuple[str, ...] = Field(
        ("fold_1", "fold_2", "fold_3", "fold_4", "fold_5"), min_length=2, description="by their names in conf/splits"
    )

    @field_validator("models", "splits")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(names)


class HiddenSettings(BaseModel):
    """What is laid aside before any strategy sees the data: hidden as `holdout` hides, with draws of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    last: int = Field(5, ge=0, le=1000, description="each user's latest films")
    random: int = Field(5, ge=0, le=1000, description="films drawn from the rest of the history")
    most_share: float = Field(0.2, gt=0, le=0.5, description="short histories hide at most this share of their films")
    seed: int = Field(1000, ge=0, description="of the draws; another than the splits' seeds")

    @model_validator(mode="after")
    def _hides_something(self) -> Self:
        if not self.last + self.random:
            raise ValueError("hidden: last + random must be at least 1")
        return self


class SplitTrustSettings(BaseModel):
    """The part `split_trust`: whose ranking by each split is held against the ranking on the hidden part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(CHEAP, min_length=2, description="by their names in conf/models")
    splits: tuple[str, ...] = Field(
        ("holdout", "ratio_time", "ratio_random", "leave_one_out", "by_date", "strong", "fold_1", "quick"),
        min_length=1,
        description="by their names in conf/splits; each has a validation part",
    )
    metric: str = Field("capped_recall@10", description="on validation parts and on the hidden part")
    hidden: HiddenSettings = Field(default_factory=HiddenSettings, description="what is laid aside first")

    @field_validator("models", "splits")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once(names)

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        parse_metric(metric)
        return metric


class StudySettings(BaseModel):
    """conf/studies.yaml, with what a command left in the home folder on top."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    robustness: RobustnessSettings = Field(default_factory=RobustnessSettings)
    split_trust: SplitTrustSettings = Field(default_factory=SplitTrustSettings)


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}; name each once")
    return names
