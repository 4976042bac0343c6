"""What the recipes say that a fit takes, against what it takes: docs/costs.md's table from one command.

    python benchmarks/costs.py --work WORK --data ml-100k=ml-100k.zip --data ml-1m=ml-1m.zip --out docs/costs.md

Each fit runs in a process of its own, on one thread, and what learns by epochs for `--seconds`: the allocator keeps
more of what the steps free, up to a level that it reaches after some hundred steps. Memory: the process's largest
resident size (`ru_maxrss`) above the resident size just before the fit, with the data loaded, the recipe imported and
freed memory given back to the system. Time: CPU seconds without validation, of one epoch where there are any. What was
measured is kept in WORK/costs.jsonl, and a second call measures only what is missing; the estimates are those of now.

With `--probes` the page's other table: the estimate of time corrected by a probe (`recpipe.probing`), each in a process
of its own, on the deliveries alone; kept in WORK/probes.jsonl.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from figures import write_between
from generated import long_tailed

from recpipe.costs import MIB, Shape
from recpipe.data.interactions import Interactions
from recpipe.data.parts import HeldOut, Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.measuring import Measured
from recpipe.probing import Probe, seconds_of_one
from recpipe.recipe import Recipe, Run, Scorer
from recpipe.settings import Project
from recpipe.training.journal import Journal

WIDE = {"wide": 10_000, "wide-8000": 8_000}
"""Generated data by name: how many films."""
VALIDATED = 2_000
"""Users of the validation."""
VARIANTS: dict[str, dict[str, Any]] = {
    "ease in float32": {"precision": "float32"},
    "knn_basic of films": {"based_on": "items"},
    "mf, size 256": {"embedding_size": 256},
    "multi_vae, 600, batch 500": {"layers": (600,), "batch_size": 500},
    "sasrec, sampled, batch 256": {"loss": "sampled_softmax", "batch_size": 256},
}
"""Models measured on generated data with other settings than their YAML's, by what the table calls them."""


def split_once(folder: Path, interactions: Callable[[], Interactions]) -> None:
    """One split of the data in `folder`, so that a measured process has only to load it."""
    if not folder.exists():
        folder.mkdir(parents=True)
        strategy_from({"strategy": "ratio_random", "seed": 1}).split(interactions()).write(folder)


def recipe_named(name: str) -> Recipe:
    """A model of conf/models, or a variant of one; only time ends what learns by epochs."""
    recipe = Project.here().recipe(name.replace(",", "").split()[0])
    changes = VARIANTS.get(name, {}) | ({"patience": 1000} if "epochs" in type(recipe).model_fields else {})
    return recipe.model_copy(update=changes)


