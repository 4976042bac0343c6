"""What a search may try for one setting: a range of numbers or a list of values, and when that matters at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

if TYPE_CHECKING:
    from optuna import Trial

Params: TypeAlias = dict[str, Any]
"""What Optuna stores of a trial: numbers and text by name."""

DIGITS = 3
"""Significant digits of a drawn number: what is tried is what a YAML says."""


class When(BaseModel):
    """A condition: the dimension is searched where another setting has one of these values, and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str
    among: tuple[Any, ...] = Field(min_length=1)


class Range(BaseModel):
    """Numbers from `low` to `high`, whole ones where the setting takes no others; `also` are values beside them: 0 of a
    logarithmic range, or null, each tried as often as the range where nothing is known yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float
    high: int | float
    log: bool = False
    also: tuple[Any, ...] = ()
    when: When | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"low {self.low} and high {self.high} are no range: low below high is wanted, and with log above 0"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried: where both ends are such, as they are once `typed`."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def typed(self, values: TypeAdapter[Any]) -> Range:
        """The same as a setting of this type has them: 0 is 0.0 where it is a float. Raises ValidationError."""
        as_setting = values.validate_python
        ends = {"low": as_setting(self.low), "high": as_setting(self.high)}
        return self.model_copy(update=ends | {"also": tuple(map(as_setting, self.also))})

    def contains(self, value: Any) -> bool:
        return value in self.also or (_is_number(value) and self.low <= value <= self.high)

    def holding(self, value: Any) -> Range:
        """The same, widened where it has to be for a value to be in it."""
        if self.contains(value):
            return self
        if not _is_number(value) or (self.log and value <= 0):
            return self.model_copy(update={"also": (*self.also, value)})
        return self.model_copy(update={"low": min(self.low, value), "high": max(self.high, value)})

    def suggested(self, trial: Trial, name: str, shipped: Any) -> Any:
        """A value for this trial. shipped: the one value that is not rounded."""
        if self.also:
            kind = trial.suggest_categorical(_switch(name), [_NUMBER, *map(json.dumps, self.also)])
            if kind != _NUMBER:
                return json.loads(kind)
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        value = trial.suggest_float(name, float(self.low), float(self.high), log=self.log)
        return value if value == shipped else min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def params(self, name: str, value: Any) -> Params:
        """What makes `suggested` give this value."""
        if value in self.also:
            return {_switch(name): json.dumps(value)}
        return ({_switch(name): _NUMBER} if self.also else {}) | {name: value}


class Choices(BaseModel):
    """A list of values without order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[Any, ...] = Field(min_length=2)
    when: When | None = None

    def typed(self, values: TypeAdapter[Any]) -> Choices:
        """The same as a setting of this type has them. Raises ValidationError."""
        return self.model_copy(update={"choices": tuple(map(values.validate_python, self.choices))})

    def contains(self, value: Any) -> bool:
        return _text(value) in map(_text, self.choices)

    def holding(self, value: Any) -> Choices:
        """The same, with this value among the choices."""
        return self if self.contains(value) else self.model_copy(update={"choices": (*self.choices, value)})

    def suggested(self, trial: Trial, name: str, shipped: Any) -> Any:
        """A value for this trial."""
        return json.loads(trial.suggest_categorical(name, [_text(value) for value in self.choices]))

    def params(self, name: str, value: Any) -> Params:
        """What makes `suggested` give this value."""
        return {name: _text(value)}


Dimension: TypeAlias = Range | Choices

_NUMBER = "number"


def setting_of(param: str) -> str:
    """The setting that a parameter of a trial is about."""
    return param.removesuffix(_switch(""))


def by_setting(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares of parameters added up by setting, the greatest first."""
    found: dict[str, float] = {}
    for param, share in shares.items():
        found[setting_of(param)] = found.get(setting_of(param), 0.0) + share
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _switch(name: str) -> str:
    return f"{name} is a"


def _text(value: Any) -> str:
    return json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
