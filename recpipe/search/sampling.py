"""Which settings a trial tries: tree-structured Parzen estimators, their random numbers from the trial's number.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; all settings jointly, as Optuna has it by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState


class SeededByTrial(BaseSampler):
    """A fresh TPE for each trial: the same trials before it and the same number give the same settings.

    So a search that goes on in another process draws nothing twice, and one process alone always draws the same.
    """

    def __init__(self, seed: int, drawn_first: int) -> None:
        self._seed, self._drawn_first = seed, drawn_first
        self._of_trial = TPESampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        seed = int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0])
        self._of_trial = TPESampler(seed=seed, n_startup_trials=self._drawn_first)
        self._of_trial.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._of_trial.after_trial(study, trial, state, values)
