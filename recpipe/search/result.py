"""What a search found: its trials, the best settings beside those of now, what mattered; as JSON and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from recpipe.search import pages
from recpipe.search.dimensions import by_setting
from recpipe.search.remeasuring import Remeasured
from recpipe.search.study import FIGURES, REASON, SETTINGS, finished
from recpipe.storage import VIEWS

FILE, PROPOSAL = "search.json", "proposal.yaml"
ENOUGH, AMONG_THE_BEST = 10, 5
"""Trials below which nothing is said of importance, and how many of them count as the best, or a tenth of all."""


@dataclass(frozen=True)
class Tried:
    """One trial. state: complete, pruned or fail. score: on the validation part; of a pruned one the best epoch's, of a
    failed one 0. reason: why it failed. seconds, epochs: what it took."""

    number: int
    state: str
    score: float
    settings: Mapping[str, Any]
    reason: str = ""
    epochs: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        figures = trial.user_attrs.get(FIGURES, {})
        return cls(
            trial.number, trial.state.name.lower(), trial.value or 0.0, trial.user_attrs[SETTINGS],
            trial.user_attrs.get(REASON, ""), figures.get("epochs", 0), figures.get("seconds", 0.0),
        )  # fmt: skip


@dataclass(frozen=True)
class ModelSearch:
    """study: its name. shipped: the settings of now that are searched. wanted: trials asked for. trial_seconds: after
    which a trial's training was ended. importance: share of each setting in what sets the best trials apart (PED-ANOVA,
    Watanabe et al. 2023), empty where there are too few; again: both on other seeds, None where there was no time or
    the settings of now are the best. measures_again: whether other seeds are asked for."""

    model: str
    split: str
    metric: str
    study: str
    shipped: Mapping[str, Any]
    wanted: int
    trials: tuple[Tried, ...]
    trial_seconds: float | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    again: Remeasured | None = None
    measures_again: bool = True

    @classmethod
    def of(
        cls, study: optuna.Study, model: str, split: str, metric: str, shipped: Mapping[str, Any], wanted: int,
        trial_seconds: float | None = None, again: Remeasured | None = None, measures_again: bool = True,
    ) -> Self:  # fmt: skip
        """The study as it stands."""
        tried = tuple(map(Tried.of, finished(study)))
        name, shares = study.study_name, _importance(study)
        asked = (model, split, metric, name, dict(shipped), wanted)
        return cls(*asked, tried, trial_seconds, shares, again, measures_again)

    @property
    def complete(self) -> list[Tried]:
        """The trials that were measured to their end."""
        return [trial for trial in self.trials if trial.state == "complete"]

    @property
    def default(self) -> Tried | None:
        """The trial of the settings of now; None where it is not done, or failed."""
        return next((trial for trial in self.complete if trial.settings == self.shipped), None)

    @property
    def best(self) -> Tried | None:
        """The highest score, of equal ones the first; None where nothing was measured."""
        return max(self.complete, key=lambda trial: trial.score, default=None)

    @property
    def gain(self) -> float | None:
        """The best's score less that of the settings of now, in the search itself."""
        if self.best is None or self.default is None:
            return None
        return self.best.score - self.default.score

    @property
    def is_better(self) -> bool:
        """Whether the best settings are others than those of now, and better on other seeds too. Trainings that were
        ended early say nothing by themselves: settings that learn fast lead at first."""
        if self.best is None or self.best.settings == self.shipped:
            return False
        if self.again is None:
            return self.trial_seconds is None and (self.gain or 0.0) > 0
        return self.again.gain > 0

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if self.best is None:
            return f"{self.model}: no trial has been measured to its end yet"
        of = f"{len(self.trials)} trials" + (f" of {self.trial_seconds:g} s" if self.trial_seconds else "")
        found = f"{self.model}: best of {of} by validation {self.metric}: {self.best.score:.4f}"
        if self.best.settings == self.shipped:
            return f"{found}, with the settings of now"
        if self.default is None:
            return f"{found}; the settings of now are not measured yet"
        now = f"{found}, {self.gain:+.4f} against the settings of now ({self.default.score:.4f})"
        if self.again:
            return f"{now}; whole trainings again: {self.again}"
        early = f", and trainings ended after {self.trial_seconds:g} s" if self.trial_seconds else ""
        why = "the same command with more minutes does it" if self.measures_again else "other_seeds is 0"
        return f"{now}; not measured on other seeds{early}: {why}"

    def counts(self) -> dict[str, int]:
        """Trials by how they ended."""
        states = ("complete", "pruned", "fail")
        return {state: sum(trial.state == state for trial in self.trials) for state in states}

    def markdown(self) -> str:
        """For Dagster's metadata: the verdict, both settings side by side, the pictures."""
        return pages.markdown(self)

    def write(self, folder: Path) -> None:
        """`search.json`, `proposal.yaml` with what would change, and below `views/` seconds, pictures and a page."""
        told = {key: value for key, value in asdict(self).items() if key != "trials"}
        quick = [{key: value for key, value in asdict(trial).items() if key != "seconds"} for trial in self.trials]
        content = told | {"trials": quick}
        (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / PROPOSAL).write_text(pages.proposal(self), encoding="utf-8")
        views = folder / VIEWS
        views.mkdir()
        seconds = {trial.number: trial.seconds for trial in self.trials}
        (views / "seconds.json").write_text(json.dumps(seconds) + "\n", encoding="utf-8")
        pages.write_pictures(self, views)

    @classmethod
    def read(cls, folder: Path) -> Self:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        seconds = json.loads((folder / VIEWS / "seconds.json").read_text(encoding="utf-8"))
        told["trials"] = tuple(Tried(**trial, seconds=seconds[str(trial["number"])]) for trial in told["trials"])
        told["again"] = Remeasured.from_json(told["again"]) if told["again"] else None
        return cls(**told)


def _importance(study: optuna.Study) -> dict[str, float]:
    """Shares of the settings that vary, by PED-ANOVA, which needs no forest and so no scikit-learn."""
    done = [trial for trial in finished(study) if trial.state is TrialState.COMPLETE]
    if len(done) < ENOUGH:
        return {}
    best = max(0.1, AMONG_THE_BEST / len(done))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best, evaluate_on_local=False)  # of the space as a whole
    shares = get_param_importances(_with_one_range(done), evaluator=evaluator)
    return {name: round(share, 6) for name, share in by_setting(shares).items()}


def _with_one_range(done: list[FrozenTrial]) -> optuna.Study:
    """The same trials, each number as if drawn from the widest of its ranges: other settings of now had another one,
    and PED-ANOVA would look at the trials of each by themselves."""
    widest: dict[str, BaseDistribution] = {}
    for trial in done:
        for name, distribution in trial.distributions.items():
            widest[name] = _wider(widest.get(name, distribution), distribution)
    study = optuna.create_study(direction="maximize")
    for trial in done:
        ranges = {name: widest[name] for name in trial.params}
        study.add_trial(create_trial(params=trial.params, distributions=ranges, value=trial.value))
    return study


def _wider(one: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    if isinstance(one, FloatDistribution) and isinstance(other, FloatDistribution):
        return FloatDistribution(min(one.low, other.low), max(one.high, other.high), one.log)
    if isinstance(one, IntDistribution) and isinstance(other, IntDistribution):
        return IntDistribution(min(one.low, other.low), max(one.high, other.high), one.log)
    return one
