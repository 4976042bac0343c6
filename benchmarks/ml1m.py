"""ML-1M with random splits: the cheapest models' figures and times, and the protocol of Anelli et al. (2022).

    python benchmarks/ml1m.py --data ml-1m.zip --out docs/benchmarks.md

`cheapest`: ratio_random (0.8 / 0.1 / 0.1 per user), one split, the settings of conf/models, two threads. Seconds are on
the clock, of the fit alone: measure on an idle machine.
`anelli`: ratings of 4 and more, 10-core, five random draws of 80/20 per user, the parameters that the authors'
repository gives. What learns in epochs first finds their number with a tenth of the first draw's training part laid
aside, then learns on all of each for so many. All films are ranked; a user's figure is the mean over the five draws,
and the intervals are a bootstrap over users.
Each figure is kept in benchmarks/measured/ml1m.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, write_between

from recpipe.data.interactions import Interactions
from recpipe.data.parts import Part, Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import intervals
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.models.catalog import recipe_class
from recpipe.recipe import Recipe, Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

CHEAPEST = ("popularity", "item_knn", "user_knn", "knn_basic", "rp3beta", "ncepl_rec", "ease", "slim_elastic",
            "admm_slim", "ials")  # fmt: skip
ANELLI: dict[str, tuple[str, dict[str, Any]]] = {
    "popularity": ("popularity", {}),
    "EASE": ("ease", {"regularization": 238.56}),
    "item kNN": ("item_knn", {"similarity": "cosine", "neighbours": 95}),
    "user kNN": ("user_knn", {"similarity": "cosine", "neighbours": 117}),
    "RP3beta": ("rp3beta", {"neighbours": 158, "alpha": 1.435, "beta": 0.327, "nearest_of": "watched"}),
    "SLIM": ("slim_elastic", {"regularization": 0.298, "l1_share": 4.2e-5, "neighbours": 518}),
    "iALS": ("ials", {"embedding_size": 51, "alpha": 1 / 6.38, "regularization": 0.0495 / 7.38, "scaling": 0.0}),
    "BPR": ("bpr", {"embedding_size": 256, "learning_rate": 0.005, "weight_decay": 1.0, "batch_size": 4096}),
}
"""What the table calls a model: its recipe and settings.

