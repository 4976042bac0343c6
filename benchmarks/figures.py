"""Measured figures, kept line by line, and the pages whose tables come from them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Figure: TypeAlias = dict[str, Any]

KEPT = Path(__file__).with_name("measured")
"""What was measured stays in the repository, so that a table is written anew without measuring all of it again."""


@dataclass(frozen=True)
class Figures:
    """Lines of JSON, one a measurement; what is there is not measured again."""

    path: Path

    def all(self) -> list[Figure]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def once(self, key: Figure, measure: Callable[[], Figure]) -> None:
        """Measure what has no line with this key yet, and keep it at once."""
        if any(key.items() <= figure.items() for figure in self.all()):
            return
        started = time.perf_counter()
        figure = key | measure()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(figure) + "\n")
        print(f"{time.perf_counter() - started:7.1f} s  {figure}", flush=True)


def spread(rows: list[Figure], name: str) -> str:
    """Mean ± standard deviation; a dash where nothing was measured."""
    values = [row[name] for row in rows if name in row]
    if not values:
        return "–"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else f"{values[0]:.4f}"


def mean(rows: list[Figure], name: str, digits: int = 1) -> str:
    """Mean, as seconds or MiB; a dash where nothing was measured."""
    values = [row[name] for row in rows if name in row]
    return f"{np.mean(values):.{digits}f}" if values else "–"


def write_between(path: Path, marker: str, lines: list[str]) -> None:
    """Replace what stands on a page between `<!-- marker -->` and `<!-- /marker -->`."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- /{marker} -->")
    if not begin or not end:
        raise ValueError(f"{path} has no place for {marker}: both <!-- {marker} --> and <!-- /{marker} --> are wanted")
    path.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
