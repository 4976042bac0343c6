"""ML-1M as RecBole-GNN measures it: graph models with their published settings, as many epochs as the time allows.

    python benchmarks/graph_protocol.py --data ml-1m.zip --out docs/benchmarks.md --time-budget 3000

Ratings of 3 and more, 80/10/10 per user at random, embeddings of 64, all films ranked, those of training and validation
masked; early stopping by MRR@10 on validation, as there. What a model has is in `PUBLISHED`, what the source does not
give is ours. Whether a training ended by itself or by the time is in the table, with the last validation scores.
Each figure is kept in benchmarks/measured/graph_protocol.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from figures import KEPT, Figure, Figures, mean, spread, write_between

from recpipe.data.parts import Parts
from recpipe.data.preparing import Preparation, prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.models.catalog import recipe_class
from recpipe.recipe import Run
from recpipe.training.journal import Journal

DATA = Preparation(min_rating=3, repeats="first")
SHARED = {"embedding_size": 64, "epochs": 500, "patience": 10, "batch_size": 4096}
GRAPH = {"layers": 3, "regularization": 1e-4, "learning_rate": 2e-3, "initial_deviation": 0.02}
PUBLISHED: dict[str, dict[str, Any]] = {
    "bpr": {"learning_rate": 1e-3},
    "lightgcn": GRAPH,
    "ngcf": GRAPH | {"learning_rate": 2e-4, "layers": [64, 64, 64], "dropout": 0.0, "edge_dropout": 0.0,
                     "regularization": 1e-5},
    "sgl": GRAPH | {"regularization": 0.0, "temperature": 0.5, "dropout": 0.1, "alpha": 0.005},
    "ncl": GRAPH | {"hyper_layers": 1, "temperature": 0.1, "alpha": 1.5, "structure_weight": 1e-6 * 4096,
                    "prototype_weight": 8e-8 * 4096},
}  # fmt: skip
"""NCL's weights are of sums over a batch there, hence the 4096: ours are means. SGL's loss is a sum but for its
penalty, which so counts for nothing. The source draws the embeddings after Xavier: here 0.018 for users and 0.023 for
films."""
BARS = {"bpr": 0.2401, "lightgcn": 0.2538, "ngcf": 0.2508, "sgl": 0.2505, "ncl": 0.2702}
"""NDCG@10 of the source's table."""
SHOWN = ("recall@10", "mrr@10", "ndcg@10", "hit_rate@10")


def figure(model: str, parts: Parts, seed: int, time_budget: float) -> Figure:
    """One training, with every validation score."""
    recipe = recipe_class(model)(**SHARED | PUBLISHED[model])
    journal = Journal()
    run = Run(seed=seed, report=journal.report, validate=validator(parts.valid, "mrr@10"), time_budget=time_budget)
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), run)
    means = evaluate(scorer, parts.test, parts.train, (10,)).means()
    valid = [round(row["valid"], 4) for row in journal.epochs]
    told = {"epochs": len(valid), "stopped": journal.closing["stopped"], "cpu_seconds": round(measured.cpu_seconds)}
    return {**told, **{name: means[name] for name in SHOWN}, "valid": valid, "split": parts.digest()}


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown: a row a model, means over its seeds, the published figure beside."""
    yield "| model (seeds) | Recall@10 | MRR@10 | NDCG@10 | published | Hit@10 | epochs | ended | CPU s | valid MRR |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for model in PUBLISHED:
        rows = [row for row in figures if row["model"] == model]
        if rows:
            ended = ", ".join(dict.fromkeys(row["stopped"] for row in rows))
            curve = rows[0]["valid"]
            last = " ".join(f"{value:.4f}" for value in curve[:: max(1, len(curve) // 6)])
            yield (f"| `{model}` ({len(rows)}) | {spread(rows, 'recall@10')} | {spread(rows, 'mrr@10')} "
                   f"| {spread(rows, 'ndcg@10')} | {BARS[model]:.4f} | {spread(rows, 'hit_rate@10')} "
                   f"| {mean(rows, 'epochs', 0)} | {ended} | {mean(rows, 'cpu_seconds', 0)} | {last} |")  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--out", type=Path, help="the page whose table is replaced")
    words.add_argument("--figures", type=Path, default=KEPT / "graph_protocol.jsonl", help="lines measured before, new")
    words.add_argument("--models", nargs="*", default=list(PUBLISHED), choices=list(PUBLISHED), metavar="MODEL")
    words.add_argument("--seeds", type=int, nargs="+", default=[1])
    words.add_argument("--time-budget", type=float, default=3000.0, help="seconds a training")
    words.add_argument("--threads", type=int, default=1)
    given = words.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    import torch

    torch.set_num_threads(given.threads)
    interactions, figures = prepare(read(given.data).ratings, DATA).interactions, Figures(given.figures)
    for seed in given.seeds:
        parts = strategy_from({"strategy": "ratio_random", "seed": seed}).split(interactions)
        for model in given.models:
            key = {"model": model, "seed": seed, "time_budget": given.time_budget}
            figures.once(key, partial(figure, model, parts, seed, given.time_budget))
    if given.out:
        write_between(given.out, "ml-1m graphs", list(table(figures.all())))


if __name__ == "__main__":
    main()
