"""What trainings will take on the current data, before they start: formula, probe, epochs up to the budget, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from recpipe.claims import Wanted
from recpipe.costs import Shape
from recpipe.data.parts import Parts
from recpipe.data.training_set import TrainingSet
from recpipe.measuring import free_memory
from recpipe.probing import Probe, seconds_of_one
from recpipe.recipe import Recipe
from recpipe.settings import Project
from recpipe.steps.train import device, on_threads, training_set
from recpipe.storage import Missing
from recpipe.training.costs import START_SECONDS


@dataclass(frozen=True)
class Estimate:
    """What one training takes. wanted: bytes of the machine's memory, and of a GPU's. room, gpu_room: bytes that it may
    take of them. formula: CPU seconds of one thread, of one epoch where `epochs` is a number, of the fit where it is
    None. ranked: users × films of the validation part. probe: None where none was made; `unprobed` says why.
    """

    model: str
    wanted: Wanted
    room: int
    gpu_room: int
    formula: float
    epochs: int | None
    budget: float | None
    ranked: int
    probe: Probe | None = None
    unprobed: str = ""

    @property
    def fits(self) -> bool:
        return self.wanted.memory <= self.room and self.wanted.on_gpu <= self.gpu_room

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
    recipes = {model: project.recipe(model) for model in project.models_asked(models)}
    settings, shape, train = project.run(), Shape.of(parts.train), TrainingSet(parts.train)
    on = device(settings.device)
    free = free_memory()
    for model, recipe in recipes.items():
        plain = Estimate(
            model, Wanted.by(recipe, train, on), min(free, settings.memory_budget or free), _gpu_memory(on),
            seconds_of_one(recipe, shape), getattr(recipe, "epochs", None), settings.time_budget,
            ranked=len(parts.valid) * train.n_items,
        )  # fmt: skip
        yield _with_probe(plain, project, recipe, parts, on) if probed else plain


def _gpu_memory(on: str) -> int:
    """Bytes of the largest GPU; 0 where none is used."""
    if on != "cuda":
        return 0
    import torch

    return max(torch.cuda.get_device_properties(gpu).total_memory for gpu in range(torch.cuda.device_count()))


def _with_probe(plain: Estimate, project: Project, recipe: Recipe, parts: Parts, on: str) -> Estimate:
    try:
        with on_threads(1):
            return replace(plain, probe=Probe.of(recipe, _data(project, recipe, parts), on))
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
