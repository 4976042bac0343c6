"""docs/performance.md's first table: every bar of speed, met or open, from the figures that the other scripts kept.

    python benchmarks/performance.py --work WORK --out docs/performance.md

Measures nothing: each `speed_*.py` measures its part and writes its table on the same page. WORK is the folder in which
`speed_growth.py` has its generated data, from which the formulas' exponents follow; what is missing there is made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from bars import Row
from figures import KEPT, Figures, write_between

PARTS = ("ranking", "linear", "factors", "networks", "rows", "hundred_million", "orchestration", "growth")
"""In the order of the page."""


def rows_of(part: str, work: Path) -> list[Row]:
    """What is kept of a part, as rows."""
    figures, module = Figures(KEPT / f"speed_{part}.jsonl").all(), import_module(f"speed_{part}")
    return list(module.rows(figures, work) if part == "growth" else module.rows(figures))


def table(work: Path) -> Iterator[str]:
    """Markdown: a row a bar, the open ones marked."""
    yield "| work | bar | ours | ours / limit | peer / ours | |"
    yield "|---|---|---|---|---|---|"
    for part in PARTS:
        for row in rows_of(part, work):
            for bar, met in row.verdicts():
                peer = f" ({row.peer_name})" if row.of_peer is not None else ""
                ratios = f"{_ratio(row.of_limit)} | {_ratio(row.of_peer)}{peer}"
                yield f"| {row.work} | {bar} | {row.ours:.3g} {row.unit} | {ratios} | {'met' if met else '**open**'} |"


def _ratio(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--work", type=Path, required=True, help="the folder of speed_growth.py's data")
    words.add_argument("--out", type=Path, required=True, help="the page whose table is replaced")
    given = words.parse_args()
    write_between(given.out, "all", list(table(given.work)))


if __name__ == "__main__":
    main()
