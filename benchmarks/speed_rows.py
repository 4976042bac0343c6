"""From a csv of twenty million ratings to splits and features, stage by stage, against Arrow's and DuckDB's bare work.

python benchmarks/speed_rows.py --work WORK --out docs/performance.md
"""

from __future__ import annotations

from pathlib import Path

from apart import told_by_own
from arguments import words_of
from bars import Row, table
from figures import KEPT, Figure, Figures, write_between
from generated import ML_20M, write_ratings
from rows_stages import BEHAVIOUR, RULES, SPLITS, STAGES

MILLIONS = (5, 10, 20)
LARGEST = MILLIONS[-1]
SCRIPT = str(Path(__file__).with_name("rows_stages.py"))
REPEATED = 2
"""Times that a stage is run; the quicker one counts."""
HUNDRED = KEPT / "speed_hundred_million.jsonl"
"""Says, where it is there, whether memory goes on growing."""
SHOWN = (
    "read_whole", "read_in_blocks", "raw_ratings", *RULES, "sql_tests", "suite", "scan_and_sort", "prepared", *SPLITS,
    *(f"{name}_suite" for name in SPLITS), "train", *BEHAVIOUR,
)  # fmt: skip


def generated(folder: Path, millions: int) -> Path:
    """The folder with so many million ratings: users in proportion to MovieLens 20M, films all."""
    delivery = folder / f"{millions}-million" / "delivery"
    if not delivery.exists():
        delivery.mkdir(parents=True)
        part = millions / LARGEST
        users, events = round(ML_20M["n_users"] * part), round(ML_20M["n_events"] * part)
        write_ratings(delivery / "ratings.csv", users, ML_20M["n_items"], events)
    return delivery.parent


def stage(name: str, folder: Path, times: int = REPEATED) -> Figure:
    """What a stage took, the quickest of several runs."""
    return min((told_by_own(SCRIPT, name, folder) for _ in range(times)), key=lambda took: took["cpu_seconds"])


def measure(work: Path, figures: Figures) -> None:
    for millions in MILLIONS:
        folder = generated(work, millions)
        for name in (name for name in STAGES if name != "ease"):
            key = {"million_rows": millions, "stage": name}
            if any(key.items() <= figure.items() for figure in figures.all()):
                if not (folder / "done" / name).exists():  # a later stage needs the files all the same
                    stage(name, folder, times=1)
            else:
                figures.once(key, lambda name=name, folder=folder: stage(name, folder))
            (folder / "done").mkdir(exist_ok=True)
            (folder / "done" / name).touch()


def rows(figures: list[Figure]) -> list[Row]:
    """What the issue sets bars for, on the largest data."""
    took = {(figure["million_rows"], figure["stage"]): figure for figure in figures}

    def seconds(*stages: str) -> float:
        return sum(took[LARGEST, name]["cpu_seconds"] for name in stages)

    ingested = ("raw_ratings", *RULES)
    most = {millions: max(took[millions, name]["peak_memory_mb"] for name in ingested) for millions in MILLIONS}
    growth = f"peak {', '.join(f'{most[millions]:,.0f}' for millions in MILLIONS)} MB at {MILLIONS} million rows"
    bound = most[LARGEST] <= 1.2 * most[MILLIONS[-2]]
    if further := [row["peak_memory_mb"] for row in Figures(HUNDRED).all() if row["stage"] in ingested]:
        growth, bound = f"{growth}, {max(further):,.0f} at a hundred", max(further) <= 1.2 * most[LARGEST]
    of = f"{LARGEST} M rows"
    arrow = {"limit": seconds("read_in_blocks"), "limit_name": "Arrow in blocks", "most_of_limit": 2.0}
    duckdb = {"limit": seconds("scan_and_sort"), "limit_name": "DuckDB scan and sort", "most_of_limit": 3.0}
    bounded = growth.replace("(", "").replace(")", ""), bound
    return [
        Row(f"csv to Parquet and to accepted and rejected rows, {of}", seconds(*ingested), bounds=(bounded,), **arrow),
        Row(f"the same with the SQL's tests and the suite, {of}", seconds(*ingested, "sql_tests", "suite"), **arrow),
        Row(f"interactions: numbered and sorted, {of}", seconds("prepared"), **duckdb),
        *(Row(f"split `{name}`, read and written, {of}", seconds(name), **duckdb) for name in SPLITS),
        *(Row(f"`{name}`, {of}", seconds(name), **duckdb) for name in BEHAVIOUR),
        Row(
            f"interactions, `holdout`, training part and both tables, {of}",
            seconds("prepared", "holdout", "train", *BEHAVIOUR), **duckdb,
        ),
    ]  # fmt: skip


def stages_table(figures: Figures) -> list[str]:
    """CPU seconds and peak memory of every stage at every size."""
    took = {(figure["million_rows"], figure["stage"]): figure for figure in figures.all()}
    sizes = " | ".join(f"{millions} M" for millions in MILLIONS)
    lines = [f"| stage | CPU s, {sizes} | peak MB, {sizes} |", "|---|" + "---|" * 2 * len(MILLIONS)]
    for name in SHOWN:
        cpu = (f"{took[millions, name]['cpu_seconds']:.2f}" for millions in MILLIONS)
        memory = (f"{took[millions, name]['peak_memory_mb']:,.0f}" for millions in MILLIONS)
        lines.append(f"| {name} | {' | '.join(cpu)} | {' | '.join(memory)} |")
    return lines


def before_table(figures: Figures, before: Figures) -> list[str]:
    """The stages on the smallest data before they were mended, once each on commit 9e8279c, and now."""
    now = {figure["stage"]: figure for figure in figures.all() if figure["million_rows"] == MILLIONS[0]}
    lines = ["| stage | CPU s before | now | peak MB before | now |", "|---|---|---|---|---|"]
    for was in before.all():
        name, memory = was["stage"], was.get("peak_memory_mb")
        lines.append(
            f"| {name} | {was['cpu_seconds']:.2f} | {now[name]['cpu_seconds']:.2f} "
            f"| {'–' if memory is None else f'{memory:,.0f}'} | {now[name]['peak_memory_mb']:,.0f} |"
        )
    return lines


def main() -> None:
    words = words_of(__doc__, "speed_rows")
    words.add_argument("--work", type=Path, required=True, help="a folder for 4 GB of generated files")
    given = words.parse_args()
    figures = Figures(given.figures)
    measure(given.work, figures)
    if given.out:
        write_between(given.out, "rows", list(table(rows(figures.all()))))
        write_between(given.out, "rows_stages", stages_table(figures))
        before = Figures(KEPT / "speed_rows_before.jsonl")
        write_between(given.out, "rows_before", before_table(figures, before))


if __name__ == "__main__":
    main()
