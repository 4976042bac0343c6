"""Validation scores of one model with some settings, on ml-100k: where the comments of conf/models/*.yaml come from.

    python benchmarks/tune.py --data ml-100k.zip --model slim_elastic --set alpha=0.1 --set alpha=0.3 --seeds 101 102

Each `--set` may name several settings (`alpha=0.1,neighbours=50`) and is one trial; without any, the YAML as it stands.
`recpipe search` draws settings itself, on one split; this measures named ones, over several.
The splits are 0.8/0.1/0.1 per user at random, of other seeds than those of docs/benchmarks.md, and test parts are never
looked at. One line a trial: means over the seeds of NDCG@10 and Recall@10 on the validation part, CPU seconds, epochs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_threads, use_threads, words_of
from films import known_of

from recpipe.data.features import ItemFeatures
from recpipe.data.interactions import Interactions
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

Figures = dict[str, float]


def trial(recipe: Recipe, interactions: Interactions, films: ItemFeatures | None, split: dict[str, Any]) -> Figures:
    """One fit on one split, and what it reaches on the validation part."""
    parts = strategy_from(split).split(interactions)
    journal = Journal()
    run = Run(split.get("seed", 0), report=journal.report, validate=validator(parts.valid))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train, films), run)
    means = evaluate(scorer, parts.valid, parts.train, (10,)).means()
    figures = {"ndcg": means["ndcg@10"], "recall": means["recall@10"], "cpu_s": measured.cpu_seconds}
    return figures | {"mb": measured.peak_memory_mb, "epochs": len(journal.epochs)}


def settings_in(text: str) -> dict[str, Any]:
    """`alpha=0.1,layers=[64,32],loss=logistic` → settings; values are JSON where they can be read so."""
    settings: dict[str, Any] = {}
    for name, value in (pair.split("=", 1) for pair in _split(text)):
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _split(text: str) -> list[str]:
    """At commas that stand in no bracket."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            pieces.append("")
        else:
            pieces[-1] += letter
    return [piece for piece in pieces if piece]


def main() -> None:
    words = words_of(__doc__)
    words.add_argument("--data", type=Path, required=True, help="ml-100k, folder or zip; or other data")
    words.add_argument("--model", required=True, help="a model of conf/models")
    words.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE[,…]", help="one trial")
    words.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    words.add_argument("--split", default="ratio_random", choices=["ratio_random", "leave_one_out"])
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    raw = read(given.data)
    prepared = prepare(raw.ratings, Preparation())
    interactions, films = prepared.interactions, known_of(raw, prepared.ids)
    recipe = Project.here().recipe(given.model)
    for text in given.set or [""]:
        tried = type(recipe)(**recipe.model_dump() | settings_in(text))
        found = []
        for seed in given.seeds:
            split = {"strategy": given.split} | ({"seed": seed} if given.split == "ratio_random" else {})
            found.append(trial(tried, interactions, films if tried.uses_features else None, split))
        means = {name: round(float(np.mean([row[name] for row in found])), 4) for name in found[0]}
        print(json.dumps({"set": text} | means), flush=True)


if __name__ == "__main__":
    main()
