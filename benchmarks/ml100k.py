"""ml-100k, the peer against ours on the same parts, over several seeds: docs/benchmarks.md's tables from one command.

    python benchmarks/ml100k.py --data ml-100k.zip --work WORK --out docs/benchmarks.md \
        --peer-python PEER/bin/python --peer-script recbole_peer.py

Every figure is kept in benchmarks/measured/ml100k.jsonl as soon as it is there; a call measures only what is missing,
so that the peer's long trainings need not run again. Remove lines, or give another `--figures`, to measure anew.
General models: `ratio_random`, one split and one training a seed; at test a user is known by the training part alone,
as for the peer, in a last column by the validation part too. Sequential models: `leave_one_out`; of the peer one epoch
is timed. Seconds are CPU seconds of the process: machines are shared. Memory: the whole process at its peak, with the
libraries that it loads. Every figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_peer, add_threads, use_threads, words_of
from figures import Figure, Figures, mean, spread, write_between
from peer import Peer, Unfinished, write_parts

from recpipe.data.interactions import Histories, Interactions
from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate, validator
from recpipe.measuring import Measured
from recpipe.recipe import Run
from recpipe.settings import Project
from recpipe.training.journal import Journal

GENERAL = {
    "popularity": "Pop", "item_knn": "ItemKNN", "knn_basic": None, "ease": "EASE", "mf": None, "bpr": "BPR",
    "neumf": "NeuMF", "multi_vae": "MultiVAE", "lightgcn": "LightGCN",
}  # fmt: skip
FURTHER = {
    "rp3beta": None, "user_knn": None, "higher_order_ease": None, "slim_elastic": "SLIMElastic",
    "admm_slim": "ADMMSLIM", "ncepl_rec": "NCEPLRec", "ials": "implicit ALS", "logistic_mf": "implicit LogisticMF",
    "fism": "FISM", "nais": "NAIS", "neumf, GMF alone": None, "neumf, MLP alone": None, "neumf, pretrained": None,
    "conv_ncf": "ConvNCF", "dmf": "DMF", "nncf": "NNCF", "enmf": "ENMF", "simplex": "SimpleX", "line": "LINE",
    "multi_dae": "MultiDAE", "cdae": "CDAE", "rec_vae": "RecVAE", "macrid_vae": "MacridVAE", "ngcf": "NGCF",
    "gcmc": "GCMC", "spectral_cf": "SpectralCF", "dgcf": "DGCF", "sgl": "SGL", "ncl": "NCL",
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "neumf, GMF alone": {"parts": "gmf"},
    "neumf, MLP alone": {"parts": "mlp"},
    "neumf, pretrained": {"pretraining": 20},
}
"""A model with other settings than its YAML's, by what the table calls it: its name stands before the comma."""
PEERS = {model: peer for model, peer in (GENERAL | FURTHER).items() if peer}
SEQUENTIAL = {"gru4rec": "GRU4Rec", "sasrec": "SASRec"}
IMPLICIT = Path(__file__).with_name("implicit_peer.py")
CUT_OFF = 10


def parts_of(interactions: Interactions, strategy: str, seed: int) -> Parts:
    """One split; leave_one_out knows no seed."""
    settings: dict[str, Any] = {"strategy": strategy}
    return strategy_from(settings | ({"seed": seed} if strategy == "ratio_random" else {})).split(interactions)


def split_of(model: str) -> str:
    """What a model is measured on."""
    return "leave_one_out" if model in SEQUENTIAL else "ratio_random"


def ours(model: str, parts: Parts, seed: int) -> dict[str, Any]:
    """Fit with early stopping on the validation part, then measure on the test part."""
    shipped = Project.here().recipe(model.partition(",")[0])
    recipe = type(shipped)(**shipped.model_dump() | VARIANTS.get(model, {}))
    journal = Journal()
    run = Run(seed=seed, report=journal.report, validate=validator(parts.valid, f"ndcg@{CUT_OFF}"))
    with Measured() as measured:
        scorer = recipe.fit(TrainingSet(parts.train), run)
    peak = peak_memory_mb()
    known = parts.test
    metrics = evaluate(scorer, known, parts.train, (CUT_OFF,)).means()
    as_peer = evaluate(TrainOnly(scorer, parts.train), known, parts.train, (CUT_OFF,)).means()
    return {
        **measured.figures(),
        "ndcg": metrics["ndcg@10"],
        "recall": metrics["recall@10"],
        "ndcg_train_only": as_peer["ndcg@10"],
        "recall_train_only": as_peer["recall@10"],
        "valid": journal.closing.get("best_valid"),
        "epochs": len(journal.epochs),
        "epoch_seconds": float(np.median([row["seconds"] for row in journal.epochs])) if journal.epochs else None,
        "split": parts.digest(),
        "peak_memory_mb": peak,
    }


