"""iALS and BPR against the library `implicit` and the bare arithmetic: docs/performance.md from one command.

    python benchmarks/speed_factors.py --data ml-1m=ml-1m.zip --work WORK --out docs/performance.md \
        --peer-python PEER/bin/python

`ratio_random`, the same training part for both; CPU seconds of one thread, each fit in a process of its own. An epoch
is the shortest of those after the first. Accuracy: NDCG@10 of the first 2000 users on the validation part, all films
ranked, by our evaluation of both libraries' factors, after epochs 1, 2, 4, 8, ...; the seconds until the best that the
peer reaches are added up over the epochs, evaluation left out. Only on the deliveries: generated users have no taste.
Ours: the settings of conf/models. The peer's: those that were best on that validation part (`SETTINGS`).
Each figure is kept in benchmarks/measured/speed_factors.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from apart import told
from arguments import words_of
from bars import Row, table
from costs import Validation, split_once
from factors_limits import LIMITS
from figures import Figure, Figures, write_between
from generated import long_tailed
from scipy import sparse

from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Run, Scorer
from recpipe.scoring.factors import Factors
from recpipe.settings import Project

GENERATED = {"40,000 × 10,000": {"n_users": 40_000, "n_items": 10_000, "n_events": 4_000_000}}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "ALS": ("ALS", {"alpha": 3.0, "regularization": 30.0}),
    "ALS, exact": ("ALS", {"alpha": 3.0, "regularization": 30.0, "use_cg": False}),
    "BPR": ("BPR", {"learning_rate": 0.01, "regularization": 0.01}),
}
"""ALS: the weights of our loss in its words; a regularization of 10 or 60 and its defaults were behind (0.2350, 0.2364,
0.2221 after eight epochs, against 0.2411). BPR: its defaults; learning rates of 0.05 and 0.1 ended at 0.13 or below."""
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "ials": ("ials", {}), "ials, ten steps": ("ials", {"iterations": 10}),
    "bpr": ("bpr", {}), "bpr, one negative": ("bpr", {"negatives": 1}),
}  # fmt: skip
EPOCHS = {"ials": 8, "ials, ten steps": 8, "bpr": 8, "bpr, one negative": 4, "ALS": 8, "ALS, exact": 8, "BPR": 32}


def ours(folder: Path, model: str, size: int, epochs: int, accurate: bool) -> Figure:
    """seconds: of each epoch. ndcg: after epochs 1, 2, 4, ... where `accurate`."""
    import torch

    torch.set_num_threads(1)
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)  # what torch loads here belongs to no model
    name, changes = OURS[model]
    settings = Project.here().recipe(name)
    recipe = type(settings)(
        **settings.model_dump() | changes | {"embedding_size": size, "epochs": epochs, "patience": epochs}
    )
    parts, seconds, ndcg = Parts.read(folder), [], []
    validation, started = Validation(parts.valid), time.process_time()

    def validate(scorer: Scorer) -> float:
        done = len(seconds) + 1
        ndcg.extend([round(validation(scorer), 4)] if done & (done - 1) == 0 else [])
        return 0.0

    def report(**numbers: Any) -> None:
        nonlocal started
        if "epoch" in numbers:
            seconds.append(round(time.process_time() - started - validation.seconds, 4))
            validation.seconds, started = 0.0, time.process_time()

    how = {"validate": validate} if accurate else {"epochs": epochs}
    recipe.fit(TrainingSet(parts.train), Run(seed=1, report=report, **how))
    return {"seconds": seconds, "ndcg": ndcg}


def of_peer(python: Path, folder: Path, model: str, size: int, epochs: int, accurate: bool) -> Figure:
    """As `ours`, of the peer's factors."""
    name, settings = SETTINGS[model]
    parts, kept = Parts.read(folder), folder / "of the peer"
    kept.mkdir(exist_ok=True)
    sparse.save_npz(folder / "train.npz", parts.train.matrix())
    words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    script = Path(__file__).with_name("factors_peer.py")
    figure = told([python, script, folder / "train.npz", kept, name, str(epochs), f"factors={size}", *words])
    validation, ndcg = Validation(parts.valid), []
    for power in range(epochs.bit_length() if accurate else 0):
        with np.load(kept / f"{2**power}.npz") as found:
            ndcg.append(round(validation(Factors(found["users"], found["items"])), 4))
    return {"seconds": [round(each, 4) for each in figure["seconds"]], "ndcg": ndcg}


