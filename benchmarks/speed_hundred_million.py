"""A hundred million generated ratings on one machine: csv, judged rows, interactions, split, features, one model.

python benchmarks/speed_hundred_million.py --work WORK --out docs/performance.md
"""

from __future__ import annotations

from pathlib import Path

from apart import told_by_own
from arguments import words_of
from bars import Row, table
from figures import Figure, Figures, write_between
from generated import write_ratings
from rows_stages import FILMS, RULES

USERS, ITEMS, EVENTS = 500_000, 10_000, 107_000_000
"""A hundred million are left of so many draws."""
MOST_MEMORY = 24 * 1024
"""MiB, the bar."""
SCRIPT = str(Path(__file__).with_name("rows_stages.py"))
LINE = (
    "read_in_blocks", "raw_ratings", *RULES, *FILMS, "sql_tests", "suite", "scan_and_sort", "prepared", "holdout",
    "holdout_suite", "train", "user_behaviour", "item_behaviour", "ease",
)  # fmt: skip
BARE = ("read_in_blocks", "scan_and_sort")
"""Limits beside the line, not a part of it."""


def measure(folder: Path, figures: Figures) -> None:
    """Each stage once; it finds the files of those before it."""
    delivery = folder / "delivery"
    if not delivery.exists():
        delivery.mkdir(parents=True)
        written = write_ratings(delivery / "ratings.csv", USERS, ITEMS, EVENTS)
        figures.once({"stage": "generated"}, lambda: {"rows": written})
    for name in LINE:
        figures.once({"stage": name}, lambda name=name: told_by_own(SCRIPT, name, folder))


def rows(figures: list[Figure]) -> list[Row]:
    """The line as a whole: seconds of all stages, the largest of their peaks."""
    took = [figure for figure in figures if figure["stage"] in LINE and figure["stage"] not in BARE]
    most = max(took, key=lambda figure: figure["peak_memory_mb"])
    (written,) = (figure["rows"] for figure in figures if figure["stage"] == "generated")
    memory = f"at most {most['peak_memory_mb'] / 1024:.1f} of 24 GiB, in {most['stage']}"
    work = f"csv to `ease`, {written / 1e6:.0f} M rows, {USERS:,} users, {ITEMS:,} films"
    return [
        Row(
            work,
            sum(figure["cpu_seconds"] for figure in took),
            bounds=((memory, most["peak_memory_mb"] <= MOST_MEMORY),),
        )
    ]


def stages_table(figures: Figures) -> list[str]:
    """Seconds and memory of each stage, and both by rows."""
    (written,) = (figure["rows"] for figure in figures.all() if figure["stage"] == "generated")
    lines = [
        "| stage | CPU s | s on the clock | peak MB | CPU s a million rows | bytes a row |",
        "|---|---|---|---|---|---|",
    ]
    for name in LINE:
        for figure in (figure for figure in figures.all() if figure["stage"] == name):
            cpu, memory = figure["cpu_seconds"], figure["peak_memory_mb"]
            lines.append(
                f"| {name} | {cpu:.1f} | {figure['seconds']:.0f} | {memory:,.0f} | {cpu / written * 1e6:.3f} "
                f"| {memory * 2**20 / written:.0f} |"
            )
    return lines


def main() -> None:
    words = words_of(__doc__, "speed_hundred_million")
    words.add_argument("--work", type=Path, required=True, help="a folder for 12 GB of generated files")
    given = words.parse_args()
    figures = Figures(given.figures)
    measure(given.work, figures)
    if given.out:
        write_between(given.out, "hundred_million", list(table(rows(figures.all()))))
        write_between(given.out, "hundred_million_stages", stages_table(figures))


if __name__ == "__main__":
    main()
