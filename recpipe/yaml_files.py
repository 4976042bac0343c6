"""One YAML file into typed settings; every error names the file, the key and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it, ten times as fast: a build reads settings a hundred times and more."""


class SettingsError(ValueError):
    """A setting that cannot be used: the message names file, key and what to write instead."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping; errors name the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing") from None
    try:
        content = _content(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: a mapping of settings was wanted, a {type(content).__name__} came")
    return content


def _content(text: str) -> Any:
    loader = LOADER(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def parse(kind: type[M], settings: Mapping[str, Any], path: Path | str) -> M:
    """Settings into their typed form; unknown keys and values out of bounds become one readable error.

    path: of the file, or of what in it they belong to.
    """
    try:
        return kind(**settings)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(kind, path, problem) for problem in error.errors())) from error


def nearest(word: str, choices: Mapping[str, Any] | list[str]) -> str:
    """A half-sentence that names the nearest valid words."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(sorted(choices))}"


def _settings_of(kind: type[BaseModel], within: Sequence[str | int]) -> list[str]:
    """The keys that there are, of the part of the settings that `within` leads to."""
    for part in within:
        field = kind.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        kind = field.annotation
    return list(kind.model_fields)


def _explain(kind: type[BaseModel], path: Path | str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *within, last = problem["loc"]
        return f"{path}: {key}: no such setting{nearest(str(last), _settings_of(kind, within))}"
    if problem["type"] == "missing":
        return f"{path}: {key}: is missing"
    if not key:  # of several settings together
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{path}: {key}: {problem['msg'][0].lower()}{problem['msg'][1:]}; {problem['input']!r} came"
