"""What of the ratings counts, as settings: read wherever a project is looked at, so nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Preparation(BaseModel):
    """What is kept of the ratings. The steps follow each other in the order of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_rating: float | None = Field(
        None, description="an event counts as watching from this rating on; none keeps all"
    )
    repeats: Literal["keep", "latest", "first"] = Field("keep", description="of several events of a user and a film")
    min_user_events: int = Field(1, ge=1, description="users with fewer events go, until nothing changes")
    min_item_events: int = Field(1, ge=1, description="films with fewer events go, until nothing changes")
