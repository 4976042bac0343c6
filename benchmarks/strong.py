"""ML-1M, strong generalisation as Liang et al. (2018) measure it: people who were never trained on.

    python benchmarks/strong.py --data ml-1m.zip --out docs/benchmarks.md

Ratings above 3.5 count, users with five of them or more; 500 users for validation and 1,000 for test are held out
whole, 80 % of a held-out user's films are known and the rest are to be found, all films but the known ones ranked.
Recall divides by min(k, films to be found). The settings are those of conf/models, searched on ml-100k; what is named
in `SETTINGS` is chosen here by NDCG@100 on the validation users, by which early stopping goes too.
Each figure is kept in benchmarks/measured/strong.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, write_between

from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.recipe import Recipe, Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

DATA = Preparation(min_rating=3.51, min_user_events=5, repeats="first")
HELD_OUT = {"strategy": "strong", "valid_users": 500 / 6034, "test_users": 1000 / 6034, "seed": 1}
MODELS = ("popularity", "item_knn", "ease", "slim_elastic", "ials", "multi_dae", "multi_vae", "rec_vae", "cdae",
          "macrid_vae")  # fmt: skip
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "ease": tuple({"regularization": value} for value in (250.0, 500.0, 1000.0)),
    "item_knn": tuple({"neighbours": value} for value in (30, 100, 200)),
    "slim_elastic": tuple({"regularization": value} for value in (0.05, 0.1, 0.2)),
    "ials": ({}, {"regularization": 1.0}, {"regularization": 1.0, "embedding_size": 128}),
    "multi_dae": ({}, {"layers": (600,)}),
    "multi_vae": ({}, {"layers": (600,)}),
}
SHOWN = ("capped_recall@20", "capped_recall@50", "ndcg@100", "recall@20", "recall@50")
BY = "ndcg@100"


def fitted(recipe: Recipe, parts: Parts) -> tuple[Any, Journal, Measured]:
    """One fit with early stopping on the validation users."""
    journal = Journal()
    run = Run(seed=1, report=journal.report, validate=validator(parts.valid, BY))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), run)
    return scorer, journal, measured


def figure(model: str, parts: Parts) -> Figure:
    """The best of the settings by validation, on the test users; means and their standard errors."""
    shipped = Project.here().recipe(model)
    tried = []
    for settings in SETTINGS.get(model, ({},)):
        scorer, journal, measured = fitted(type(shipped)(**shipped.model_dump() | settings), parts)
        valid = evaluate(scorer, parts.valid, parts.train, (100,)).means()[BY]
        tried.append((valid, len(tried), settings, scorer, journal, measured))
        print(f"  {model} {settings}: validation {BY} {valid:.4f}, {measured.cpu_seconds:.0f} CPU s", flush=True)
    valid, _, settings, scorer, journal, measured = max(tried)
    per_user = evaluate(scorer, parts.test, parts.train, (20, 50, 100)).per_user
    means = {name: float(per_user[name].mean()) for name in SHOWN}
    errors = {f"se {name}": float(per_user[name].std(ddof=1) / np.sqrt(len(per_user[name]))) for name in SHOWN}
    told = {"settings": settings, "valid": valid, "epochs": len(journal.epochs), "users": len(per_user[BY])}
    return {**told, "cpu_seconds": round(measured.cpu_seconds, 1), "split": parts.digest(), **means, **errors}


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown, the best first."""
    yield "| model | Recall@20 | Recall@50 | NDCG@100 | plain Recall@20 | CPU s | chosen here |"
    yield "|---|---|---|---|---|---|---|"
    for row in sorted(figures, key=lambda row: row[BY])[::-1]:
        cells = [f"{row[name]:.4f} ± {row[f'se {name}']:.4f}" for name in SHOWN[:4]]
        chosen = ", ".join(f"{name} {value}" for name, value in row["settings"].items()) or "–"
        yield f"| `{row['model']}` | {' | '.join(cells)} | {row['cpu_seconds']:.0f} | {chosen} |"


def main() -> None:
    words = words_of(__doc__, "strong")
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--models", nargs="*", default=MODELS, choices=MODELS, metavar="MODEL")
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    parts = strategy_from(HELD_OUT).split(prepare(read(given.data).ratings, DATA).interactions)
    figures = Figures(given.figures)
    for model in given.models:
        figures.once({"model": model}, partial(figure, model, parts))
    if given.out:
        write_between(given.out, "ml-1m strong", list(table(figures.all())))


if __name__ == "__main__":
    main()
