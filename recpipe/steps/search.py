"""The search of one model's settings on one split: a study that goes on where it was, and what it has found."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from filelock import FileLock

from recpipe.evaluation.naming import parse_metric
from recpipe.lineage import Lineage, model_node
from recpipe.progress import tell
from recpipe.search.pages import changes
from recpipe.search.processes import in_processes
from recpipe.search.remeasuring import Remeasured, remeasured
from recpipe.search.result import ModelSearch
from recpipe.search.space import Space
from recpipe.search.study import Studies, answering, hopeless, lose_dead, queue_once, repeat_lost
from recpipe.search.trials import Circumstances, Question, try_settings
from recpipe.search.yaml_of_model import rewritten
from recpipe.settings import Project
from recpipe.steps.train import device, on_threads, training_set
from recpipe.storage import digest_of, replace_text
from recpipe.yaml_files import SettingsError

OTHER_SEEDS = 1000
"""What is added to the run's seed where the best is measured again."""


@dataclass(frozen=True)
class Asked:
    """What somebody wants searched; None leaves it to conf/search.yaml, the metric to conf/run.yaml."""

    model: str
    split: str
    trials: int | None = None
    minutes: float | None = None
    jobs: int | None = None
    seeds: int | None = None
    trial_seconds: float | None = None
    metric: str | None = None


class Searching:
    """One search about to be done: the study, what it asks, and under what circumstances."""

    def __init__(self, project: Project, asked: Asked) -> None:
        settings, run = project.search(), project.run()
        self.project, self.asked = project, asked
        given = {name: getattr(asked, name) for name in ("trials", "minutes", "jobs", "seeds", "trial_seconds")}
        self.settings = settings.model_copy(update={name: each for name, each in given.items() if each is not None})
        self.metric, self.seed = asked.metric or run.metric, run.seed
        parse_metric(self.metric)  # a misspelt one is no failure of a trial
        self.space = _space(project, asked.model, self.settings.spaces.get(asked.model))
        self.studies = Studies(project.searches, self.settings.storage.get_secret_value())
        self.study = self.studies.study(self.name, self.settings, run.seed)

    @property
    def name(self) -> str:
        """`model|split|digest`, of everything that makes scores comparable: data, code, metric, seeds, the space and
        the settings that are not in it. The settings of now are not among them: a search goes on after `--apply`."""
        lineage, store, run = Lineage(self.project), self.project.store, self.project.run()
        needs = lineage.upstream(model_node(self.asked.model, self.asked.split, "model_search"))
        told = {
            "data": {str(node): store.need(node.asset, node.partition).content for node in needs},
            "code": lineage.recipe_code(self.asked.model, "recpipe.evaluation.evaluate"),
            "recipe": self.space.recipe.recipe_name(),
            "space": [self.space.told(), self.space.fixed],
            "measured": [self.metric, self.seed, self.settings.seeds, self.settings.trial_seconds, run.time_budget],
            **({"mixed_precision": True} if run.mixed_precision else {}),
        }
        return f"{self.asked.model}|{self.asked.split}|{digest_of(told)[:12]}"

    def question(self) -> Question:
        """Training part and validation part; nothing else is handed on."""
        parts = self.project.store.read("split", self.asked.split)
        if not len(parts.valid):
            raise ValueError(f"the split {self.asked.split!r} has no validation part to search by; take another split")
        data = training_set(self.project, self.space.recipe, parts, self.asked.split)
        seeds = tuple(range(self.seed, self.seed + self.settings.seeds))
        return Question(self.space, data, parts.valid, self.metric, seeds)

    def circumstances(self, until: float | None, **more: Any) -> Circumstances:
        """Of the trials; a whole training takes what conf/run.yaml allows."""
        run = self.project.run()
        seconds = self.settings.trial_seconds or run.time_budget
        return Circumstances(
            device(run.device), seconds, until, run.memory_budget, self.project.claims, run.mixed_precision, **more
        )

    def until(self) -> float | None:
        """When the time that was asked for is over."""
        return None if self.settings.minutes is None else time.time() + 60 * self.settings.minutes

    def turn(self) -> FileLock:
        """Held while a trial begins."""
        return FileLock(self.project.searches / "turn.lock")

    def found(self, again: Remeasured | None = None) -> ModelSearch:
        """The study as it stands."""
        asked, settings = self.asked, self.settings
        about = (asked.model, asked.split, self.metric, self.space.shipped)
        measures_again = settings.other_seeds > 0
        return ModelSearch.of(self.study, *about, settings.trials, settings.trial_seconds, again, measures_again)


