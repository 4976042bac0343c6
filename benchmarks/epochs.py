"""Seconds an epoch, the peer's and ours, one after the other on the same machine: docs/benchmarks.md's table `epochs`.

    python benchmarks/epochs.py --data ml-100k=ml-100k.zip --data ml-1m=ml-1m.zip --work WORK \
        --out docs/benchmarks.md --peer-python PEER/bin/python --peer-script recbole_peer.py

`ratio_random`, sequential models `leave_one_out`; CPU seconds of one thread, without validation, for `--epochs` epochs
and divided by them. Ours: the settings of conf/models with the peer's default batch of 2048 events, except that
autoencoders keep their own batch of users, for the peer's 2048 are one step an epoch on ml-100k, and sequential models
theirs of windows of 50 films. The peer: its default settings, sequential models with cross-entropy and 50 films. Its
time is that of its fit alone; ours has the making of the graph and of the batches in it. Where `--limit` ends the peer,
its seconds are more than those, and the share is less than the one that stands there. `ncl` has its prototypes from
the first epoch on (`pretraining: 0`).
Each figure is kept in benchmarks/measured/epochs.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_peer, add_threads, use_threads, words_of
from figures import Figure, Figures, write_between
from peer import Peer, Unfinished, write_parts

from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.measuring import Measured
from recpipe.recipe import Run
from recpipe.settings import Project

PEERS = {
    "multi_dae": "MultiDAE", "multi_vae": "MultiVAE", "cdae": "CDAE", "rec_vae": "RecVAE", "macrid_vae": "MacridVAE",
    "lightgcn": "LightGCN", "ngcf": "NGCF", "gcmc": "GCMC", "spectral_cf": "SpectralCF", "dgcf": "DGCF", "sgl": "SGL",
    "ncl": "NCL",
}  # fmt: skip
SEQUENTIAL = {
    "fpmc": "FPMC", "gru4rec": "GRU4Rec", "narm": "NARM", "stamp": "STAMP", "caser": "Caser", "nextitnet": "NextItNet",
    "sr_gnn": "SRGNN", "repeat_net": "RepeatNet", "sasrec": "SASRec", "bert4rec": "BERT4Rec",
    "fpmc, one drawn film": "FPMC",
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "fpmc, one drawn film": {"loss": "sampled_softmax", "negatives": 1}, "ncl": {"pretraining": 0},
}  # fmt: skip
"""Settings over those of conf/models: the peer's FPMC compares a target with one drawn film and has no other loss."""
ORDERED: dict[str, Any] = {
    "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 50, "benchmark_filename": None,
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
}  # fmt: skip
"""The peer's settings for sequential models; it splits for itself, the last film and the one before, as we do."""
BY_USERS = ("multi_dae", "multi_vae", "cdae", "rec_vae", "macrid_vae")
BATCH = 2048
RANDOM: dict[str, Any] = {"strategy": "ratio_random", "seed": 1}
LAST: dict[str, Any] = {"strategy": "leave_one_out"}


def ours(model: str, parts: Parts, epochs: int) -> Figure:
    """CPU seconds an epoch of a fit without validation."""
    recipe = Project.here().recipe(model.split(",")[0])
    if model in VARIANTS:
        recipe = type(recipe)(**recipe.model_dump() | VARIANTS[model])
    if model not in BY_USERS and model not in SEQUENTIAL:
        recipe = type(recipe)(**recipe.model_dump() | {"batch_size": BATCH})
    with Measured() as measured:
        recipe.fit(TrainingSet(parts.train), Run(seed=1, epochs=epochs))
    return {"epoch_cpu_seconds": round(measured.cpu_seconds / epochs, 3), "epochs": epochs}


