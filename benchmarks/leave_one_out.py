"""One model on `leave_one_out`, full ranking: every epoch's loss and validation score as they come, then the test.

    python benchmarks/leave_one_out.py --data ml-1m.zip --model sasrec --set max_length=100 --set dropout=0.2

The test user's known films are all but the last. One line of JSON an epoch, one with the result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arguments import add_threads, use_threads, words_of

from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import intervals
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.recipe import Run
from recpipe.settings import Project
from recpipe.training.journal import Journal


def main() -> None:
    words = words_of(__doc__)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--model", default="sasrec", help="a model of conf/models")
    words.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="in place of the YAML's")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--time-budget", type=float, help="seconds; the best epoch so far is then kept")
    add_threads(words, 2)
    given = words.parse_args()
    use_threads(given.threads)
    interactions = prepare(read(given.data).ratings, Preparation()).interactions
    parts = strategy_from({"strategy": "leave_one_out"}).split(interactions)
    recipe = Project.here().recipe(given.model)
    changes: dict[str, Any] = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in given.set)}
    recipe = type(recipe)(**recipe.model_dump() | changes)
    journal = Journal(listener=lambda **news: print(json.dumps(news), flush=True))
    run = Run(given.seed, time_budget=given.time_budget, report=journal.report, validate=validator(parts.valid))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), run)
    evaluation = evaluate(scorer, parts.test, parts.train, (10,))
    ndcg, recall = (intervals(evaluation.per_user[name][:, None])[0] for name in ("ndcg@10", "recall@10"))
    result = {"settings": recipe.model_dump(mode="json"), "ndcg@10": str(ndcg), "recall@10": str(recall),
              "users": len(evaluation.users), "split": parts.digest(), **measured.figures()}  # fmt: skip
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
