"""The best settings and those of now once more, on other seeds: the best of many single trainings was lucky too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any, Self

import numpy as np

from recpipe.evaluation.comparison import Difference, paired_differences
from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.metrics import Values
from recpipe.evaluation.naming import parse_metric
from recpipe.progress import tell
from recpipe.search.trials import REFUSALS, Circumstances, OutOfTime, Question, fitted, told_of

ROUNDING = 1e-12
"""By which the mean of equal scores may differ from each."""


@dataclass(frozen=True)
class Remeasured:
    """seeds: of the trainings. shipped, best: the validation score with each. difference: of best less shipped over the
    validation users, each the mean over the seeds; None without any. same_with_any_seed: nothing random is in the
    model, so that one training is as good as several. refused: other seeds, with why a fit ended without a model."""

    seeds: tuple[int, ...]
    shipped: tuple[float, ...]
    best: tuple[float, ...]
    difference: Difference | None
    same_with_any_seed: bool = False
    refused: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """0 where every seed was refused."""
        return fmean(self.best) - fmean(self.shipped) if self.seeds else 0.0

    def is_all_of(self, wanted: int) -> bool:
        """Whether more trainings would say nothing new, of so many seeds."""
        if self.same_with_any_seed:
            return True
        return bool(self.seeds) and len(self.seeds) + len(self.refused) == wanted

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        difference = Difference(**told["difference"]) if told["difference"] else None
        return cls(tuple(told["seeds"]), tuple(told["shipped"]), tuple(told["best"]), difference,
                   told["same_with_any_seed"], tuple(told.get("refused", ())))  # fmt: skip

    def __str__(self) -> str:
        return "; ".join((self._compared(), *self.refused))

    def _compared(self) -> str:
        apart = self.difference
        if apart is None:
            return "refused on every other seed"
        span = f"difference {apart.mean:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}] over the validation users"
        span += ", which may be chance" if apart.low <= 0 <= apart.high else ""
        if self.same_with_any_seed:
            return f"{self.best[0]:.4f} against {self.shipped[0]:.4f}, the same with any seed; {span}"
        seeds = f"{len(self.seeds)} other seed{'s' if len(self.seeds) > 1 else ''}"
        return f"{_spread(self.best)} against {_spread(self.shipped)} on {seeds}; {span}"


def remeasured(
    question: Question,
    circumstances: Circumstances,
    best: Mapping[str, Any],
    known: tuple[float, float],
    seeds: Sequence[int],
) -> Remeasured | None:
    """Train both with each seed, as long as there is time; None where there was not enough for one seed.

    A seed on which one of the two is refused is left out and told. known: the scores of shipped and best in the
    search: a model that has them again with another seed is not random.
    """
    recipes = (question.space.recipe, question.space.recipe_with(best))
    by_user: list[tuple[Values, Values]] = []
    measured, refused = list[int](), list[str]()
    for seed in seeds:
        tell(event="measuring again", seed=seed, done=len(by_user), wanted=len(seeds))
        try:
            shipped, better = (_per_user(recipe, seed, question, circumstances) for recipe in recipes)
        except OutOfTime:
            break
        except REFUSALS as error:
            refused.append(f"seed {seed}: {told_of(error)}")
            continue
        measured.append(seed)
        by_user.append((shipped, better))
        if _same((float(shipped.mean()), float(better.mean())), known):
            break
    if not by_user:
        return Remeasured((), (), (), None, refused=tuple(refused)) if refused else None
    scores = [(float(shipped.mean()), float(better.mean())) for shipped, better in by_user]
    means = np.mean(np.asarray(by_user), axis=0)
    difference = paired_differences(means[1][:, None], means[0])[0]
    return Remeasured(
        tuple(measured),
        tuple(score for score, _ in scores),
        tuple(score for _, score in scores),
        difference,
        _same(scores[-1], known),
        tuple(refused),
    )


def _same(scores: tuple[float, float], known: tuple[float, float]) -> bool:
    return all(math.isclose(*pair, rel_tol=0.0, abs_tol=ROUNDING) for pair in zip(scores, known, strict=True))


def _per_user(recipe: Any, seed: int, question: Question, circumstances: Circumstances) -> Values:
    """float64 [users]: the metric of every user of the validation part."""

    def report(**numbers: Any) -> None:
        tell(event="training", **numbers)

    scorer = fitted(recipe, seed, question, circumstances, report)
    _, k = parse_metric(question.metric)
    return evaluate(scorer, question.valid, question.train.interactions, (k,)).per_user[question.metric]


def _spread(scores: Sequence[float]) -> str:
    spread = f" ± {stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{fmean(scores):.4f}{spread}"
