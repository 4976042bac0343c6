"""A model's YAML with other settings: its lines stay where they are, only values and what tells of a search change."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

WIDTH = 120


def rewritten(text: str, settings: Mapping[str, Any], told: str) -> str:
    """The YAML `text` with these settings, and `told` as its comment.

    The comments between `recipe` and the first setting tell how the values of now were found: they are replaced. All
    other lines stay, comments behind a value included. Settings that are not there yet come last.
    Raises ValueError where the result would not say just this, for instance where a value goes over several lines.
    """
    wanted = yaml.safe_load(text) | _plain(settings)
    lines = text.splitlines()
    before, after = _around_the_telling(lines)
    waiting = dict(settings)
    kept = [_with(line, waiting) for line in (*before, *after)]
    kept[len(before) : len(before)] = [f"# {line}" for line in textwrap.wrap(told, WIDTH - 2)]
    made = "\n".join([*kept, *(f"{name}: {_flow(value)}" for name, value in waiting.items())]) + "\n"
    try:
        is_right = yaml.safe_load(made) == wanted
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise ValueError(f"its values cannot be changed line by line; set {_flow(settings)} by hand")
    return made


def _around_the_telling(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines up to the recipe's name, and those after the comments that follow it."""
    recipe = next(number for number, line in enumerate(lines) if _key(line) == "recipe")
    rest = lines[recipe + 1 :]
    following = next((number for number, line in enumerate(rest) if _key(line)), len(rest))
    told, settings = rest[:following], rest[following:]
    return lines[: recipe + 1], [line for line in told if not line.startswith("#")] + settings


def _with(line: str, waiting: dict[str, Any]) -> str:
    """The line with its setting's new value, which then waits no longer."""
    name = _key(line)
    if name not in waiting:
        return line
    behind = re.search(r"\s+#.*$", line)
    return f"{name}: {_flow(waiting.pop(name))}{behind.group() if behind else ''}"


def _key(line: str) -> str:
    found = re.match(r"([A-Za-z_]\w*):", line)
    return found.group(1) if found else ""


def _flow(value: Any) -> str:
    """On one line; numbers with a point, or YAML 1.1 reads `1e-05` as text."""
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
