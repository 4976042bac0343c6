"""How cost grows with users, films and interactions, every model's and the data path's: docs/performance.md.

    python benchmarks/speed_growth.py --work WORK --out docs/performance.md --picture docs/pictures/growth.png

Generated data (`generated.long_tailed`), one axis at a time doubled three times: users, each with as many events;
films, the same users and events; interactions, the same users and films. CPU seconds of one thread, each model in a
process of its own: a fit of one epoch (the whole fit of what has none), its set-up included, and the ranking of 128
users' films. Exponents: least squares of log seconds over log size. The mathematics of a fit is the recipe's own
`cost`, over the same points; that of ranking and of the data path stands in `growth.RANKING` and `growth.path`.
Each figure is kept in benchmarks/measured/speed_growth.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from arguments import words_of
from bars import Row
from figures import Figure, Figures, write_between
from growing import PATH, measure, measure_path
from growth import Grown, fits, path, rankings, table
from growth_picture import picture

from recpipe.settings import Project


def rows(figures: list[Figure], work: Path) -> list[Row]:
    """Fits, rankings and data path: of each the largest exponent above the mathematics."""
    kinds = {"fits": fits, "rankings": rankings, "the data path": path}
    return [_row(name, grown) for name, of in kinds.items() if (grown := of(figures, work))]


def _row(name: str, grown: list[Grown]) -> Row:
    worse = [each.work for each in grown if each.worse]
    most = max(axis.excess for each in grown for axis in each.axes.values())
    told = f"nothing of {len(grown)} worse than its mathematics" + (f" (here {', '.join(worse)})" if worse else "")
    return Row(f"growth of {name} with users, films, interactions: exponent above the mathematics, the largest", most,
               unit="", bounds=((told, not worse),))  # fmt: skip


def points(work: str, folder: Path) -> Figure:
    """Measured in a process of its own, forked from this one, in which the imports are done."""
    with get_context("fork").Pool(1) as pool:
        return {"points": pool.apply(measure_path if work in PATH else measure, (work, folder))}


def main() -> None:
    words = words_of(__doc__, "speed_growth")
    words.add_argument("--work", type=Path, required=True, help="a folder for generated data, about 1 GB")
    words.add_argument("--only", nargs="*", default=[*PATH, *Project.here().model_names()], metavar="WORK")
    words.add_argument("--picture", type=Path)
    given = words.parse_args()
    torch.set_num_threads(1)
    figures = Figures(given.figures)
    for work in given.only:
        figures.once({"work": work}, partial(points, work, given.work))
    known = figures.all()
    if given.out:
        write_between(given.out, "growth of fits", list(table(fits(known, given.work), "family")))
        write_between(given.out, "growth of rankings", list(table(rankings(known, given.work), "scorer")))
        write_between(given.out, "growth of the data path", list(table(path(known, given.work), "part")))
    if given.picture:
        picture(known, given.work, given.picture)


if __name__ == "__main__":
    main()
