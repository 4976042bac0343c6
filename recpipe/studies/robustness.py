"""How far a model's score and place depend on the split: means, deviations and ranks over folds (B-5).

Folds of one data set share most of their training events, so their scores are not independent: intervals use the
corrected resampled variance (Nadeau and Bengio, 2003). Ranks are compared as in Demšar, 2006.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from recpipe.evaluation.comparison import Difference, Interval, holm
from recpipe.evaluation.metrics import Values
from recpipe.studies.pairs import ALPHA
from recpipe.studies.rank_agreement import kendall_tau


@dataclass(frozen=True, eq=False)
class Robustness:
    """Scores float64 [folds × models], the models in the order of their means, the best first.

    test_to_train: events in a test part over events in its training part, mean over the folds.
    """

    scores: Values
    models: tuple[str, ...]
    folds: tuple[str, ...]
    metric: str
    test_to_train: float

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[str, float]], metric: str, test_to_train: float) -> Robustness:
        """scores: by model, then by fold. Raises ValueError for fewer than two of either, or a missing score."""
        folds = tuple(dict.fromkeys(fold for each in scores.values() for fold in each))
        if len(scores) < 2 or len(folds) < 2:
            raise ValueError(f"robustness wants at least two models on two folds; {len(scores)} on {len(folds)} came")
        missing = [f"{model} on {fold}" for model, each in scores.items() for fold in folds if fold not in each]
        if missing:
            raise ValueError(f"robustness: no score of {', '.join(missing)}; evaluate these first, or leave them out")
        table = {model: np.array([each[fold] for fold in folds]) for model, each in scores.items()}
        models = tuple(sorted(table, key=lambda model: (-table[model].mean(), model)))
        return cls(np.stack([table[model] for model in models], axis=1), models, folds, metric, test_to_train)

    @cached_property
    def ranks(self) -> Values:
        """float64 [folds × models], 1 for the best of a fold; equal scores share the mean of their ranks."""
        ranks: Values = stats.rankdata(-np.round(self.scores, 12), axis=1)
        return ranks

    @cached_property
    def means(self) -> list[Interval]:
        """Each model's mean over folds with its corrected 95 % interval."""
        found = corrected_differences(self.scores, self.test_to_train)
        return [Interval(each.mean, each.low, each.high) for each in found]

    @cached_property
    def to_the_best(self) -> list[Difference]:
        """Each model but the best, less the best, fold by fold: corrected interval, p corrected for all (Holm)."""
        found = corrected_differences(self.scores[:, 1:] - self.scores[:, :1], self.test_to_train)
        p = holm(np.array([each.p for each in found]))
        return [Difference(each.mean, each.low, each.high, float(p_)) for each, p_ in zip(found, p, strict=True)]

    @cached_property
    def friedman_p(self) -> float:
        """p of no difference between the models' ranks (Friedman, 1937); 1 where all scores are equal.

        Too small, since folds are not independent. NaN for two models, for which the test is not made.
        """
        if len(self.models) < 3:
            return float("nan")
        if (self.ranks == self.ranks[0, 0]).all():
            return 1.0
        return float(stats.friedmanchisquare(*self.ranks.T).pvalue)

    @property
    def critical_difference(self) -> float:
        """Mean ranks further apart differ by Nemenyi's test, all pairs together 95 % (Demšar, 2006)."""
        n_folds, n_models = self.scores.shape
        quantile = stats.studentized_range.ppf(1 - ALPHA, n_models, np.inf) / np.sqrt(2)
        return float(quantile * np.sqrt(n_models * (n_models + 1) / (6 * n_folds)))

    @cached_property
    def by_rank(self) -> list[int]:
        """Positions of the models in the order of their mean ranks."""
        order = sorted(range(len(self.models)), key=lambda place: (self.ranks[:, place].mean(), place))
        return order

    def told_apart(self) -> NDArray[np.bool_]:
        """bool [models × models], in the order of mean ranks: further apart than the critical difference."""
        means = self.ranks.mean(axis=0)[self.by_rank]
        apart: NDArray[np.bool_] = np.abs(means[:, None] - means) > self.critical_difference
        return apart

    @cached_property
    def concordance(self) -> float:
        """Kendall's W of the folds' rankings, 0 to 1; ties are corrected for. 0 where nothing is ranked."""
        n_folds, n_models = self.scores.shape
        sums = self.ranks.sum(axis=0)
        spread = ((sums - sums.mean()) ** 2).sum()
        ties = sum(float((counts**3 - counts).sum()) for counts in map(_tied, self.ranks))
        most = n_folds**2 * (n_models**3 - n_models) - n_folds * ties
        return float(12 * spread / most) if most > 0 else 0.0

    @cached_property
    def mean_tau(self) -> float:
        """Mean Kendall's tau of two folds' rankings."""
        first, second = np.triu_indices(len(self.folds), 1)
        rounded = np.round(self.scores, 12)
        return float(kendall_tau(rounded[first], rounded[second]).mean())

    def verdict(self) -> str:
        """What the folds say, in a few sentences."""
        best, firsts = self.models[0], int((self.ranks[:, 0] == 1).sum())
        near = [model for model, each in zip(self.models[1:], self.to_the_best, strict=True) if each.p >= ALPHA]
        told = f"; not told from it: {', '.join(near)}" if near else "; every other model is told from it"
        deviations = self.scores.std(axis=0, ddof=1)
        return (
            f"{best} has the best mean of {self.metric} over {len(self.folds)} folds and is first on {firsts} of "
            f"them{told}. The folds' rankings agree with a mean tau of {self.mean_tau:.3f} (Kendall's W "
            f"{self.concordance:.3f}). Standard deviations over folds are {deviations.min():.4f} "
            f"({self.models[int(deviations.argmin())]}) to {deviations.max():.4f} "
            f"({self.models[int(deviations.argmax())]})."
        )


def corrected_differences(values: Values, test_to_train: float) -> list[Difference]:
    """Means over folds with 95 % t intervals and p of a mean of 0, by the corrected resampled variance.

    values: float64 [folds × columns]. The variance of a mean over J folds is (1 / J + test / train) times the folds'
    variance (Nadeau and Bengio, 2003), where independent ones would have 1 / J alone.
    """
    n_folds = len(values)
    mean = values.mean(axis=0)
    deviation = np.round(values.std(axis=0, ddof=1), 12)  # rounding alone is no deviation
    error = deviation * np.sqrt(1 / n_folds + test_to_train)
    reach = stats.t.ppf(1 - ALPHA / 2, n_folds - 1) * error
    surely = np.where(np.abs(mean) < 1e-12, 1.0, 0.0)  # without any deviation
    p = np.where(error > 0, 2 * stats.t.sf(np.abs(mean) / np.where(error > 0, error, 1.0), n_folds - 1), surely)
    rounded = np.round([mean, mean - reach, mean + reach, p], 12).T
    return [Difference(*map(float, each)) for each in rounded]


def _tied(ranks: Values) -> NDArray[np.int64]:
    """How many models share each rank."""
    return np.unique(ranks, return_counts=True)[1]
