"""Sequential models beside baselines on `leave_one_out`, full ranking: docs/benchmarks.md's table `sequences`.

    python benchmarks/sequences.py --data ml-1m.zip --out docs/benchmarks.md --time-budget 1200

Settings of conf/models but for `SETTINGS` and `OWN`; a training ends by its patience or by the time, which the table
says, with validation scores along the way, so that one sees whether they were still rising. A test user's known films
are all but the last. Each figure is kept in benchmarks/measured/sequences.jsonl and is not measured again while it
stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, mean, spread, write_between
from films import known_of

from recpipe.data.features import ItemFeatures
from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import intervals
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.models.catalog import family
from recpipe.recipe import Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

BASELINES = ("popularity", "item_knn", "ease", "ease_recent")
CUT_OFF = 10
SETTINGS = {"max_length": 100, "dropout": 0.2}
"""For the networks that have them: those of conf/models are of ml-100k, whose histories are shorter and fewer. The
dropout is that of SASRec's authors on this data; nothing was searched on it."""
OWN = {"sasrec": {"embedding_size": 128}, "s3_rec": {"pretraining": 10}}
"""Over these. sasrec: chosen by validation, 0.1927 against 0.1866 with the 64 of ml-100k. s3_rec: half of its epochs
without a task, so that the time is enough for those that follow."""


def models() -> list[str]:
    """The baselines, then every sequential model."""
    project = Project.here()
    return [
        *BASELINES,
        *(name for name in project.model_names() if family(type(project.recipe(name)).recipe_name()) == "sequences"),
    ]


def figure(model: str, parts: Parts, films: ItemFeatures, seed: int, time_budget: float) -> Figure:
    """One training, with every validation score, and what it reaches on the test part."""
    shipped, journal = Project.here().recipe(model), Journal()
    wanted = SETTINGS | OWN.get(model, {})
    changed = {name: value for name, value in wanted.items() if name in type(shipped).model_fields}
    recipe = type(shipped)(**shipped.model_dump() | changed)
    score = validator(parts.valid, f"ndcg@{CUT_OFF}")
    run = Run(seed=seed, report=journal.report, validate=score, time_budget=time_budget)
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train, films if recipe.uses_features else None), run)
    evaluation = evaluate(scorer, parts.test, parts.train, (CUT_OFF,))
    ndcg, hits = (intervals(evaluation.per_user[f"{name}@{CUT_OFF}"][:, None])[0] for name in ("ndcg", "recall"))
    valid = [round(row["valid"], 4) for row in journal.epochs]
    seconds = sum(row["seconds"] for row in journal.epochs) / len(journal.epochs) if journal.epochs else None
    return {
        "settings": changed,
        "ndcg": ndcg.mean, "ndcg_interval": str(ndcg), "hits": hits.mean, "hits_interval": str(hits),
        "cpu_seconds": round(measured.cpu_seconds, 1), "epochs": len(valid), "epoch_seconds": seconds,
        "stopped": journal.closing.get("stopped", ""), "valid": valid, "split": parts.digest(),
    }  # fmt: skip


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown: a row a model, the best first."""
    yield "| model (seeds) | Hit@10 | NDCG@10 | CPU s | epochs | ended by | validation NDCG@10 along the way |"
    yield "|---|---|---|---|---|---|---|"
    names = list(dict.fromkeys(row["model"] for row in figures))
    by_model = {name: [row for row in figures if row["model"] == name] for name in names}
    for name, rows in sorted(by_model.items(), key=lambda pair: -max(row["ndcg"] for row in pair[1])):
        curve = rows[0]["valid"]
        along = " ".join(f"{value:.3f}" for value in curve[:: max(1, len(curve) // 6)])
        ended = ", ".join(dict.fromkeys(row["stopped"] for row in rows)) or "–"
        ndcg, hits = (
            rows[0][f"{kind}_interval"] if len(rows) == 1 else spread(rows, kind) for kind in ("ndcg", "hits")
        )
        seconds, epochs = mean(rows, "cpu_seconds", 0), mean(rows, "epochs", 0)
        yield f"| `{name}` ({len(rows)}) | {hits} | {ndcg} | {seconds} | {epochs} | {ended} | {along} |"


def main() -> None:
    words = words_of(__doc__, "sequences")
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--models", nargs="*", default=models(), metavar="MODEL")
    words.add_argument("--seeds", type=int, nargs="+", default=[1])
    words.add_argument("--time-budget", type=float, default=1200.0, help="seconds a training")
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    raw, figures = read(given.data), Figures(given.figures)
    prepared = prepare(raw.ratings, Preparation())
    films = known_of(raw, prepared.ids)
    parts = strategy_from({"strategy": "leave_one_out"}).split(prepared.interactions)
    for seed in given.seeds:
        for model in given.models:
            key = {"model": model, "data": given.data.stem, "seed": seed, "time_budget": given.time_budget}
            figures.once(key, partial(figure, model, parts, films, seed, given.time_budget))
    if given.out:
        write_between(given.out, "sequences", list(table(figures.all())))


if __name__ == "__main__":
    main()
