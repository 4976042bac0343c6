"""The study of splits: lays a part aside, splits the rest by every strategy, trains every model on each, and scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recpipe.claims import TooLarge
from recpipe.data.parts import HeldOut, Parts
from recpipe.data.preparing import Prepared
from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.metrics import Values
from recpipe.evaluation.naming import parse_metric
from recpipe.lineage import Lineage, Node
from recpipe.progress import tell
from recpipe.recipe import Recipe
from recpipe.settings import Project
from recpipe.steps.train import TrainedModel, train, training_set
from recpipe.storage import digest_of, unfinished
from recpipe.studies.laid_aside import LaidAside
from recpipe.studies.split_trust import Scores, SplitTrust
from recpipe.studies.split_trust_report import SplitTrustReport

HIDDEN = "the rest"
"""What stands for a split's name where a model learns from all that was not laid aside."""


def split_trust_report(project: Project, cells: Path | None = None) -> SplitTrustReport:
    """Every model on every split of conf/studies.yaml, and on all of the rest.

    cells: a folder that belongs to exactly these inputs; what a killed call has left there is not computed again. A
    model that cannot be trained or asked somewhere has no score there, and a note says why.
    """
    settings = project.split_trust()
    prepared: Prepared = project.store.read("interactions")
    aside = LaidAside.of(prepared.interactions, settings.hidden)
    work = _Work(project, settings.metric, len(settings.models) * (len(settings.splits) + 1), cells)
    splits = {}
    for name in settings.splits:
        split = work.split(name, aside)
        if split is not None:
            splits[name] = split
    if not splits:
        raise ValueError(f"split trust: no split has a validation part ({'; '.join(work.notes)})")
    recipes = {model: project.recipe(model) for model in settings.models}
    valid, own = {}, {}
    for name, split in splits.items():
        asked = (split.valid, aside.known_to(split).test)
        columns = [work.cell(name, model, recipe, split, asked) for model, recipe in recipes.items()]
        valid[name], own[name] = (_scores(asked[place], [each[place] for each in columns]) for place in (0, 1))
    rest = aside.trained_on_rest
    columns = [work.cell(HIDDEN, model, recipe, rest, (rest.test,)) for model, recipe in recipes.items()]
    hidden = _scores(rest.test, [each[0] for each in columns])
    study = SplitTrust(settings.models, settings.metric, aside.events.n_users, hidden, valid, own)
    return SplitTrustReport.of(study, tuple(work.notes))


def cells_of(lineage: Lineage) -> Path:
    """Where a study keeps what it has done so far: other settings, code or data, another folder."""
    versions = lineage.versions(Node("split_trust_report"))
    return lineage.project.checkpoints("split_trust_report|cells") / digest_of(versions)[:16]


@dataclass
class _Work:
    """Trains and scores, one cell (a model on a split) after another; keeps what is done, tells how far it is."""

    project: Project
    metric: str
    cells: int
    folder: Path | None
    notes: list[str] = field(default_factory=list)
    epochs: dict[str, list[int]] = field(default_factory=dict)
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def split(self, name: str, aside: LaidAside) -> Parts | None:
        """The rest, split; None with a note where the strategy cannot, or hides nothing."""
        try:
            parts = self.project.strategy(name).split(aside.rest)
        except ValueError as error:
            self.notes.append(f"{name} cannot split the rest and was left out: {error}")
            return None
        if not len(parts.valid):
            self.notes.append(f"{name} has no validation part and was left out")
            return None
        return parts

    def cell(
        self, on: str, model: str, recipe: Recipe, parts: Parts, asked: tuple[HeldOut, ...]
    ) -> list[Values | None]:
        """The values of every user of each part asked about; None where the model has none."""
        seconds = time.monotonic() - self._started
        left = seconds / self._done * (self.cells - self._done) if self._done else None
        tell(event="study", what=f"{model} on {on}", done=self._done, of=self.cells, left=left)
        self._done += 1
        path = self.folder and self.folder / f"{on}.{model}.npz"
        if path and path.exists():
            return self._kept(path, model, len(asked))
        try:
            trained = self._trained(on, model, recipe, parts)
        except (ValueError, TooLarge) as error:
            self.notes.append(f"{model} on {on}: not trained ({error})")
            return [None] * len(asked)
        values = [self._asked(on, model, trained, parts, each) for each in asked]
        best = trained.figures["best_epoch"] or 0
        self.epochs.setdefault(model, []).append(best)
        if path and all(each is not None for each in values):
            _keep(path, values, best)
        return values

    def _trained(self, on: str, model: str, recipe: Recipe, parts: Parts) -> TrainedModel:
        """On all of the rest there is no validation part: as many epochs as the splits found best, their median."""
        epochs = None
        if on == HIDDEN and "epochs" in type(recipe).model_fields and any(self.epochs.get(model, [])):
            epochs = int(np.median([each for each in self.epochs[model] if each]))
        data = training_set(self.project, recipe, parts)
        return train(recipe, parts, data, self.project.run(), epochs, claims=self.project.claims)

    def _asked(self, on: str, model: str, trained: TrainedModel, parts: Parts, held_out: HeldOut) -> Values | None:
        try:
            found = evaluate(trained.scorer, held_out, parts.train, (parse_metric(self.metric)[1],))
        except ValueError as error:
            self.notes.append(f"{model} on {on}: no score ({error})")
            return None
        return found.per_user[self.metric]

    def _kept(self, path: Path, model: str, count: int) -> list[Values | None]:
        with np.load(path) as stored:
            self.epochs.setdefault(model, []).append(int(stored["best_epoch"]))
            return [stored[f"values_{place}"] for place in range(count)]


def _keep(path: Path, values: list[Values | None], best_epoch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    named: dict[str, Any] = {f"values_{place}": each for place, each in enumerate(values) if each is not None}
    with temporary.open("wb") as file:
        np.savez(file, best_epoch=np.int64(best_epoch), **named)
    temporary.replace(path)


def _scores(held_out: HeldOut, columns: list[Values | None]) -> Scores:
    nothing = np.full(len(held_out), np.nan)
    return Scores(held_out.targets.users, np.stack([nothing if each is None else each for each in columns], axis=1))
