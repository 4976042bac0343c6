"""What two of ensemble.yaml's choices are worth on the competition's layout, and the blend's search as a picture.

    python benchmarks/blend_choices.py --data competition.zip --work lists --out docs/benchmarks.md \
        --picture docs/pictures/greedy_path.png

`switch_by`: other weights for the more active half of the users. `release_year_filter`: films left out that came after
a user's last watch, with three tolerances. Both for the blend by z-scores of all members whose lists `blends.py` kept
in `--work`, and decided by the validation part; the test part is measured beside. Tables `switches` and `release years`
of the page; figures in benchmarks/measured/blend_choices.jsonl, what stands there is not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from arguments import words_of
from blends import METRIC, SPLIT, lists_of, shown, values
from figures import Figure, Figures, write_between
from films import known_of
from numpy.typing import NDArray

from recpipe.blending.blend import Blend, blend
from recpipe.blending.choosing import choose
from recpipe.blending.settings import EnsembleSettings
from recpipe.data.features import ItemFeatures
from recpipe.data.parts import HeldOut, Parts
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.evaluation.comparison import paired_differences
from recpipe.evaluation.plots import search_path
from recpipe.evaluation.ranking import Ranking, release_year_filter
from recpipe.scoring.top import NO_FILM
from recpipe.settings import Project

Lists = Mapping[str, Mapping[str, Ranking]]
"""By member, then by part."""
WAYS = ("length", "recent")
TOLERANCES = (0, 1, 3)


def of_part(lists: Lists, part: str) -> dict[str, Ranking]:
    """Every member's lists of one part."""
    return {member: each[part] for member, each in lists.items()}


def switched(lists: Lists, parts: Parts, plain: Blend, settings: EnsembleSettings) -> Figure:
    """A blend that may switch against the one that may not, on the test part; the verdict is of validation."""
    chosen = choose(of_part(lists, "valid"), parts.valid, settings)
    tested = [blend(of_part(lists, "test"), each, parts.test.histories, settings.k) for each in (plain, chosen)]
    before, after = (values(ranking.items, parts.test, METRIC) for ranking in tested)
    (gained,) = paired_differences(after[:, None], before)
    return {
        "verdict": chosen.verdict.rpartition("Switching ")[2],
        "above": chosen.switch.told if chosen.switch else "",
        METRIC: float(after.mean()),
        "difference": shown(gained),
    }


def filtered(lists: Lists, parts: Parts, plain: Blend, films: ItemFeatures, tolerance: int) -> Figure:
    """What the filter changes of the blend's lists on both parts; of a hundred candidates ten are always left."""
    told: Figure = {}
    for part, held_out in (("valid", parts.valid), ("test", parts.test)):
        allowed = release_year_filter(films.years, tolerance)(held_out.histories)
        offered = of_part(lists, part)
        before = blend(offered, plain, held_out.histories, 10).items
        kept = {member: only(ranking, allowed) for member, ranking in offered.items()}
        after = blend(kept, plain, held_out.histories, 10).items
        (gained,) = paired_differences(values(after, held_out, METRIC)[:, None], values(before, held_out, METRIC))
        told |= {
            f"{part} places shut out": float((~np.take_along_axis(allowed, before, axis=1)).mean()),
            f"{part} hidden films shut out": _hidden_shut_out(held_out, allowed),
            f"{part} difference": shown(gained),
        }
    return told


def only(ranking: Ranking, allowed: NDArray[np.bool_]) -> Ranking:
    """The lists without the films that are not allowed, bool [users × films]; what follows moves up."""
    out = ~np.take_along_axis(allowed, ranking.items, axis=1) | (ranking.items == NO_FILM)
    order = np.argsort(out, axis=1, kind="stable")
    items, scores = np.where(out, NO_FILM, ranking.items), np.where(out, -np.inf, ranking.scores)
    moved = (np.take_along_axis(each, order, axis=1) for each in (items, scores.astype(np.float32)))
    return Ranking(*moved)


def _hidden_shut_out(held_out: HeldOut, allowed: NDArray[np.bool_]) -> float:
    owners = np.repeat(np.arange(len(held_out)), held_out.targets.lengths)
    return float((~allowed[owners, held_out.targets.items]).mean())


def table_of_switches(rows: list[Figure]) -> Iterator[str]:
    """Markdown: a row for each way of telling users apart."""
    yield "| the more active half by | switching, on validation | test | against one set of weights |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| `{row['switch_by']}` | {row['verdict']} | {row[METRIC]:.4f} | {row['difference']} |"


def table_of_filters(rows: list[Figure]) -> Iterator[str]:
    """Markdown: a row for each tolerance."""
    yield "| tolerance, years | places shut out | hidden films shut out | validation gain | test gain |"
    yield "|---|---|---|---|---|"
    for row in rows:
        shares = f"{row['valid places shut out']:.2%} | {row['valid hidden films shut out']:.2%}"
        yield f"| {row['tolerance']} | {shares} | {row['valid difference']} | {row['test difference']} |"


def main() -> None:
    words = words_of(__doc__, "blend_choices")
    words.add_argument("--data", type=Path, required=True, help="the competition's layout, folder or zip")
    words.add_argument("--work", type=Path, required=True, help="folder with the members' lists, from blends.py")
    words.add_argument("--picture", type=Path, help="where the search of the blend is drawn")
    given = words.parse_args()
    project, figures, raw = Project.here(), Figures(given.figures), read(given.data)
    prepared = prepare(raw.ratings, project.dataset().prepared_by())
    parts, films = project.strategy(SPLIT).split(prepared.interactions), known_of(raw, prepared.ids)
    lists = {path.stem: lists_of(path.stem, given.work) for path in sorted(given.work.glob("*.npz"))}
    settings = EnsembleSettings(members=tuple(lists), metric=METRIC)
    plain = choose(of_part(lists, "valid"), parts.valid, settings)
    members = sorted(lists)
    for way in WAYS:
        wanted = settings.model_copy(update={"switch_by": way})
        figures.once({"switch_by": way, "members": members}, partial(switched, lists, parts, plain, wanted))
    for tolerance in TOLERANCES:
        figures.once(
            {"tolerance": tolerance, "members": members}, partial(filtered, lists, parts, plain, films, tolerance)
        )
    if given.picture:
        figure = search_path(plain.path, plain.metric)
        figure.savefig(given.picture, dpi=100, metadata={"Software": None})
    if given.out:
        rows = figures.all()
        write_between(given.out, "switches", list(table_of_switches([row for row in rows if "switch_by" in row])))
        write_between(given.out, "release years", list(table_of_filters([row for row in rows if "tolerance" in row])))


if __name__ == "__main__":
    main()
