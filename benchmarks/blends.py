"""Members and their blends on the competition's layout, `holdout`: docs/benchmarks.md's tables `members` and `blends`.

    python benchmarks/blends.py --data competition.zip --work lists --out docs/benchmarks.md --time-budget 900

Settings of conf/models. Early stopping, the members' order and a blend's weights come from the validation part alone;
the test part is measured once all of that is settled. Lists of 100 films a user are kept in `--work`, figures in
benchmarks/measured/blends.jsonl; what stands there is not measured again. Each blend of `BLENDS` is sought among the
members of its families that have figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, write_between
from films import known_of

from recpipe.blending.blend import blend
from recpipe.blending.choosing import choose
from recpipe.blending.settings import EnsembleSettings
from recpipe.data.features import ItemFeatures
from recpipe.data.parts import HeldOut, Parts
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import Difference, intervals, paired_differences
from recpipe.evaluation.evaluate import validator
from recpipe.evaluation.metrics import METRICS, Targets, Values
from recpipe.evaluation.naming import parse_metric
from recpipe.evaluation.ranking import Ranking, rank
from recpipe.measuring import Measured
from recpipe.models.catalog import family
from recpipe.recipe import Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

SPLIT = "holdout"
METRIC = "capped_recall@10"
SHOWN = (METRIC, "recall@10", "ndcg@10")
MEMBERS = ("popularity", "item_knn", "rp3beta", "ease", "ease_recent", "slim_elastic", "admm_slim", "ials", "mf",
           "rec_vae", "markov_fading", "gru4rec", "sasrec", "boosted_ranker")  # fmt: skip
BLENDS: dict[str, tuple[set[str], float]] = {
    "general": ({"general"}, np.inf),
    "sequential": ({"sequential"}, np.inf),
    "both, of a minute at most": ({"general", "sequential"}, 60.0),
    "both": ({"general", "sequential"}, np.inf),
    "all": ({"general", "sequential", "ranker"}, np.inf),
}
"""Kinds of members, and CPU seconds that their training may have taken."""
METHODS = ("zscore", "rrf")


def kind(member: str) -> str:
    """Whether the order of a history matters to a member, or whether it ranks what others name."""
    recipe = Project.here().recipe(member)
    if getattr(recipe, "members", None):
        return "ranker"
    in_order = family(type(recipe).recipe_name()) == "sequences" or getattr(recipe, "half_life", None) is not None
    return "sequential" if in_order else "general"


def lists_of(member: str, work: Path) -> dict[str, Ranking]:
    """What `figure` kept, by part."""
    kept = np.load(work / f"{member}.npz")
    return {part: Ranking(kept[f"{part} items"], kept[f"{part} scores"]) for part in ("valid", "test")}


def values(items: np.ndarray, held_out: HeldOut, metric: str) -> Values:
    """float64 [users]: the metric of lists int32 [users × any]."""
    name, k = parse_metric(metric)
    targets = Targets.of(held_out.targets)
    return METRICS[name](targets.hits(items[:, :k]), targets.counts)


def shown(difference: Difference) -> str:
    """With its sign and its interval."""
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def figure(
    member: str, parts: Parts, films: ItemFeatures, seed: int, time_budget: float, candidates: int, work: Path
) -> Figure:
    """One training; its lists are kept, and what they reach on both parts."""
    recipe, journal = Project.here().recipe(member), Journal()
    run = Run(seed=seed, report=journal.report, validate=validator(parts.valid, METRIC), time_budget=time_budget)
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train, films if recipe.uses_features else None), run)
    held_out = {"valid": parts.valid, "test": parts.test}
    with Measured() as asked:
        lists = {part: rank(scorer, each.histories, candidates) for part, each in held_out.items()}
    arrays = {f"{part} items": ranking.items for part, ranking in lists.items()}
    arrays |= {f"{part} scores": ranking.scores for part, ranking in lists.items()}
    work.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(work / f"{member}.npz", **arrays)
    tested = {name: values(lists["test"].items, parts.test, name) for name in SHOWN}
    return {
        "kind": kind(member),
        "valid": float(values(lists["valid"].items, parts.valid, METRIC).mean()),
        **{name: float(each.mean()) for name, each in tested.items()},
        "interval": str(intervals(tested[METRIC][:, None])[0]),
        "cpu_seconds": round(measured.cpu_seconds, 1),
        "cpu_seconds_of_lists": round(asked.cpu_seconds, 1),
        "epochs": len(journal.epochs),
        "stopped": journal.closing.get("stopped", ""),
        "importance": journal.closing.get("importance", {}),
        "split": parts.digest(),
    }


def blended(lists: Mapping[str, Mapping[str, Ranking]], parts: Parts, settings: EnsembleSettings) -> Figure:
    """The blend that validation chooses, and on the test part its difference to the best single member.

    The blend is measured whether or not its verdict would use it: `kept` says which.
    """
    chosen = choose({member: ranked["valid"] for member, ranked in lists.items()}, parts.valid, settings)
    tested = {member: ranked["test"] for member, ranked in lists.items()}
    alone = values(tested[chosen.best_single].items, parts.test, METRIC)
    by_weights = blend(tested, replace(chosen, kept=True), parts.test.histories, settings.k)
    together = {name: values(by_weights.items, parts.test, name) for name in SHOWN}
    (gained,) = paired_differences(together[METRIC][:, None], alone)
    return {
        "weights": {member: round(weight, 3) for member, weight in chosen.weights.items()},
        "path": [[member, round(score, 4)] for member, score in chosen.path],
        "best_single": chosen.best_single,
        "kept": chosen.kept,
        "valid": chosen.score,
        "valid_difference": shown(chosen.difference),
        **{name: float(each.mean()) for name, each in together.items()},
        "interval": str(intervals(together[METRIC][:, None])[0]),
        "difference": shown(gained),
        "relative": gained.mean / float(alone.mean()),
    }


def table_of_members(members: list[Figure]) -> Iterator[str]:
    """Markdown, the best on validation first."""
    yield "| member | kind | validation | test | plain Recall@10 | NDCG@10 | CPU s | epochs | ended |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in sorted(members, key=lambda row: -row["valid"]):
        seconds = f"{row['cpu_seconds']:.0f}"
        yield (
            f"| `{row['model']}` | {row['kind']} | {row['valid']:.4f} | {row['interval']} | {row['recall@10']:.4f} "
            f"| {row['ndcg@10']:.4f} | {seconds} | {row['epochs'] or '–'} | {row['stopped'] or '–'} |"
        )


def table_of_blends(blends: list[Figure]) -> Iterator[str]:
    """Markdown, in the order of measuring."""
    yield "| among | method | used | best single | validation gain | test | test gain | relative | weights |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in blends:
        weights = ", ".join(f"{member} {weight:.2f}" for member, weight in row["weights"].items())
        yield (
            f"| {row['among']} ({len(row['members'])}) | {row['method']} | {'yes' if row['kept'] else 'no'} "
            f"| `{row['best_single']}` | {row['valid_difference']} | {row['interval']} | {row['difference']} "
            f"| {row['relative']:+.1%} | {weights} |"
        )


def main() -> None:
    words = words_of(__doc__, "blends")
    words.add_argument("--data", type=Path, required=True, help="the competition's layout, folder or zip")
    words.add_argument("--work", type=Path, required=True, help="folder for the members' lists")
    words.add_argument("--models", nargs="*", default=MEMBERS, metavar="MODEL")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--time-budget", type=float, default=900.0, help="seconds a training")
    add_threads(words)
    words.add_argument("--no-blends", action="store_true", help="members alone")
    given = words.parse_args()
    use_threads(given.threads)
    project, figures = Project.here(), Figures(given.figures)
    raw = read(given.data)
    prepared = prepare(raw.ratings, project.dataset().prepared_by())
    parts, films = project.strategy(SPLIT).split(prepared.interactions), known_of(raw, prepared.ids)
    settings = EnsembleSettings(members=("ease",), metric=METRIC)
    for model in given.models:
        key = {"model": model, "seed": given.seed, "time_budget": given.time_budget}
        figures.once(
            key, partial(figure, model, parts, films, given.seed, given.time_budget, settings.candidates, given.work)
        )
    if not given.no_blends:
        members = [row for row in figures.all() if "model" in row]
        for among, (kinds, seconds) in BLENDS.items():
            names = [row["model"] for row in members if row["kind"] in kinds and row["cpu_seconds"] <= seconds]
            lists = {name: lists_of(name, given.work) for name in names}
            for method in METHODS:
                wanted = settings.model_copy(update={"members": tuple(names), "method": method})
                key = {"among": among, "method": method, "members": names}
                figures.once(key, partial(blended, lists, parts, wanted))
    if given.out:
        write_between(given.out, "members", list(table_of_members([row for row in figures.all() if "model" in row])))
        write_between(given.out, "blends", list(table_of_blends([row for row in figures.all() if "among" in row])))


if __name__ == "__main__":
    main()
