"""One model learned on one split: the recipe's fit under the run's circumstances, and what is kept of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from recpipe.claims import room_for
from recpipe.conf_files import RunSettings
from recpipe.data.parts import Parts
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import validator
from recpipe.evaluation.ranking import rank
from recpipe.lineage import FULL, Lineage, model_node
from recpipe.measuring import Measured
from recpipe.models.catalog import recipe_class
from recpipe.progress import tell
from recpipe.recipe import Checkpoints, Recipe, Run, Scorer
from recpipe.scoring.same_for_all import SameForAll
from recpipe.scoring.store import read_scorer, write_scorer
from recpipe.settings import Project
from recpipe.storage import VIEWS, Missing
from recpipe.training.health import diagnose, diagnose_scores
from recpipe.training.journal import SENTENCES, Journal

RECIPE = "recipe.json"
LOOKED_AT = 500
"""Users whose lists are looked at for collapsed predictions."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A recipe and what it learned on one split; `journal` tells how, epoch by epoch.

    figures: seconds, memory, parameters, best epoch. warnings: what the health checks found.
    """

    recipe: Recipe
    scorer: Scorer
    journal: Journal
    seed: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        write_scorer(self.scorer, folder)
        told = {"recipe": self.recipe.recipe_name(), "settings": self.recipe.model_dump(mode="json"),
                "seed": self.seed, "versions": _library_versions()}  # fmt: skip
        (folder / RECIPE).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        views = folder / VIEWS
        views.mkdir()
        self.journal.write(views)
        (views / "figures.json").write_text(
            json.dumps({"figures": self.figures, "warnings": self.warnings}, indent=1) + "\n", encoding="utf-8"
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        told = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        recipe = recipe_class(told["recipe"])(**told["settings"])
        views = json.loads((folder / VIEWS / "figures.json").read_text(encoding="utf-8"))
        return cls(
            recipe, read_scorer(folder, recipe), Journal.read(folder / VIEWS), told["seed"],
            views["figures"], tuple(views["warnings"]),
        )  # fmt: skip


def train(
    recipe: Recipe,
    parts: Parts,
    training_set: TrainingSet,
    settings: RunSettings,
    epochs: int | None = None,
    checkpoints: Path | None = None,
    claims: Path | None = None,
) -> TrainedModel:
    """Fit on the training part; early stopping sees the validation part, nothing sees the test part.

    epochs: learn for exactly so many, without validation: the refit on all the data. checkpoints: a folder that belongs
    to exactly these inputs; what a killed call has left there is taken up. While another process trains in it, this
    one trains without. claims: the folder in which trainings claim memory; what is in the way there is waited for.
    Raises `claims.TooLarge` before anything starts.
    """
    at_most = epochs or getattr(recipe, "epochs", None)

    def tell_live(**numbers: Any) -> None:
        if at_most and "epoch" in numbers:
            numbers |= {"epochs": at_most, "seconds_left": journal.seconds_left(at_most, settings.time_budget)}
        tell(event="training", **numbers)

    journal = Journal(listener=tell_live)
    has_valid = epochs is None and len(parts.valid) > 0
    with _alone_in(checkpoints, journal) as folder:
        run = Run(
            seed=settings.seed,
            device=device(settings.device),
            mixed_precision=settings.mixed_precision,
            epochs=epochs,
            time_budget=settings.time_budget,
            memory_budget=settings.memory_budget,
            checkpoints=Checkpoints(folder, settings.checkpoint_every) if folder else None,
            report=journal.report,
            validate=validator(parts.valid, settings.metric) if has_valid else None,
        )
        with room_for(recipe, training_set, run, claims), Measured() as measured, on_threads(settings.threads):
            scorer = recipe.fit(training_set, run)
    closing = journal.closing
    parameters = closing.get("parameters", parameter_count(scorer))
    figures = {
        **measured.figures(),
        "seconds": round(measured.seconds + run.seconds_before, 3),
        "parameters": parameters,
        "epochs": len(journal.epochs),
        "best_epoch": closing.get("best_epoch"),
        "best_valid": closing.get("best_valid"),
        "metric": settings.metric if has_valid else None,
        "stopped": closing.get("stopped", "learned in one step"),
        "device": run.device,
    }
    findings = diagnose(journal.epochs, by_gradients=hasattr(recipe, "learning_rate"))
    warnings = [*findings, *_looked_at(scorer, parts)]
    warnings[:0] = [closing[told] for told in SENTENCES if told in closing]
    return TrainedModel(recipe, scorer, journal, settings.seed, figures, tuple(warnings))


def training_set(project: Project, recipe: Recipe, parts: Parts, split: str = "") -> TrainingSet:
    """The training part, with side data where the recipe looks at it and the dataset's settings hand it out.

    parts: as the split stands, or made from the interactions of now where none is named.
    """
    from recpipe.steps.ensemble import film_features

    wanted = recipe.uses_features and project.dataset().features
    return TrainingSet(parts.train, film_features(project, split) if wanted else None)


def refit_epochs(lineage: Lineage, model: str, split: str, recipe: Recipe) -> int | None:
    """On `full`, how many epochs to learn; None elsewhere and for recipes without epochs.

    Raises `Missing` where no validation has found the number yet.
    """
    if split != FULL or "epochs" not in type(recipe).model_fields:
        return None
    best = lineage.best_epoch(model)
    if best is None:
        chosen_on = model_node(model, lineage.project.ensemble().split)
        raise Missing(
            f"{model_node(model, FULL)} learns for as many epochs as {chosen_on} found best: train that first"
        )
    return best


def device(wanted: str) -> str:
    """`auto` is the GPU where torch sees one; asking for one that is not there is an error."""
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise ValueError("conf/run.yaml: device: cuda was asked for, but torch sees no GPU; use auto or cpu")
    return "cpu"


def parameter_count(scorer: Scorer) -> int:
    """Numbers that a scorer carries."""
    return int(sum(getattr(array, "nnz", getattr(array, "size", 1)) for array in scorer.arrays().values()))


@contextmanager
def on_threads(wanted: int | str) -> Iterator[None]:
    """So many threads for BLAS and, where the recipe uses torch, for torch too.

    More threads than free cores wait for each other: on two cores with one of them busy, a training took five times as
    long with two threads as with one, and two free ones brought a tenth at most.
    """
    count = max(1, (os.cpu_count() or 1) // 2) if wanted == "auto" else int(wanted)
    torch = sys.modules.get("torch")  # loaded by now where the recipe needs it
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(limits=count):
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@contextmanager
def _alone_in(folder: Path | None, journal: Journal) -> Iterator[Path | None]:
    """The folder while no other process trains in it, and none will; None where one does already."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "training.lock")
    alone = True
    try:
        lock.acquire(timeout=0)
    except Timeout:
        alone = False
        journal.report(note="another process trained from the same inputs meanwhile, so this one kept no checkpoints")
    try:
        yield folder if alone else None
    finally:
        lock.release()


def _looked_at(scorer: Scorer, parts: Parts) -> list[str]:
    histories = parts.train.histories()
    known = histories.rows(slice(0, LOOKED_AT))
    known = known.rows((known.lengths > 0).nonzero()[0])
    if len(known) < 2:
        return []
    findings = diagnose_scores(rank(scorer, known, 10).items.astype(np.int64), scorer.scores(known))
    if isinstance(scorer, SameForAll):  # popularity is meant to give one list to all
        return [finding for finding in findings if "same list" not in finding]
    return findings


def _library_versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("recpipe", "numpy", "scipy", "torch")}
