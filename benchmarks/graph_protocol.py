"""ML-1M as RecBole-GNN measures it: graph models with their published settings, as many epochs as the time allows.

    python benchmarks/graph_protocol.py --data ml-1m.zip --out docs/benchmarks.md --time-budget 3000

Ratings of 3 and more, 80/10/10 per user at random, embeddings of 64, all films ranked, those of training and validation
masked; early stopping by MRR@10 on validation, as there. What a model has is in `PUBLISHED`, what the source does not
give is ours. The split is the source's own, film by film, for another one may be harder by more than models differ: of
EASE, which has no chance in it, the table has splits of ours beside it (--splits). With the source's patience of ten
epochs a training ends where chance has it, as validation scores waver by more than they rise in so many: --patience
gives a longer one, on a line of its own.

Whether a training ended by itself or by the time is in the table, with the last validation scores. With --checkpoints
a training that the time ended goes on from there when it is given more of it. Each figure is kept in
benchmarks/measured/graph_protocol.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, mean, spread, write_between

from recpipe.data.interactions import order_by
from recpipe.data.parts import Part, Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splits.ratios import ratio_sizes
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.models.catalog import recipe_class
from recpipe.recipe import Checkpoints, Recipe, Run
from recpipe.storage import digest_of
from recpipe.training.journal import Journal

DATA = Preparation(min_rating=3, repeats="first")
PATIENCE = 11
"""The source goes on through ten epochs without a better score, and ends at the eleventh."""
LEARNED = {"embedding_size": 64, "epochs": 500, "batch_size": 4096}
GRAPH = LEARNED | {"layers": 3, "regularization": 0.0, "learning_rate": 2e-3, "initial_deviation": 0.02}
NCL = GRAPH | {"recipe": "ncl", "hyper_layers": 1, "temperature": 0.1, "prototype_weight": 8e-8 * 4096}
PUBLISHED: dict[str, dict[str, Any]] = {
    "ease": {"regularization": 500.0},
    "bpr": LEARNED | {"learning_rate": 1e-3},
    "lightgcn": GRAPH | {"regularization": 1e-4},
    "ngcf": GRAPH | {"learning_rate": 2e-4, "layers": [64, 64, 64], "dropout": 0.0, "edge_dropout": 0.0},
    "sgl": GRAPH | {"temperature": 0.5, "dropout": 0.1, "alpha": 0.005},
    "ncl": NCL | {"alpha": 1.5, "structure_weight": 1e-6 * 4096},
    "ncl, authors": NCL | {"alpha": 1.0, "structure_weight": 1e-7 * 4096},
}
"""NCL's weights are of sums over a batch there, hence the 4096: ours are means. The source's table gives it ten times
the weight that the model's authors give it in their own repository, for ML-1M as well; both are here. SGL's loss is a
sum but for its penalty, and NCL's and NGCF's penalties are of lengths that are not squared, divided by the batch: so
these count for nothing. The source draws the embeddings after Xavier: here 0.018 for users and 0.023 for films."""
BARS = {"bpr": 0.2401, "lightgcn": 0.2538, "ngcf": 0.2508, "sgl": 0.2505, "ncl": 0.2702, "ncl, authors": 0.2702}
"""NDCG@10 of the source's table."""
SHOWN = ("recall@10", "mrr@10", "ndcg@10", "hit_rate@10")


def split(ratings: pa.Table, seed: int | None) -> Parts:
    """The interactions of these ratings, by the source's split, or by ours with this seed.

    The source puts all of them into an order drawn by torch from seed 2020; of each user's, in that order, the first
    are for training and the last for testing.
    """
    interactions = prepare(ratings, DATA).interactions
    if seed is not None:
        return strategy_from({"strategy": "ratio_random", "seed": seed}).split(interactions)
    kept = ratings.filter(pc.greater_equal(ratings["rating"], DATA.min_rating))
    if len(kept) != len(interactions):
        raise ValueError(f"{len(kept) - len(interactions)} ratings were left out: the source's split knows ML-1M alone")
    users, times = kept["user"].to_numpy(), kept["time"].to_numpy()
    drawn = torch.randperm(len(users), generator=torch.Generator().manual_seed(2020)).numpy()
    by_user = drawn[np.argsort(users[drawn], kind="stable")]
    films = np.diff(interactions.offsets)
    n_valid, n_test = ratio_sizes(films, 0.8, 0.1)
    before_the_end = np.repeat(interactions.offsets[1:], films) - np.arange(len(users))  # of a user's last: 1
    n_test, n_valid = np.repeat(n_test, films), np.repeat(n_valid, films)
    part = np.full(len(users), Part.TRAIN, dtype=np.uint8)
    part[by_user[before_the_end <= n_test + n_valid]] = Part.VALID
    part[by_user[before_the_end <= n_test]] = Part.TEST
    return Parts(interactions, part[order_by(users, times)], np.zeros(len(users), dtype=np.uint8))