def rows(figures: list[Figure]) -> list[Row]:
    """An epoch of each, and the seconds until the peer's best accuracy where it is known."""
    found = {(row["who"], row["data"], row["size"]): row for row in figures}
    pairs = [
        ("ials", "ALS", "the same sparse products bare"),
        ("ials", "ALS, exact", "the exact step's bare Gram products and Cholesky"),
        ("bpr", "BPR", "bare gather and scatter"),
        ("bpr, one negative", "BPR", "bare gather and scatter"),
    ]
    made = []
    for data, size in dict.fromkeys((row["data"], row["size"]) for row in figures):
        for own, peer, limit in pairs:
            mine, theirs = (found.get((who, data, size)) for who in (own, peer))
            bare = found.get((f"{own}: {limit}", data, size))
            if mine and theirs:
                work, name = f"`{own}`, {data}, {size} factors", f"implicit {peer}"
                least = min(bare["seconds"]) if bare else None
                made.append(Row(f"{work}: an epoch", _epoch(mine), _epoch(theirs), least, least_of_peer=1,
                                peer_name=name, limit_name=limit))  # fmt: skip
                if mine["ndcg"] and theirs["ndcg"] and own != "bpr, one negative":
                    goal = max(theirs["ndcg"])
                    reached = _until(mine, goal)
                    if reached is not None:
                        made.append(Row(f"{work}: until NDCG@10 {goal:.4f}", reached, _until(theirs, goal),
                                        least_of_peer=1, peer_name=name))  # fmt: skip
    return made


def curves(figures: list[Figure]) -> Iterator[str]:
    """Markdown: accuracy after epochs 1, 2, 4, ..., with the CPU seconds up to there."""
    yield "| model | data | factors | NDCG@10 after epochs 1, 2, 4, ... (CPU s) |"
    yield "|---|---|---|---|"
    for row in figures:
        if row.get("ndcg"):
            told = (f"{ndcg:.4f} ({sum(row['seconds'][: 2**power]):.2f})" for power, ndcg in enumerate(row["ndcg"]))
            who = f"`{row['who']}`" if row["who"] in OURS else f"implicit {row['who']}"
            yield f"| {who} | {row['data']} | {row['size']} | {', '.join(told)} |"


def _epoch(figure: Figure) -> float:
    return float(min(figure["seconds"][1:]))


def _until(figure: Figure, goal: float) -> float | None:
    """CPU seconds up to the first of epochs 1, 2, 4, ... that is as accurate."""
    reached = next((power for power, ndcg in enumerate(figure["ndcg"]) if ndcg >= goal), None)
    return None if reached is None else float(sum(figure["seconds"][: 2**reached]))


def main() -> None:
    words = words_of(__doc__, "speed_factors")
    words.add_argument("--measure", nargs=6, metavar="WORD", help=argparse.SUPPRESS)
    words.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="folder or zip")
    words.add_argument("--work", type=Path, help="a folder for splits and the peer's factors")
    words.add_argument("--sizes", nargs="*", type=int, default=[64, 128], help="factors")
    words.add_argument("--peer-python", type=Path, help="of an environment with implicit")
    given = words.parse_args()
    if given.measure:
        what, folder, model, *numbers = given.measure
        size, epochs, accurate = map(int, numbers)
        measured = (LIMITS[what](Path(folder), size) if what in LIMITS
                    else ours(Path(folder), model, size, epochs, bool(accurate)))  # fmt: skip
        print(json.dumps(measured))
        return
    deliveries = dict(pair.split("=", 1) for pair in given.data)
    for name, path in deliveries.items():
        split_once(given.work / name, lambda path=path: prepare(read(Path(path)).ratings, Preparation()).interactions)
    for name, shape in GENERATED.items():
        split_once(given.work / name, lambda shape=shape: long_tailed(**shape))
    figures = Figures(given.figures)
    for data, size in product([*deliveries, *GENERATED], given.sizes):
        folder, accurate = given.work / data, data in deliveries
        for who in (*OURS, *SETTINGS, *LIMITS):
            epochs = EPOCHS.get(who, 0) if accurate else 3
            named = ["ours" if who in OURS else who, folder, who, size, epochs, int(accurate)]
            apart = partial(told, [sys.executable, __file__, "--measure", *map(str, named)])
            peer = partial(of_peer, given.peer_python, folder, who, size, epochs, accurate)
            figures.once({"who": who, "data": data, "size": size}, peer if who in SETTINGS else apart)
    if given.out:
        write_between(given.out, "factors", list(table(rows(figures.all()))))
        write_between(given.out, "factors by epochs", list(curves(figures.all())))


if __name__ == "__main__":
    main()
