"""Trials of one study, one after another: settings drawn, a model fitted, its validation score told.

Nothing here has the test part: what is measured on is handed over as held-out films.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from recpipe.claims import room_for
from recpipe.data.parts import HeldOut
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import validator
from recpipe.progress import tell
from recpipe.recipe import Recipe, Run, Scorer
from recpipe.search.space import Space
from recpipe.search.study import FIGURES, REASON, begin, finished, hopeless, trials
from recpipe.training.endings import cut_short
from recpipe.training.journal import Journal

REFUSALS = (ValueError, ArithmeticError, LookupError, MemoryError, RuntimeError)
"""What settings may do to a fit: refused by the recipe, too large, unsolvable. The search goes on without them."""


class OutOfTime(RuntimeError):
    """The search's time ended in the middle of a training: what it has learned says nothing about its settings."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is searched. valid: what a trial is measured on, by `metric`, higher is better. seeds: of a trial's
    trainings, whose mean counts."""

    space: Space
    train: TrainingSet
    valid: HeldOut
    metric: str
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Circumstances:
    """Under what trials run. trial_seconds: a training at most. until: Unix time at which all ends. claims: the folder
    in which trainings claim memory. goes_on: whether the search is still wanted, asked after every epoch."""

    device: str = "cpu"
    trial_seconds: float | None = None
    until: float | None = None
    memory_budget: int | None = None
    claims: Path | None = None
    mixed_precision: bool = False
    goes_on: Callable[[], bool] = lambda: True

    @property
    def seconds_left(self) -> float | None:
        return None if self.until is None else self.until - time.time()

    def run(self, seed: int, report: Callable[..., None], validate: Callable[[Scorer], float]) -> Run:
        """The run of one training. Raises `OutOfTime` where none can begin."""
        left = self.seconds_left
        if (left is not None and left <= 0) or not self.goes_on():
            raise OutOfTime
        budgets = [seconds for seconds in (left, self.trial_seconds) if seconds is not None]
        return Run(
            seed=seed, device=self.device, mixed_precision=self.mixed_precision,
            time_budget=min(budgets, default=None), memory_budget=self.memory_budget, report=report, validate=validate,
        )  # fmt: skip


def try_settings(
    study: optuna.Study, question: Question, circumstances: Circumstances, wanted: int, turn: FileLock, spare: int = 0
) -> None:
    """Try settings until `wanted` trials of the study count or are under way, or the time is up.

    turn: held while a trial begins, so that processes begin no more than are wanted. spare: trainings of the best and
    of the first settings that are to be done afterwards, for which time is left, half of what there is at most.
    Raises ValueError where the first trials all fail.
    """
    at_first = circumstances.seconds_left
    while True:
        left = circumstances.seconds_left
        kept_back = 0.0 if at_first is None else min(_seconds_for(study, spare), at_first / 2)
        if (left is not None and left <= kept_back) or not circumstances.goes_on():
            return
        with turn:
            if len(trials(study)) >= wanted:
                return
            trial = study.ask()
            settings = question.space.suggested(trial)
            begin(trial, settings)
        _try(study, trial, settings, question, circumstances)
        _stop_where_hopeless(study)


def fitted(
    recipe: Recipe, seed: int, question: Question, circumstances: Circumstances, report: Callable[..., None]
) -> Scorer:
    """One training under the circumstances. Raises `OutOfTime` where the end of the search cut it, or a part of it,
    short."""
    validate = validator(question.valid, question.metric)
    journal = Journal(listener=report)
    run = circumstances.run(seed, journal.report, validate)
    with room_for(recipe, question.train, run, circumstances.claims):
        scorer = recipe.fit(question.train, run)
    cut = cut_short(journal.closing) and run.time_budget != circumstances.trial_seconds
    if cut or not circumstances.goes_on():
        raise OutOfTime
    return scorer


def told_of(refusal: Exception) -> str:
    """What a fit was refused by, on one line."""
    return f"{type(refusal).__name__}: {refusal}".splitlines()[0]


class _Watch:
    """Hears the epochs of a trial's trainings, tells them on, and where it `prunes`, does so by those of the first."""

    def __init__(self, trial: optuna.Trial, circumstances: Circumstances, prunes: bool) -> None:
        self._trial, self._circumstances, self._prunes = trial, circumstances, prunes
        self.epochs = 0
        self.best: float | None = None
        self.first = True

    def hear(self, **numbers: Any) -> None:
        tell(event="training", trial=self._trial.number, **numbers)
        if not self._circumstances.goes_on():
            raise OutOfTime
        valid = numbers.get("valid")
        if "epoch" not in numbers or valid is None or not self.first:
            return
        self.epochs, self.best = numbers["epoch"], valid if self.best is None else max(self.best, valid)
        self._trial.report(self.best, self.epochs)  # the best so far is what early stopping would keep
        if self._prunes and self._trial.should_prune():
            raise optuna.TrialPruned


def _try(
    study: optuna.Study, trial: optuna.Trial, settings: dict[str, Any], question: Question, circumstances: Circumstances
) -> None:
    """Measure, and tell the study: also where the process is interrupted, so that nothing stays under way. The settings
    of now are measured to the end: all others are compared with them."""
    tell(event="trial begins", number=trial.number, settings=settings)
    state, score, scores, reason = TrialState.FAIL, None, list[float](), ""
    watch = _Watch(trial, circumstances, prunes=settings != question.space.shipped)
    started = time.monotonic()
    validate = validator(question.valid, question.metric)
    try:
        recipe = question.space.recipe_with(settings)
        for seed in question.seeds:
            scores.append(validate(fitted(recipe, seed, question, circumstances, watch.hear)))
            watch.first = False
        state, score = TrialState.COMPLETE, float(np.mean(scores))
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except OutOfTime:
        pass  # fails without a reason: lost, and repeated another time
    except REFUSALS as error:
        reason = told_of(error)
        trial.set_user_attr(REASON, reason)
    finally:
        seconds = time.monotonic() - started
        trial.set_user_attr(FIGURES, {"seconds": round(seconds, 3), "epochs": watch.epochs, "scores": scores})
        study.tell(trial, score, state)
    told = watch.best if score is None else score
    tell(event="trial", number=trial.number, state=state.name.lower(), score=told, settings=settings, seconds=seconds,
         reason=reason)  # fmt: skip


def _seconds_for(study: optuna.Study, trainings: int) -> float:
    """What so many trainings of the best and of the first settings would take, as their trials took."""
    done = [trial for trial in finished(study) if trial.state is TrialState.COMPLETE]
    if not done or not trainings:
        return 0.0
    compared: list[FrozenTrial] = [done[0], max(done, key=lambda trial: trial.value or 0.0)]
    if compared[0] is compared[1]:
        return 0.0  # nothing is better yet
    return trainings * sum(trial.user_attrs[FIGURES]["seconds"] for trial in compared)


def _stop_where_hopeless(study: optuna.Study) -> None:
    if hopeless(study):
        failed = finished(study)
        raise ValueError(f"the first {len(failed)} trials failed, so it is not their settings: "
                         f"{failed[0].user_attrs[REASON]}")  # fmt: skip
