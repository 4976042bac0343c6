"""ML-1M by date: the next film at every step of the last fortnight's sessions, by GRU4Rec over sessions side by side.

    python benchmarks/sessions.py --data ml-1m.zip --out docs/benchmarks.md

The user is the session, split `by_date`; the films are those of the training part, and all of them are ranked. A test
session is read from its own first film on, whatever its user watched before, and every film but its first is to be
found. `first`: the second film alone, as the figures of the field have it, which lost the rest; `every`: all steps;
`unseen`: all steps, films of the session so far left out, which is how the rest of this project ranks; `known`: as
`every`, and what the user watched before the session is read too. Intervals are a bootstrap over sessions.
`ours` is the model's YAML, stopped by MRR@20 on the validation sessions; the others train for three epochs as stated.
Each figure is kept in benchmarks/measured/sessions.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, write_between

from recpipe.data.interactions import IntArray, Interactions
from recpipe.data.parts import HeldOut, Part, Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import Interval, intervals
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.evaluation.metrics import Targets, Values, per_user
from recpipe.evaluation.sessions import every_step
from recpipe.measuring import Measured
from recpipe.models.sequences.gru4rec_session import Gru4recSession
from recpipe.recipe import ROWS_A_CALL, Run, Scorer
from recpipe.scoring.top import top
from recpipe.settings import Project
from recpipe.training.journal import Journal

BY_DATE = {"strategy": "by_date", "days": 14, "least_session": 2, "least_item": 5}
SIZES = {
    "train": {"events": 998_112, "users": 6_040, "items": 3_416},
    "valid": {"events": 883, "users": 39, "items": 692},
    "test": {"events": 575, "users": 44, "items": 489},
}
"""What the split must come to."""
OF_THE_FIELD: dict[str, Any] = {
    "inputs": "one_hot", "embedding_size": 50, "dropout": 0.1, "learning_rate": 0.001, "batch_size": 256,
    "truncation": 1, "loss": "cross_entropy", "max_length": 400,
}  # fmt: skip
FIELD_EPOCHS = 3
SETTINGS: dict[str, dict[str, Any]] = {
    "base": OF_THE_FIELD,
    "hidden 100": OF_THE_FIELD | {"embedding_size": 100},
    "learning rate 0.005": OF_THE_FIELD | {"learning_rate": 0.005},
    "dropout 0.3": OF_THE_FIELD | {"dropout": 0.3},
    "ours": {},
}
FIELD = {"base": (0.0682, 0.0078), "hidden 100": (0.0682, 0.0072), "learning rate 0.005": (0.0909, 0.0140),
         "dropout 0.3": (0.0227, 0.0038)}  # fmt: skip
"""Recall@20 and MRR@20 of the same settings in the field, first steps only."""
WAYS = ("first", "every", "unseen", "known")
SHOWN = ("recall@20", "mrr@20")
AT = 20


def by_date(data: Path) -> Parts:
    """The split over the films of its training part alone."""
    parts = strategy_from(BY_DATE).split(prepare(read(data).ratings, Preparation()).interactions)
    sizes = {part: counts for part, counts in parts.summary().items() if part in SIZES}
    if sizes != SIZES:
        raise ValueError(
            f"the parts of the session experiment are {SIZES}; these are {sizes}: is this the whole ml-1m?"
        )
    kept = parts.part != Part.DROPPED
    events, films = parts.interactions.take(kept), np.unique(parts.train.items)
    numbers = np.searchsorted(films, events.items).astype(np.int32)
    over_films = Interactions(events.users, numbers, events.times, events.ratings, events.n_users, len(films))
    return Parts(over_films, parts.part[kept], np.zeros(len(numbers), dtype=np.uint8))


def with_seen(scorer: Scorer, steps: HeldOut) -> dict[str, Values]:
    """Metrics of each step where all films are ranked, those of the session so far too."""
    blocks = (steps.histories.rows(slice(start, start + ROWS_A_CALL)) for start in range(0, len(steps), ROWS_A_CALL))
    lists = np.concatenate([top(scorer.scores(block), AT)[0] for block in blocks])
    targets = Targets.of(steps.targets)
    return per_user(targets.hits(lists), targets.counts, (AT,))


def over_sessions(values: Mapping[str, Values], users: IntArray, way: str) -> Figure:
    """[mean over steps, low, high] of each metric; users: int32 [steps], whose session it is.

    A mean over steps is a ratio of two sums over sessions, of what was reached and of steps: its linear form is drawn
    from in the bootstrap.
    """
    _, sessions = np.unique(users, return_inverse=True)
    steps = np.bincount(sessions)
    columns = []
    for metric in SHOWN:
        reached, mean = np.bincount(sessions, weights=values[metric]), values[metric].mean()
        columns.append(mean + (reached - mean * steps) / steps.mean())
    found = zip(SHOWN, intervals(np.stack(columns, axis=1)), strict=True)
    return {f"{way} {metric}": [interval.mean, interval.low, interval.high] for metric, interval in found}


def reached(scorer: Scorer, parts: Parts) -> Figure:
    """Recall@20 and MRR@20 on the test sessions, in all four ways."""
    sessions = parts.test.targets
    whole = parts.events(Part.TRAIN, Part.VALID, Part.TEST).histories(sessions.users)
    steps, with_past = every_step(sessions), every_step(whole, whole.lengths - sessions.lengths + 1)
    every, users, first = with_seen(scorer, steps), steps.targets.users, steps.histories.lengths == 1
    told: Figure = {"sessions": len(sessions), "steps": len(steps)}
    told |= over_sessions({name: values[first] for name, values in every.items()}, users[first], "first")
    told |= over_sessions(every, users, "every")
    told |= over_sessions(evaluate(scorer, steps, parts.train, (AT,)).per_user, users, "unseen")
    return told | over_sessions(with_seen(scorer, with_past), users, "known")


def figure(setting: str, seed: int, parts: Parts) -> Figure:
    """One fit, and what it reaches."""
    ours = setting == "ours"
    recipe = Project.here().recipe("gru4rec_session") if ours else Gru4recSession(**SETTINGS[setting])
    journal = Journal()
    stopping = (
        {"validate": validator(every_step(parts.valid.targets), f"mrr@{AT}")} if ours else {"epochs": FIELD_EPOCHS}
    )
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), Run(seed=seed, report=journal.report, **stopping))
    epochs = [round(row["seconds"], 1) for row in journal.epochs]
    told = {"parameters": journal.closing["parameters"], "losses": [round(row["loss"], 4) for row in journal.epochs]}
    told |= {"epoch_seconds": epochs, "cpu_seconds": round(measured.cpu_seconds, 1), "split": parts.digest()}
    return told | reached(scorer, parts)


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown, a row a measurement, in the order of the settings."""
    yield f"| setting | seed | parameters | CPU s an epoch | field, first | {' | '.join(WAYS)} |"
    yield f"|---|---|---|---|---{'|---' * len(WAYS)}|"
    for row in sorted(figures, key=lambda row: (list(SETTINGS).index(row["setting"]), row["seed"])):
        field = FIELD.get(row["setting"])
        cells = [row["setting"], str(row["seed"]), f"{row['parameters']:,}"]
        cells += [f"{row['cpu_seconds'] / len(row['epoch_seconds']):.0f}"]
        cells += [f"{field[0]:.4f} / {field[1]:.4f}" if field else "–"]
        cells += [" / ".join(str(Interval(*row[f"{way} {metric}"])) for metric in SHOWN) for way in WAYS]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    words = words_of(__doc__, "sessions")
    words.add_argument("--data", type=Path, required=True, help="ml-1m, folder or zip")
    words.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=SETTINGS, metavar="SETTING")
    words.add_argument("--seeds", nargs="*", type=int, default=[1])
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    parts = by_date(given.data)
    figures = Figures(given.figures)
    for setting in given.settings:
        for seed in given.seeds:
            figures.once({"setting": setting, "seed": seed}, partial(figure, setting, seed, parts))
    if given.out:
        write_between(given.out, "sessions", list(table(figures.all())))


if __name__ == "__main__":
    main()
