"""Models over side data on ml-100k, the peer against ours: docs/benchmarks.md's tables `features` and `convolutions`.

    python benchmarks/features.py --data ml-100k.zip --work WORK --out docs/benchmarks.md \
        --peer-python PEER/bin/python --peer-script recbole_peer.py --limit 900

`ratio_random`, one split and one training a seed, settings of conf/models; genres and years are what ml-100k knows of
its films, and the peer is given both. As in ml100k.py, at test a user is known by the training part alone. The second
table asks whether the convolutions help: the same loss with and without them, paired by user. Each figure is kept in
benchmarks/measured/features.jsonl, each user's NDCG in `--work`; what stands there is not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_peer, add_threads, use_threads, words_of
from figures import Figure, Figures, mean, spread, write_between
from films import known_of
from ml100k import CUT_OFF, TrainOnly, of, parts_of, peers
from peer import Peer

from recpipe.data.features import ItemFeatures
from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.comparison import paired_differences
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.recipe import Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

MODELS = ("mf", "logistic_mf", "fm", "logistic_fm", "deep_fm", "cfm", "logistic_cfm", "boosted_ranker")
LOSSES = {"logistic_mf": "logistic, all pairs", "deep_fm": "logistic", "lambdarank": "LambdaRank"}
"""Of a model that has no setting `loss`, and what a setting is called where it is not its own word."""
PEERS = {"logistic_fm": "FM", "deep_fm": "DeepFM"}
"""Both with the logistic loss over one drawn film a pair, which is what the peer has for these."""
AGAINST = {"cfm": "fm", "logistic_cfm": "logistic_fm", "deep_fm": "logistic_fm"}
SPLIT = "ratio_random"
DRAWN = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
"""The peer's own defaults for general models; those for models over side data want labels in the data."""


def ours(model: str, parts: Parts, films: ItemFeatures, seed: int, work: Path) -> Figure:
    """Fit with early stopping on the validation part, then measure on the test part; every user's NDCG is kept."""
    recipe, journal = Project.here().recipe(model), Journal()
    run = Run(seed=seed, report=journal.report, validate=validator(parts.valid, f"ndcg@{CUT_OFF}"))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train, films if recipe.uses_features else None), run)
    tested = evaluate(TrainOnly(scorer, parts.train), parts.test, parts.train, (CUT_OFF,))
    np.save(_kept(work, model, seed), tested.per_user[f"ndcg@{CUT_OFF}"])
    means = tested.means()
    return {
        "cpu_seconds": round(measured.cpu_seconds, 1),
        "ndcg": means[f"ndcg@{CUT_OFF}"],
        "recall": means[f"recall@{CUT_OFF}"],
        "valid": journal.closing.get("best_valid"),
        "epochs": len(journal.epochs),
        "split": parts.digest(),
    }


def against(model: str, other: str, seed: int, work: Path) -> Figure:
    """A model's NDCG less another's over the same users."""
    values = [np.load(_kept(work, each, seed)) for each in (model, other)]
    (found,) = paired_differences(values[0][:, None], values[1])
    return {"difference": found.mean, "low": found.low, "high": found.high, "p": found.p}


def write_films(films: ItemFeatures, folder: Path) -> dict[str, Any]:
    """Genres and years as RecBole's atomic file, row numbers as tokens; returns the peer's setting that reads it.

    The peer reads them with pandas before 3 alone, and no empty bag.
    """
    folder.mkdir(parents=True, exist_ok=True)
    genres, known = films.bags["genres"].padded()
    rows = ["item_id:token\tgenres:token_seq\tyear:token"]
    for film, year in enumerate(films.years.tolist()):
        rows.append(f"{film}\t{' '.join(map(str, genres[film][known[film]])) or 'none'}\t{year}")
    (folder / f"{folder.name}.item").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"load_col": {"inter": ["user_id", "item_id"], "item": ["item_id", "genres", "year"]}}


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown: means over seeds, the peer's beside ours."""
    yield ("| model | loss | the peer's (runs) | NDCG@10 ours | of the peer | Recall@10 ours | of the peer "
           "| CPU s ours | of the peer |")  # fmt: skip
    yield "|---|---|---|---|---|---|---|---|---|"
    for model in MODELS:
        own, other = of(figures, "ours", model, SPLIT), of(figures, "peer", PEERS.get(model), SPLIT)
        if not own:
            continue
        cut = [row["unfinished"] for row in other if "unfinished" in row]
        seconds = f"> {max(cut):.0f}" if cut else mean(other, "cpu_seconds")
        seconds = "fails" if any("failed" in row for row in other) else seconds
        yield (f"| `{model}` | {_loss(model)} | {f'{PEERS[model]} ({len(other)})' if model in PEERS else '–'} "
               f"| {spread(own, 'ndcg')} | {spread(other, 'ndcg')} | {spread(own, 'recall')} "
               f"| {spread(other, 'recall')} | {mean(own, 'cpu_seconds')} | {seconds} |")  # fmt: skip


def table_of_differences(figures: list[Figure]) -> Iterator[str]:
    """Markdown: a row a pair of models, a column a seed."""
    seeds = sorted({row["seed"] for row in figures})
    yield "| with | without |" + "".join(f" seed {seed} |" for seed in seeds)
    yield "|---|---|" + "---|" * len(seeds)
    for model, other in AGAINST.items():
        rows = {row["seed"]: row for row in figures if (row["who"], row["model"]) == ("difference", model)}
        told = (
            f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" for row in map(rows.get, seeds) if row
        )
        yield f"| `{model}` | `{other}` | {' | '.join(told)} |"


def _loss(model: str) -> str:
    """In words, by the settings of conf/models."""
    word = getattr(Project.here().recipe(model), "loss", model)
    return LOSSES.get(word, word)


def _kept(work: Path, model: str, seed: int) -> Path:
    return work / f"{model}-{seed}.npy"


def main() -> None:
    words = words_of(__doc__, "features")
    words.add_argument("--data", type=Path, required=True, help="ml-100k, folder or zip")
    words.add_argument("--work", type=Path, required=True, help="a folder for the peer's files and each user's figures")
    words.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    words.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS, metavar="MODEL")
    add_peer(words, limit=0)
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    raw, figures = read(given.data), Figures(given.figures)
    prepared = prepare(raw.ratings, Preparation())
    films = known_of(raw, prepared.ids)
    peer = Peer(given.peer_python, given.peer_script, given.threads, given.limit) if given.peer_python else None
    for seed in given.seeds:
        parts = parts_of(prepared.interactions, SPLIT, seed)
        for model in given.models:
            key = {"who": "ours", "model": model, "on": SPLIT, "seed": seed}
            figures.once(key, partial(ours, model, parts, films, seed, given.work))
            if model in AGAINST and {model, AGAINST[model]} <= set(given.models):
                key = {"who": "difference", "model": model, "on": SPLIT, "seed": seed}
                figures.once(key, partial(against, model, AGAINST[model], seed, given.work))
        for model in [each for each in given.models if each in PEERS and peer]:
            folder = given.work / f"seed{seed}" / f"ml{seed}"
            side = write_films(films, folder) | {"train_neg_sample_args": DRAWN, "seed": seed}
            key = {"who": "peer", "model": PEERS[model], "on": SPLIT, "seed": seed}
            figures.once(key, partial(peers, peer, PEERS[model], parts, folder, **side))
    if given.out:
        write_between(given.out, "features", list(table(figures.all())))
        write_between(given.out, "convolutions", list(table_of_differences(figures.all())))


if __name__ == "__main__":
    main()
