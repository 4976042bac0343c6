"""Films that nobody has watched yet: docs/benchmarks.md's table `cold films`.

    python benchmarks/cold.py --data competition.zip --out docs/benchmarks.md

A tenth of the films is taken out of the training part whole, and another tenth for validation. A user's films among
them are to be found, from all other films of the user and what is known of the films; only the held-out films are
ranked. Early stopping sees the validation films alone. Settings of conf/models but for `SETTINGS`. Two baselines: a
film is worth what the films of its genres are watched on average, the same for all; or what share of the user's films
has its genres. Each figure is kept in benchmarks/measured/cold.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_threads, use_threads, words_of
from figures import Figure, Figures, mean, write_between
from films import known_of
from numpy.typing import NDArray

from recpipe.data.features import ItemFeatures
from recpipe.data.interactions import FloatArray, Histories, Interactions
from recpipe.data.parts import HeldOut
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import intervals
from recpipe.evaluation.metrics import METRICS, Targets, Values
from recpipe.evaluation.ranking import rank
from recpipe.measuring import Measured
from recpipe.recipe import Run, Scorer
from recpipe.settings import Project
from recpipe.training.journal import Journal

SHARE = 0.1
CUT_OFF = 10
BASELINES = ("genres watched by all", "genres watched by the user")
WITHOUT = {"film_dropout": 0.2}
FM = {"recipe": "fm", "batch_size": 4096, "learning_rate": 0.003, "weight_decay": 2.0, "epochs": 20} | WITHOUT
SETTINGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("fm", "logistic_fm", "deep_fm", "cfm", "logistic_cfm"), WITHOUT),
    "boosted_ranker": {"hidden_films": 0.1, "members": {"fm": FM}},
}


@dataclass(frozen=True, eq=False)
class Cold:
    """train: without the films of `valid` and `test`; each bool [n_items]. known: every other event than theirs."""

    train: TrainingSet
    valid: NDArray[np.bool_]
    test: NDArray[np.bool_]
    everything: Interactions

    @classmethod
    def of(cls, everything: Interactions, films: ItemFeatures, seed: int) -> Cold:
        drawn = np.random.default_rng(seed).random(everything.n_items)
        valid, test = drawn < SHARE, (drawn >= SHARE) & (drawn < 2 * SHARE)
        return cls(TrainingSet(everything.take(~(valid | test)[everything.items]), films), valid, test, everything)

    def held_out(self, films: NDArray[np.bool_]) -> HeldOut:
        """Everybody who watched one of these films, with the training part as history."""
        wanted = self.everything.take(films[self.everything.items])
        users = np.unique(wanted.users)
        return HeldOut(self.train.interactions.histories(users), wanted.histories(users))

    def values(self, scorer: Scorer, films: NDArray[np.bool_]) -> dict[str, Values]:
        """float64 [users] of each metric: these films alone are ranked."""
        held_out = self.held_out(films)
        targets = Targets.of(held_out.targets)
        hits = targets.hits(rank(scorer, held_out.histories, CUT_OFF, allowed=films).items)
        return {name: METRICS[name](hits, targets.counts) for name in ("capped_recall", "ndcg")}


@dataclass(frozen=True, eq=False)
class Genres:
    """Scores from genres alone. of_users: from histories to a weight for each genre, [rows × genres]."""

    matrix: FloatArray
    of_users: Callable[[Histories], FloatArray]
    serves_newcomers: bool = True

    def scores(self, users: Histories) -> FloatArray:
        return np.asarray(self.of_users(users) @ self.matrix.T, dtype=np.float32)


def baseline(name: str, train: TrainingSet) -> Genres:
    """One of `BASELINES`."""
    genres = train.features.bags["genres"].matrix().toarray()
    each = genres / np.maximum(genres.sum(axis=1, keepdims=True), 1)
    if name == BASELINES[1]:
        return Genres(each, lambda users: users.matrix() @ each)
    counts = train.interactions.item_counts()
    watched = counts > 0
    by_genre = (genres[watched].T @ counts[watched]) / np.maximum(genres[watched].sum(axis=0), 1)
    return Genres(each, lambda users: np.tile(by_genre, (len(users), 1)))


def figure(model: str, cold: Cold, seed: int, time_budget: float) -> Figure:
    """One training, and what it reaches on the held-out films of the test."""
    journal = Journal()
    run = Run(
        seed=seed,
        report=journal.report,
        time_budget=time_budget,
        validate=lambda scorer: float(cold.values(scorer, cold.valid)["ndcg"].mean()),
    )
    with Measured() as measured:
        if model in BASELINES:
            scorer: Scorer = baseline(model, cold.train)
        else:
            shipped = Project.here().recipe(model)
            scorer = type(shipped)(**shipped.model_dump() | SETTINGS.get(model, {})).fit(cold.train, run)
    found = {name: intervals(values[:, None])[0] for name, values in cold.values(scorer, cold.test).items()}
    return {
        "films": int(cold.test.sum()), "users": len(cold.held_out(cold.test)),
        **{name: interval.mean for name, interval in found.items()},
        **{f"{name}_interval": str(interval) for name, interval in found.items()},
        "epochs": len(journal.epochs), "cpu_seconds": round(measured.cpu_seconds, 1),
    }  # fmt: skip


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown, the best first."""
    yield "| model | Recall@10, of at most 10 | NDCG@10 | CPU s | epochs |"
    yield "|---|---|---|---|---|"
    for row in sorted(figures, key=lambda row: -row["ndcg"]):
        name = row["model"] if row["model"] in BASELINES else f"`{row['model']}`"
        yield (f"| {name} | {row['capped_recall_interval']} | {row['ndcg_interval']} | {mean([row], 'cpu_seconds', 0)} "
               f"| {row['epochs'] or '–'} |")  # fmt: skip


def main() -> None:
    words = words_of(__doc__, "cold")
    words.add_argument("--data", type=Path, required=True, help="folder or zip, with side data")
    words.add_argument("--models", nargs="*", default=[*BASELINES, *SETTINGS], metavar="MODEL")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--time-budget", type=float, default=600.0, help="seconds a training")
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    raw, figures = read(given.data), Figures(given.figures)
    prepared = prepare(raw.ratings, Project.here().dataset().prepared_by())
    cold = Cold.of(prepared.interactions, known_of(raw, prepared.ids), given.seed)
    for model in given.models:
        key = {"model": model, "seed": given.seed, "time_budget": given.time_budget}
        figures.once(key, partial(figure, model, cold, given.seed, given.time_budget))
    if given.out:
        write_between(given.out, "cold films", list(table(figures.all())))


if __name__ == "__main__":
    main()