def search(project: Project, asked: Asked) -> ModelSearch:
    """Try settings until the study has as many trials as are asked for, in all, or the time is up.

    The settings of now come first, again where their trial failed or was pruned. Trials that a killed process left are
    tried again, and all where each of the first has failed. At the end the best settings and those of now are trained
    whole, with other seeds. Raises ValueError where another process goes on with the study, where the split has no
    validation part, or where the first trials all fail.
    """
    searching = Searching(project, asked)
    study, settings, until = searching.study, searching.settings, searching.until()
    question, circumstances = searching.question(), searching.circumstances(until)
    with answering(), searching.studies.alone(searching.name), on_threads(project.run().threads):
        killed = lose_dead(study)
        given_up = hopeless(study)  # by an earlier call: the cause may be mended
        queue_once(study, searching.space.params(searching.space.shipped), searching.space.shipped)
        repeat_lost(study, failed_too=given_up)
        before = searching.found()
        tell(event="search", study=searching.name, done=len(before.trials), wanted=settings.trials, killed=killed,
             until=until, best=before.best.score if before.best else None)  # fmt: skip
        if settings.jobs > 1:
            in_processes(work, (Project(project.home, project.conf), asked, until), settings.jobs, study)
            lose_dead(study)
            repeat_lost(study)
        try_settings(study, question, circumstances, settings.trials, searching.turn(), settings.other_seeds)
        return searching.found(_again(searching, question, circumstances))


def so_far(project: Project, asked: Asked) -> ModelSearch:
    """What the study has found up to now; nothing is tried, and a search may be at work on it."""
    searching = Searching(project, asked)
    found = searching.found()
    return searching.found(_known_again(searching, found))


def work(project: Project, asked: Asked, until: float | None, goes_on: Any) -> None:
    """One of several processes on one study."""
    searching = Searching(project, asked)
    with answering(), on_threads(project.run().threads):
        try_settings(
            searching.study, searching.question(), searching.circumstances(until, goes_on=goes_on),
            searching.settings.trials, searching.turn(), searching.settings.other_seeds,
        )  # fmt: skip


def apply(project: Project, found: ModelSearch, force: bool = False) -> str:
    """Write the best settings into the model's YAML; what has changed, as a diff.

    Raises ValueError where they are no better than the settings of now, unless `force`; then too where there are none.
    """
    if found.best is None or found.best.settings == found.shipped or not (found.is_better or force):
        hint = "; --force writes it all the same" if found.best and found.best.settings != found.shipped else ""
        raise ValueError(f"nothing better to write into {found.model}.yaml: {found.verdict}{hint}")
    path = project.conf / "models" / f"{found.model}.yaml"
    before = path.read_text(encoding="utf-8")
    changed = {name: value for name, (_, value) in changes(found).items()}
    after = rewritten(before, changed, _told(found))
    replace_text(path, after)
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(path), str(path)))


def _told(found: ModelSearch) -> str:
    """What the YAML says of where its values come from."""
    best, default = found.best, found.default
    assert best is not None
    score = f"{best.score:.4f}" + (f", the settings before {default.score:.4f}" if default else "")
    again = f" Whole trainings again: {found.again}." if found.again else " Not measured on other seeds."
    study, seconds = found.study.rpartition("|")[2], f" of {found.trial_seconds:g} s" if found.trial_seconds else ""
    where = f"by validation {found.metric} on the split {found.split}, study {study}"
    return f"Searched {where}: best of {len(found.trials)} trials{seconds}, {score}.{again}"


def _space(project: Project, model: str, own: Mapping[str, Any] | None) -> Space:
    recipe = project.recipe(model)
    try:
        return Space.of(recipe, own)
    except ValueError as error:
        raise SettingsError(f"{model}: {error}") from error


def _again(searching: Searching, question: Question, circumstances: Circumstances) -> Remeasured | None:
    """The best and the settings of now on other seeds, as kept in the study, or measured now."""
    found = searching.found()
    known, wanted = _known_again(searching, found), searching.settings.other_seeds
    if known and known.is_all_of(wanted):
        return known
    if not found.best or not found.default or found.best.settings == found.shipped:
        return None
    seeds = [searching.seed + OTHER_SEEDS + number for number in range(wanted)]
    scores = (found.default.score, found.best.score)
    whole = replace(circumstances, trial_seconds=searching.project.run().time_budget)
    made = remeasured(question, whole, found.best.settings, scores, seeds)
    if made is None or (known and len(made.seeds) < len(known.seeds)):
        return known
    searching.study.set_user_attr(_pair(searching, found), made.json())
    return made


def _known_again(searching: Searching, found: ModelSearch) -> Remeasured | None:
    told = searching.study.user_attrs.get(_pair(searching, found))
    return Remeasured.from_json(told) if told else None


def _pair(searching: Searching, found: ModelSearch) -> str:
    best = found.best.settings if found.best else None
    return f"again {digest_of([found.shipped, best, searching.settings.other_seeds])[:16]}"
