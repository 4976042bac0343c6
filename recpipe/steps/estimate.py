"""What trainings will take on the current data, before they start: formula, probe, epochs up to the budget, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from recpipe.costs import Cost, Shape
from recpipe.data.parts import Parts
from recpipe.data.training_set import TrainingSet
from recpipe.measuring import free_memory
from recpipe.probing import Probe, seconds_of_one
from recpipe.recipe import Recipe
from recpipe.settings import Project, SettingsError, nearest
from recpipe.steps.train import device, on_threads, training_set
from recpipe.storage import Missing
from recpipe.training.costs import START_SECONDS


@dataclass(frozen=True)
class Estimate:
    """What one training takes. formula: CPU seconds of one thread, of one epoch where `epochs` is a number, of the fit
    where it is None. probe: None where none was made; `unprobed` says why. room: bytes that the training may take; on a
    GPU `cost.on_device` of it lies there. ranked: users × films of the validation part.
    """

    model: str
    cost: Cost
    formula: float
    epochs: int | None
    budget: float | None
    room: int
    ranked: int
    probe: Probe | None = None
    unprobed: str = ""

    @property
    def fits(self) -> bool:
        return self.cost.memory <= self.room

    @property
    def seconds(self) -> float:
        """The formula's, corrected by the probe."""
        return self.formula * (self.probe.correction if self.probe else 1.0)

    @property
    def validation(self) -> float:
        """Seconds of one validation; 0 where no probe has measured it, or nothing is validated."""
        return self.probe.ranking * self.ranked if self.probe and self.epochs else 0.0

    @property
    def at_most(self) -> float:
        """Seconds of the whole training where early stopping does not end it; a budget ends what has epochs."""
        if self.epochs is None:
            return self.seconds
        whole = START_SECONDS + self.epochs * (self.seconds + self.validation)
        return whole if self.budget is None else min(whole, self.budget)


def estimates(project: Project, models: Sequence[str], parts: Parts, probed: bool = True) -> Iterator[Estimate]:
    """One a model, as each is known. probed: with one small fit each, about a second long; the formula alone else.

    Raises `SettingsError` for unknown names before anything is done.
    """
    recipes = {model: project.recipe(model) for model in asked(project, models)}
    settings, shape = project.run(), Shape.of(parts.train)
    room = min(free_memory(), settings.memory_budget or free_memory())
    for model, recipe in recipes.items():
        epochs = getattr(recipe, "epochs", None)
        ranked = len(parts.valid) * parts.train.n_items
        plain = Estimate(model, recipe.cost(shape), seconds_of_one(recipe, shape), epochs, settings.time_budget, room,
                         ranked)  # fmt: skip
        yield _with_probe(plain, project, recipe, parts) if probed else plain


def asked(project: Project, models: Sequence[str]) -> list[str]:
    """The models by name: what a build makes where none is named, every one for `all`."""
    if not models:
        return project.submission_models()
    known = project.model_names()
    if list(models) == ["all"]:
        return known
    for name in models:
        if name not in known:
            raise SettingsError(f"no model {name!r}{nearest(name, known)}")
    return list(dict.fromkeys(models))


def _with_probe(plain: Estimate, project: Project, recipe: Recipe, parts: Parts) -> Estimate:
    try:
        with on_threads(1):
            return replace(plain, probe=Probe.of(recipe, _data(project, recipe, parts), device(project.run().device)))
    except (ValueError, LookupError, MemoryError) as reason:
        return replace(plain, unprobed=(str(reason) or type(reason).__name__).splitlines()[0])


def _data(project: Project, recipe: Recipe, parts: Parts) -> TrainingSet:
    """With side data where they stand and are of these films; a probe goes without them otherwise."""
    try:
        data = training_set(project, recipe, parts)
    except Missing:
        return TrainingSet(parts.train)
    of_others = data.features is not None and len(data.features.years) != data.n_items
    return TrainingSet(parts.train) if of_others else data
