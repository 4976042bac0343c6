"""The search space of one model: what is tried for which of its settings; its settings of now are always in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import TypeAdapter, ValidationError

from recpipe.recipe import Recipe
from recpipe.search.dimensions import Dimension, Params
from recpipe.search.ranges import OF_RECIPE, RANGES

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class Space:
    """dimensions: by setting; those that depend on another come after it. recipe: the model as it is set now. given:
    the dimensions before they were widened to hold its settings."""

    recipe: Recipe
    dimensions: Mapping[str, Dimension]
    given: Mapping[str, Dimension]

    @classmethod
    def of(cls, recipe: Recipe, own: Mapping[str, Dimension | None] | None = None) -> Self:
        """The tables' space for a recipe, with a project's `own` dimensions on top; None leaves a setting as it is.

        Raises ValueError where nothing is left to be searched, or `own` names what is no setting or no value of one.
        """
        found = tabled(recipe) | dict(own or {})
        fields = type(recipe).model_fields
        conditions = {dimension.when.setting for dimension in found.values()
                      if dimension is not None and dimension.when is not None}  # fmt: skip
        unknown = sorted((set(found) | conditions) - set(fields))
        if unknown:
            raise ValueError(f"{recipe.recipe_name()} has no setting {unknown[0]!r} to search or to depend on; it "
                             f"has: {', '.join(fields)}")  # fmt: skip
        chosen = {name: _typed(fields[name].annotation, name, dimension)
                  for name, dimension in found.items() if dimension is not None}  # fmt: skip
        if not chosen:
            raise ValueError(
                f"{recipe.recipe_name()} has no setting to search: give one a range under `spaces` in conf/search.yaml "
                "or in recpipe/search/ranges.py"
            )
        settings = recipe.model_dump()
        order = sorted(chosen, key=lambda name: (chosen[name].when is not None, list(fields).index(name)))
        return cls(recipe, {name: chosen[name].holding(settings[name]) for name in order}, chosen)

    @property
    def shipped(self) -> dict[str, Any]:
        """The settings of now that can be searched: those whose condition they meet."""
        settings = self.recipe.model_dump(mode="json")
        return {name: settings[name] for name in self.dimensions if self._matters(name, settings)}

    @property
    def fixed(self) -> dict[str, Any]:
        """All other settings."""
        settings = self.recipe.model_dump(mode="json")
        return {name: value for name, value in settings.items() if name not in self.dimensions}

    def suggested(self, trial: Trial) -> dict[str, Any]:
        """Settings for a trial; those that do not matter beside the others are left out."""
        now = self.recipe.model_dump(mode="json")
        found: dict[str, Any] = {}
        for name, dimension in self.dimensions.items():
            if self._matters(name, now | found):
                found[name] = dimension.suggested(trial, name, now[name])
        return found

    def params(self, settings: Mapping[str, Any]) -> Params:
        """What a trial is given so that it tries exactly these settings."""
        found: Params = {}
        for name, value in settings.items():
            found |= self.dimensions[name].params(name, value)
        return found

    def recipe_with(self, settings: Mapping[str, Any]) -> Recipe:
        """The model so set; ValueError where its recipe refuses the combination."""
        return type(self.recipe)(**self.recipe.model_dump() | dict(settings))

    def told(self) -> dict[str, Any]:
        """For a digest: ranges end where they were given, so that a study goes on with other settings of now. Lists
        hold these, since Optuna takes no other list within a study."""
        return {
            name: dimension.model_dump(mode="json") | self.given[name].model_dump(mode="json", include={"low", "high"})
            for name, dimension in self.dimensions.items()
        }

    def _matters(self, name: str, settings: Mapping[str, Any]) -> bool:
        when = self.dimensions[name].when
        return when is None or settings[when.setting] in when.among


def tabled(recipe: Recipe) -> dict[str, Dimension | None]:
    """What the tables say of a recipe's settings."""
    own = OF_RECIPE.get(recipe.recipe_name(), {})
    by_word = {name: RANGES[name] for name in type(recipe).model_fields if name in RANGES}
    return {**by_word, **own}


def _typed(kind: Any, name: str, dimension: Dimension) -> Dimension:
    """The dimension with values as a setting of this kind has them."""
    try:
        return dimension.typed(TypeAdapter(kind))
    except ValidationError as error:
        told = error.errors()[0]
        raise ValueError(f"{name} is never {told['input']!r}, which is to be searched: {told['msg']}") from None
