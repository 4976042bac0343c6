"""What `conf/ensemble.yaml` says: whose lists are blended, how, and what is handed in."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recpipe.evaluation.naming import parse_metric


class EnsembleSettings(BaseModel):
    """The choices of the ensemble; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str = Field("holdout", description="the split on whose validation part the blend is chosen")
    members: tuple[str, ...] = Field(min_length=1, description="models, by their names in conf/models")
    method: Literal["rrf", "borda", "minmax", "zscore"] = Field(
        "zscore", description="reciprocal ranks, Borda counts, or scores scaled per user to 0..1 or to unit deviation"
    )
    search: Literal["greedy", "none"] = Field("greedy", description="how weights are found; none: all alike")
    switch_by: Literal["none", "length", "recent"] = Field(
        "none", description="weights of their own for the more active half of the users, by all or by the latest films"
    )
    metric: str = Field("capped_recall@10", description="what the search maximises and the verdict compares")
    candidates: int = Field(100, ge=10, le=1000, description="films that each member offers for a user")
    k: int = Field(10, ge=1, le=1000, description="films handed in for each user")
    release_year_filter: bool = Field(False, description="leave out films released after the user's last watch")
    release_year_tolerance: int = Field(1, ge=0, le=100, description="years that such a film may be younger")

    @field_validator("members")
    @classmethod
    def _distinct(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({member for member in members if members.count(member) > 1})
        if twice:
            raise ValueError(
                f"members are named twice: {', '.join(twice)}; name each once, the search finds the weights"
            )
        return members

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        parse_metric(metric)
        return metric

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        wanted = max(self.k, parse_metric(self.metric)[1])
        if self.method in ("minmax", "zscore"):  # they say of a member's last film what they say of one not listed
            wanted += 1
        if self.candidates < wanted:
            raise ValueError(
                f"candidates is {self.candidates}; k, metric and method {self.method} want at least {wanted} films of "
                "each member"
            )
        return self