iALS: a confidence of 1 + 6.38 on what was watched and a penalty of 0.0495 are these, divided by 6.38 and with
the scores scaled so that the target is 1 again. BPR: of its parameters the authors' repository gives the size
alone; the others are ours. SLIM: there the neighbours are cut off after the fit, here before it.
"""
ANELLI_DATA = Preparation(min_rating=4, min_user_events=10, min_item_events=10, repeats="first")
SHOWN = ("ndcg@10", "recall@10", "ndcg@20", "recall@20", "ndcg@50", "recall@50")
DRAWS = (1, 2, 3, 4, 5)


def cheapest(model: str, parts: Parts) -> Figure:
    """One fit with the shipped settings."""
    journal = Journal()
    run = Run(seed=1, report=journal.report, validate=validator(parts.valid))
    with Measured() as measured:
        scorer = Project.here().recipe(model).fit(TrainingSet(parts.train), run)
    evaluation = evaluate(scorer, parts.test, parts.train, (10,))
    found = {name: str(intervals(evaluation.per_user[name][:, None])[0]) for name in ("ndcg@10", "recall@10")}
    return {**measured.figures(), **found, "epochs": len(journal.epochs), "split": parts.digest()}


def cheapest_table(figures: list[Figure]) -> Iterator[str]:
    """Markdown, the best first."""
    yield "| model | NDCG@10 | Recall@10 | s, two threads | CPU s | MiB |"
    yield "|---|---|---|---|---|---|"
    for row in sorted((row for row in figures if row["table"] == "cheapest"), key=lambda row: row["ndcg@10"])[::-1]:
        yield (f"| `{row['model']}` | {row['ndcg@10']} | {row['recall@10']} | {row['seconds']:.1f} "
               f"| {row['cpu_seconds']:.1f} | {row['peak_memory_mb']:.0f} |")  # fmt: skip


def drawn(interactions: Interactions, seed: int) -> Parts:
    """80 % to learn from, of which a tenth is laid aside to find the number of epochs, and 20 % to find."""
    return strategy_from({"strategy": "ratio_random", "train": 0.72, "valid": 0.08, "seed": seed}).split(interactions)


def anelli(model: str, interactions: Interactions) -> Figure:
    """Five draws: means over them for each user, and over users."""
    name, settings = ANELLI[model]
    recipe = recipe_class(name)(**settings)
    with Measured() as measured:
        epochs = epochs_of(recipe, drawn(interactions, DRAWS[0]))
        draws = [on_draw(recipe, drawn(interactions, seed), seed, epochs) for seed in DRAWS]
    per_user = {name: np.mean([draw[name] for draw in draws], axis=0) for name in SHOWN}
    found = {name: str(intervals(values[:, None])[0]) for name, values in per_user.items()}
    spread = {f"sd {name}": float(np.std([draw[name].mean() for draw in draws], ddof=1)) for name in SHOWN}
    told = {"recipe": name, "settings": settings, "users": len(per_user[SHOWN[0]]), "events": len(interactions)}
    return {**told, "cpu_seconds": round(measured.cpu_seconds / len(DRAWS), 2), **found, **spread}


def epochs_of(recipe: Recipe, parts: Parts) -> int | None:
    """The best epoch by validation, of what learns in epochs."""
    if "epochs" not in type(recipe).model_fields:
        return None
    journal = Journal()
    recipe.fit(TrainingSet(parts.train), Run(1, report=journal.report, validate=validator(parts.valid)))
    return int(journal.closing["best_epoch"])


def on_draw(recipe: Recipe, parts: Parts, seed: int, epochs: int | None) -> dict[str, np.ndarray]:
    """Every metric for every user."""
    whole = parts.events(Part.TRAIN, Part.VALID)
    scorer = recipe.fit(TrainingSet(whole), Run(seed, epochs=epochs))
    evaluation = evaluate(scorer, parts.test, whole, (10, 20, 50))
    values = {name: np.full(whole.n_users, np.nan) for name in SHOWN}
    for name in SHOWN:
        values[name][evaluation.users] = evaluation.per_user[name]
    if any(np.isnan(of_name).any() for of_name in values.values()):
        raise ValueError("a user has nothing to find in one of the draws: the means over draws are of all users")
    return values


def anelli_table(figures: list[Figure]) -> Iterator[str]:
    """Markdown, the best first."""
    yield f"| model | {' | '.join(SHOWN)} | CPU s a draw |"
    yield "|" + "---|" * (len(SHOWN) + 2)
    for row in sorted((row for row in figures if row["table"] == "anelli"), key=lambda row: row[SHOWN[0]])[::-1]:
        yield f"| {row['model']} | {' | '.join(row[name] for name in SHOWN)} | {row['cpu_seconds']:.1f} |"


def main() -> None:
    words = words_of(__doc__, "ml1m")
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--cheapest", nargs="*", default=CHEAPEST, choices=CHEAPEST, metavar="MODEL")
    words.add_argument("--anelli", nargs="*", default=list(ANELLI), choices=list(ANELLI), metavar="MODEL")
    add_threads(words, 2)
    given = words.parse_args()
    use_threads(given.threads)
    ratings, figures = read(given.data).ratings, Figures(given.figures)
    parts = strategy_from({"strategy": "ratio_random", "seed": 1}).split(prepare(ratings, Preparation()).interactions)
    for model in given.cheapest:
        figures.once({"table": "cheapest", "model": model}, partial(cheapest, model, parts))
    core = prepare(ratings, ANELLI_DATA).interactions
    for model in given.anelli:
        figures.once({"table": "anelli", "model": model}, partial(anelli, model, core))
    if given.out:
        write_between(given.out, "ml-1m cheapest", list(cheapest_table(figures.all())))
        write_between(given.out, "ml-1m anelli", list(anelli_table(figures.all())))


if __name__ == "__main__":
    main()