def apart(given: argparse.Namespace, model: str, seed: int) -> Figure:
    """`ours` in a process of its own, whose peak memory is then its own, as the peer's is."""
    words = [sys.executable, __file__, "--data", str(given.data), "--work", str(given.work)]
    words += ["--threads", str(given.threads), "--measure", model, str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{model}: {done.stderr[-2000:]}")
    figure: Figure = json.loads(done.stdout.splitlines()[-1])
    return figure


def peak_memory_mb() -> float:
    """MiB, of this process since it began."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@dataclass(frozen=True)
class TrainOnly:
    """Scores from the training histories alone; the validation films are still masked, by the ranking."""

    scorer: Any
    train: Interactions
    serves_newcomers: bool = False

    def scores(self, users: Histories) -> Any:
        return self.scorer.scores(self.train.histories(users.users))


def peers(peer: Peer, model: str, parts: Parts, folder: Path, **settings: Any) -> dict[str, Any]:
    """The peer on the same parts, with its own default settings; "implicit NAME" is a model of the second peer."""
    write_parts(parts, folder)
    library, _, name = model.rpartition(" ")
    if library:
        peer, model = replace(peer, script=IMPLICIT), name
    started = time.perf_counter()
    try:
        told = peer.run(model, folder, **settings)
    except Unfinished:
        return {"unfinished": peer.limit, "split": parts.digest()}
    except RuntimeError as error:
        return {"failed": str(error).strip().splitlines()[-1][:120], "split": parts.digest()}
    share = told["fit_s"] / (time.perf_counter() - started)
    return {  # of the process's CPU seconds the share of its time that was training: imports and reading do not count
        "seconds": told["fit_s"], "cpu_seconds": round(told["process_cpu_seconds"] * share, 2),
        "peak_memory_mb": told["peak_memory_mb"], "ndcg": told["test"]["ndcg@10"],
        "recall": told["test"]["recall@10"], "split": parts.digest(),
    }  # fmt: skip


def of(figures: list[Figure], who: str, model: str | None, split: str) -> list[Figure]:
    """The figures of one model on one split."""
    return [row for row in figures if (row["who"], row["model"], row["on"]) == (who, model, split)]


def table(figures: list[Figure], models: dict[str, str | None]) -> Iterator[str]:
    """Markdown: means over seeds on ratio_random, the peer's beside ours."""
    yield ("| model | NDCG@10 ours | of the peer | Recall@10 ours | of the peer | CPU s ours | of the peer "
           "| NDCG@10 ours, validation films known |")  # fmt: skip
    yield "|---|---|---|---|---|---|---|---|"
    for model, peer_model in models.items():
        own, other = of(figures, "ours", model, "ratio_random"), of(figures, "peer", peer_model, "ratio_random")
        yield (f"| `{model}` | {spread(own, 'ndcg_train_only')} | {spread(other, 'ndcg')} "
               f"| {spread(own, 'recall_train_only')} | {spread(other, 'recall')} | {mean(own, 'cpu_seconds')} "
               f"| {mean(other, 'cpu_seconds')} | {spread(own, 'ndcg')} |")  # fmt: skip


def further_table(figures: list[Figure], models: dict[str, str | None]) -> Iterator[str]:
    """As `table`, with peak memory, of what was measured; with the peer's name stands how many runs its mean is of."""
    yield ("| model | the peer's (runs) | NDCG@10 ours | of the peer | Recall@10 ours | of the peer | CPU s ours "
           "| of the peer | MiB ours | of the peer |")  # fmt: skip
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for model, peer_model in models.items():
        own, other = of(figures, "ours", model, "ratio_random"), of(figures, "peer", peer_model, "ratio_random")
        if not own:
            continue
        cut = [row["unfinished"] for row in other if "unfinished" in row]
        seconds = f"> {max(cut):.0f}" if cut else mean(other, "cpu_seconds")
        seconds = "fails" if any("failed" in row for row in other) else seconds
        yield (f"| `{model}` | {f'{peer_model} ({len(other)})' if peer_model else '–'} "
               f"| {spread(own, 'ndcg_train_only')} | {spread(other, 'ndcg')} | {spread(own, 'recall_train_only')} "
               f"| {spread(other, 'recall')} | {mean(own, 'cpu_seconds')} | {seconds} "
               f"| {mean(own, 'peak_memory_mb', 0)} | {mean(other, 'peak_memory_mb', 0)} |")  # fmt: skip


def epoch_table(figures: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: sequential models on leave_one_out, and seconds an epoch."""
    yield "| model | NDCG@10 ours | Recall@10 ours | s an epoch ours | s an epoch of the peer | share |"
    yield "|---|---|---|---|---|---|"
    for model, peer_model in SEQUENTIAL.items():
        own = of(figures, "ours", model, "leave_one_out")
        other = of(figures, "peer", peer_model, "leave_one_out")
        seconds = float(np.mean([row["epoch_seconds"] for row in own])) if own else float("nan")
        peer_seconds = float(np.mean([row["epoch_seconds"] for row in other])) if other else float("nan")
        yield (f"| `{model}` | {spread(own, 'ndcg')} | {spread(own, 'recall')} | {seconds:.1f} | {peer_seconds:.1f} "
               f"| {seconds / peer_seconds:.3f} |")  # fmt: skip


def main() -> None:
    words = words_of(__doc__, "ml100k")
    words.add_argument("--data", type=Path, required=True, help="ml-100k, folder or zip")
    words.add_argument("--work", type=Path, required=True, help="a folder for the peer's files")
    words.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    words.add_argument("--models", nargs="+", default=[*GENERAL, *FURTHER, *SEQUENTIAL])
    add_peer(words, limit=0)
    words.add_argument("--measure", nargs=2, metavar=("MODEL", "SEED"), help=argparse.SUPPRESS)
    words.add_argument("--only-peer", action="store_true", help="leave ours for another call")
    words.add_argument("--only-tables", action="store_true", help="measure nothing, write what is known")
    add_threads(words)
    given = words.parse_args()
    use_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    interactions = prepare(read(given.data).ratings, Preparation()).interactions
    if given.measure:
        model, seed = given.measure[0], int(given.measure[1])
        print(json.dumps(ours(model, parts_of(interactions, split_of(model), seed), seed)))
        return
    figures = Figures(given.figures)
    peer = Peer(given.peer_python, given.peer_script, given.threads, given.limit) if given.peer_python else None
    for seed in [] if given.only_tables else given.seeds:
        random, last = (parts_of(interactions, strategy, seed) for strategy in ("ratio_random", "leave_one_out"))
        for model in given.models:
            split = split_of(model)
            parts = last if split == "leave_one_out" else random
            if not given.only_peer:
                key = {"who": "ours", "model": model, "on": split, "seed": seed}
                figures.once(key, partial(apart, given, model, seed))
            if peer and PEERS.get(model):
                folder = given.work / f"seed{seed}" / f"ml{seed}"
                key = {"who": "peer", "model": PEERS[model], "on": split, "seed": seed}
                figures.once(key, partial(peers, peer, PEERS[model], parts, folder, seed=seed))
            if peer and model in SEQUENTIAL and seed == given.seeds[0]:
                key = {"who": "peer", "model": SEQUENTIAL[model], "on": split}
                figures.once(key, partial(one_peer_epoch, peer, SEQUENTIAL[model], parts, given.work / "last" / "mll"))
    if given.out:
        known = figures.all()
        for marker, lines in tables(known).items():
            write_between(given.out, marker, lines)


def tables(known: list[Figure]) -> dict[str, list[str]]:
    """The lines of each table of which anything was measured, by the marker of its place on the page."""
    written = {
        "ratio_random": (GENERAL, list(table(known, GENERAL))),
        "further": (FURTHER, list(further_table(known, FURTHER))),
        "leave_one_out": (SEQUENTIAL, list(epoch_table(known))),
    }
    measured = {row["model"] for row in known if row["who"] == "ours"}
    return {marker: lines for marker, (models, lines) in written.items() if measured & set(models)}


def one_peer_epoch(peer: Peer, model: str, parts: Parts, folder: Path) -> dict[str, Any]:
    """Seconds of one epoch of the peer's sequential training: one epoch is run, and nothing is validated."""
    write_parts(parts, folder)
    told = peer.run(model, folder, epochs=1, eval_step=0, train_neg_sample_args=None, MAX_ITEM_LIST_LENGTH=50,
                    benchmark_filename=None, eval_args={"split": {"LS": "valid_and_test"}, "group_by": "user",
                                                        "order": "TO", "mode": "full"})  # fmt: skip
    return {"epoch_seconds": told["fit_s"], "split": parts.digest()}


if __name__ == "__main__":
    main()