def recipe_of(model: str, patience: int) -> Recipe:
    """With its published settings, and this patience where it learns in epochs."""
    settings = PUBLISHED[model]
    recipe = recipe_class(settings.get("recipe", model))(**{k: v for k, v in settings.items() if k != "recipe"})
    return recipe.model_copy(update={"patience": patience}) if "patience" in type(recipe).model_fields else recipe


def figure(recipe: Recipe, parts: Parts, run: Run, checkpoints: Path | None) -> Figure:
    """One training, with every validation score."""
    if checkpoints:
        training = digest_of({"recipe": recipe.model_dump(mode="json"), "split": parts.digest(), "seed": run.seed})
        run = replace(run, checkpoints=Checkpoints(checkpoints / training))
    journal = Journal(listener=_tell)
    run = replace(run, report=journal.report, validate=validator(parts.valid, "mrr@10"))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), run)
    means = evaluate(scorer, parts.test, parts.train, (10,)).means()
    told: Figure = {name: means[name] for name in SHOWN} | {"split": parts.digest()}
    if "resumed_from" not in journal.closing:  # else the seconds are of the last part alone
        told["cpu_seconds"] = round(measured.cpu_seconds)
    if journal.epochs:
        valid = [round(row["valid"], 4) for row in journal.epochs]
        told |= {"epochs": len(valid), "stopped": journal.closing["stopped"], "valid": valid}
    return told


def _tell(**numbers: Any) -> None:
    if "epoch" in numbers:
        print(f"epoch {numbers['epoch']:4} {numbers['seconds']:6.1f} s  {numbers['valid']:.4f}", flush=True)


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown: a row a model, split and patience, means over its seeds, the published figure beside.

    Of a training that was taken up again the last figure counts.
    """
    yield ("| model | split | patience | seeds | Recall@10 | MRR@10 | NDCG@10 | published | Hit@10 | best epoch | of "
           "| ended | CPU s | valid MRR |")  # fmt: skip
    yield "|" + "---|" * 14
    names = list(PUBLISHED)

    def row_of(figure: Figure) -> tuple[int, str, int]:
        drawn = "published" if figure["drawn"] is None else f"ours, {figure['drawn']}"
        return names.index(figure["model"]), drawn, figure.get("patience", 0)

    last = {(row_of(figure), figure["seed"]): figure for figure in figures}
    for place, drawn, patience in sorted({row for row, _ in last}):
        rows = [figure for (row, _), figure in last.items() if row == (place, drawn, patience)]
        learned = [row | {"best": 1 + row["valid"].index(max(row["valid"]))} for row in rows if "epochs" in row]
        ended = ", ".join(dict.fromkeys(row["stopped"] for row in learned))
        curve = learned[0]["valid"] if learned else []
        some = " ".join(f"{value:.4f}" for value in curve[:: max(1, len(curve) // 6)])
        yield (f"| {names[place]} | {drawn} | {patience if learned else '–'} "
               f"| {', '.join(str(row['seed']) for row in rows)} "
               f"| {spread(rows, 'recall@10')} | {spread(rows, 'mrr@10')} | {spread(rows, 'ndcg@10')} "
               f"| {BARS.get(names[place], '–')} | {spread(rows, 'hit_rate@10')} "
               f"| {mean(learned, 'best', 0)} | {mean(learned, 'epochs', 0)} | {ended} "
               f"| {mean(rows, 'cpu_seconds', 0)} | {some} |")  # fmt: skip


def main() -> None:
    words = words_of(__doc__, "graph_protocol")
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--models", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED), metavar="MODEL")
    words.add_argument("--seeds", type=int, nargs="+", default=[1], help="of trainings")
    words.add_argument("--splits", type=int, nargs="+", help="seeds of splits of ours, in place of the source's")
    words.add_argument("--patience", type=int, default=PATIENCE, help="epochs without a better score")
    words.add_argument("--time-budget", type=float, default=3000.0, help="seconds a training")
    words.add_argument("--checkpoints", type=Path, help="a folder in which trainings are kept to go on from")
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    ratings, figures = read(given.data).ratings, Figures(given.figures)
    for drawn in given.splits or [None]:
        parts = split(ratings, drawn)
        for seed, model in product(given.seeds, given.models):
            run, recipe = Run(seed=seed, time_budget=given.time_budget), recipe_of(model, given.patience)
            key: Figure = {"model": model, "drawn": drawn, "seed": seed}
            if "patience" in type(recipe).model_fields:
                key |= {"patience": given.patience, "time_budget": given.time_budget}
            figures.once(key, partial(figure, recipe, parts, run, given.checkpoints))
    if given.out:
        write_between(given.out, "ml-1m graphs", list(table(figures.all())))


if __name__ == "__main__":
    main()