def of_peer(peer: Peer, model: str, parts: Parts, folder: Path, epochs: int, **settings: Any) -> Figure:
    """Of the process's CPU seconds the share of its time that was the fit, an epoch."""
    write_parts(parts, folder)
    started = time.perf_counter()
    try:
        told = peer.run(model, folder, epochs=epochs, eval_step=0, seed=1, **settings)
    except Unfinished:
        return {"unfinished": peer.limit / epochs, "epochs": epochs}
    except RuntimeError as error:
        return {"failed": str(error).strip().splitlines()[-1][:120]}
    share = told["fit_s"] / (time.perf_counter() - started)
    return {"epoch_cpu_seconds": round(told["process_cpu_seconds"] * share / epochs, 3), "epochs": epochs}


def table(figures: list[Figure], peers: dict[str, str]) -> Iterator[str]:
    """Markdown: a row a model, for each data set our seconds, the peer's and their share."""
    names = list(dict.fromkeys(row["data"] for row in figures if row["model"] in peers))
    yield "| model |" + "".join(f" {name}: ours | of the peer | share |" for name in names)
    yield "|---|" + "---|---|---|" * len(names)
    shares: dict[str, list[float]] = {name: [] for name in names}
    for model, peer_model in peers.items():
        cells = []
        for name in names:
            own, other = (_of(figures, who, called, name) for who, called in (("ours", model), ("peer", peer_model)))
            seconds, theirs = own.get("epoch_cpu_seconds"), other.get("epoch_cpu_seconds", other.get("unfinished"))
            share = seconds / theirs if seconds and theirs else None
            shares[name] += [share] if share else []
            bound = ">" if "unfinished" in other else ""
            cells += [
                _said(seconds),
                "fails" if "failed" in other else bound + _said(theirs),
                ("<" if bound and share else "") + _said(share),
            ]
        if any(cell != "–" for cell in cells):
            yield f"| `{model}` | {' | '.join(cells)} |"
    yield "| median share |" + "".join(f" | | {_said(float(np.median(found)))} |" for found in shares.values() if found)


def _warm_up() -> None:
    """What torch loads at its first step belongs to no model."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = torch.optim.AdamW([weight], fused=True)
    weight.sum().backward()
    optimizer.step()


def _of(figures: list[Figure], who: str, model: str, data: str) -> Figure:
    return next((row for row in figures if (row["who"], row["model"], row["data"]) == (who, model, data)), {})


def _said(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}"


def main() -> None:
    words = words_of(__doc__, "epochs")
    words.add_argument("--data", action="append", required=True, metavar="NAME=PATH", help="folder or zip")
    words.add_argument("--work", type=Path, required=True, help="a folder for the peer's files")
    words.add_argument("--models", nargs="*", default=[*PEERS, *SEQUENTIAL], metavar="MODEL")
    add_peer(words, limit=900)
    words.add_argument("--epochs", type=int, default=2)
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    figures = Figures(given.figures)
    _warm_up()
    for pair in given.data:
        name, path = pair.split("=", 1)
        interactions = prepare(read(Path(path)).ratings, Preparation()).interactions
        random, last = (strategy_from(split).split(interactions) for split in (RANDOM, LAST))
        for model in given.models:
            parts, settings = (last, ORDERED) if model in SEQUENTIAL else (random, {})
            if SEQUENTIAL.get(model) == "FPMC":  # it has no loss but the one with a drawn film
                settings = {name: value for name, value in ORDERED.items() if name != "train_neg_sample_args"}
            figures.once({"who": "ours", "model": model, "data": name}, partial(ours, model, parts, given.epochs))
            if given.peer_python:
                peer = Peer(given.peer_python, given.peer_script, given.threads, given.limit)
                called, folder = (PEERS | SEQUENTIAL)[model], given.work / f"parts-{name}"
                folder = folder.with_name(f"last-{name}") if model in SEQUENTIAL else folder
                told = partial(of_peer, peer, called, parts, folder, given.epochs, **settings)
                figures.once({"who": "peer", "model": called, "data": name}, told)
    if given.out:
        known = figures.all()
        write_between(given.out, "epochs", list(table(known, PEERS)))
        write_between(given.out, "epochs of sequences", list(table(known, SEQUENTIAL)))


if __name__ == "__main__":
    main()