def measure(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Bytes and CPU seconds of one fit in this process. seconds: for which is learned by epochs. later: the seconds of
    an epoch after the first, which has the start of the loop and torch's imports in it.
    """
    import torch

    torch.set_num_threads(1)
    recipe, parts, journal = recipe_named(name), Parts.read(folder), Journal()
    training_set, validation = TrainingSet(parts.train), Validation(parts.valid)
    ends: list[float] = []

    def report(**numbers: Any) -> None:
        journal.report(**numbers)
        ends.extend([time.process_time() - validation.seconds] if "epoch" in numbers else [])

    run = Run(seed=1, time_budget=seconds, report=report, validate=validation)
    ctypes.CDLL(None).malloc_trim(0)
    before, peak_before = psutil.Process().memory_info().rss, peak_resident()
    with Measured() as measured:
        recipe.fit(training_set, run)
    peak = peak_resident()
    seen = peak - before if peak > peak_before else measured.peak_memory_mb * MIB  # hidden by an older peak: sampled
    done = epochs_done(journal)
    whole = (measured.cpu_seconds - validation.seconds) / done if done else None
    later = (ends[-1] - ends[0]) / (done - 1) if done and len(ends) > 1 else whole
    return {"memory": int(seen), "seconds": whole, "later": later}


def probe(name: str, folder: Path) -> dict[str, Any]:
    """What a probe of the model says, in this process."""
    import torch

    torch.set_num_threads(1)
    return asdict(Probe.of(recipe_named(name), TrainingSet(Parts.read(folder).train)))


def epochs_done(journal: Journal) -> float | None:
    """How many epochs the time was enough for; 1 for what learns in one step, None for a part that nobody can tell."""
    if len(journal.epochs) == 1 and journal.closing["stopped"] == "time budget":
        predicted = journal.closing.get("predicted_epoch_seconds")
        return journal.epochs[0]["seconds"] / predicted if predicted else None
    examples = [row["examples"] for row in journal.epochs]
    return sum(examples) / examples[0] if examples else 1.0


class Validation:
    """NDCG@10 of the first validation users; `seconds`: the CPU seconds that it took."""

    def __init__(self, held_out: HeldOut) -> None:
        from recpipe.evaluation.evaluate import validator

        first = slice(0, VALIDATED)
        self._validate = validator(HeldOut(held_out.histories.rows(first), held_out.targets.rows(first)))
        self.seconds = 0.0

    def __call__(self, scorer: Scorer) -> float:
        started = time.process_time()
        score = self._validate(scorer)
        self.seconds += time.process_time() - started
        return score


def peak_resident() -> int:
    """Bytes, of this process since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured_apart(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """`measure` in a fresh process on one thread; `probe` where `seconds` is 0."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--measure", name, str(folder), "--seconds", str(seconds)]
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} on {folder.name}: {done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(figures: list[dict[str, Any]], work: Path) -> list[str]:
    """Markdown, the largest first, beside what the recipes say now."""
    shapes = {data: Shape.of(Parts.read(work / data).train) for data in sorted({row["data"] for row in figures})}
    lines = ["| model | data | memory estimated, MiB | measured | ratio | CPU s estimated | measured | ratio |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in sorted(figures, key=lambda row: -row["memory"]):
        cost = recipe_named(row["model"]).cost(shapes[row["data"]])
        lines.append(
            f"| `{row['model']}` | {row['data']} | {cost.memory / MIB:.0f} | {row['memory'] / MIB:.0f} "
            f"| {cost.memory / row['memory']:.2f} | {cost.seconds:.2f} | {time_told(row['seconds'], cost.seconds)} |"
        )
    return lines


def probe_table(figures: list[dict[str, Any]], work: Path) -> list[str]:
    """Markdown, the dearest first: how far the formula, alone and times its probe, is from what was seen."""
    shapes = {data: Shape.of(Parts.read(work / data).train) for data in sorted({row["data"] for row in figures})}
    columns = ("model", "data", "CPU s by the formula", "× probe", "corrected", "measured", "formula / measured",
               "corrected / measured")  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in sorted(figures, key=lambda row: -(row["later"] or 0.0)):
        if row["later"] is None or "probe" not in row:
            continue
        formula, seen = seconds_of_one(recipe_named(row["model"]), shapes[row["data"]]), row["later"]
        corrected = formula * row["probe"]["correction"]
        lines.append(
            f"| `{row['model']}` | {row['data']} | {formula:.2f} | {row['probe']['correction']:.2f} | {corrected:.2f} "
            f"| {seen:.2f} | {formula / seen:.1f} | {corrected / seen:.1f} |"
        )
    return lines


def time_told(measured: float | None, estimated: float) -> str:
    """Measured seconds and the estimate's ratio to them, which says nothing below a tenth of a second."""
    if measured is None:
        return "not known | –"
    return f"{measured:.2f} | {estimated / measured:.1f}" if measured >= 0.1 else f"{measured:.2f} | –"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--measure", nargs=2, metavar=("MODEL", "FOLDER"), help=argparse.SUPPRESS)
    words.add_argument("--work", type=Path, help="a folder for splits and figures")
    words.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="a delivery, folder or zip")
    words.add_argument("--models", nargs="+", default=[*Project.here().model_names(), *VARIANTS])
    words.add_argument("--seconds", type=float, default=20.0, help="for which is learned by epochs")
    words.add_argument("--out", type=Path, help="the page whose table is replaced")
    words.add_argument("--probes", action="store_true", help="the table of probes, on the deliveries alone")
    given = words.parse_args()
    if given.measure:
        name, folder = given.measure[0], Path(given.measure[1])
        print(json.dumps(measure(name, folder, given.seconds) if given.seconds else probe(name, folder)))
        return
    deliveries = dict(pair.split("=", 1) for pair in given.data)
    for name, path in deliveries.items():
        split_once(given.work / name, lambda path=path: prepare(read(Path(path)).ratings, Preparation()).interactions)
    for name, n_items in () if given.probes else WIDE.items():
        split_once(given.work / name, lambda n_items=n_items: long_tailed(20_000, n_items, 2_000_000))
    kept = given.work / ("probes.jsonl" if given.probes else "costs.jsonl")
    figures = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for model in given.models:
        wide_data = [] if given.probes else ["wide-8000" if "ease" in model else "wide"]
        for data in [*([] if model in VARIANTS else deliveries), *wide_data]:
            key = {"model": model, "data": data}
            if not any(key.items() <= row.items() for row in figures):
                row = key | measured_apart(model, given.work / data, given.seconds)
                figures.append(row | {"probe": measured_apart(model, given.work / data, 0)} if given.probes else row)
                print(json.dumps(figures[-1]), flush=True)
                with kept.open("a") as file:
                    file.write(json.dumps(figures[-1]) + "\n")
    if given.out:
        lines = probe_table(figures, given.work) if given.probes else table(figures, given.work)
        write_between(given.out, "probes" if given.probes else "costs", lines)


if __name__ == "__main__":
    main()
