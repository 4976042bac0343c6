"""Splitting: which events models learn from and which they must find. Pure functions, interactions in, parts out.

Two rules hold in every strategy.
Ties: interactions are sorted stably by (user, time, order of delivery), and the place in that order decides what is
"last", never the time alone. So equal times keep the order in which the data delivered them, on every machine.
Repeats: what is split are first watches. A later watch of the same film by the same user is dropped, with its reason,
because in another part than the first it would give the answer away; only `full`, which hides nothing, keeps it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError

from recpipe.data.splits.by_date import ByDate
from recpipe.data.splits.by_user import Holdout, LeaveOneOut, RatioTime
from recpipe.data.splits.drawn import Folds, RatioRandom
from recpipe.data.splits.samples import Full, Quick
from recpipe.data.splits.strategy import Promises, Strategy
from recpipe.data.splits.strong import Strong

__all__ = [
    "STRATEGIES",
    "AnyStrategy",
    "ByDate",
    "Folds",
    "Full",
    "Holdout",
    "LeaveOneOut",
    "Promises",
    "Quick",
    "RatioRandom",
    "RatioTime",
    "Strategy",
    "Strong",
    "strategy_from",
]

AnyStrategy: TypeAlias = Holdout | RatioRandom | RatioTime | LeaveOneOut | ByDate | Strong | Folds | Quick | Full

STRATEGIES: dict[str, type[AnyStrategy]] = {
    "holdout": Holdout,
    "ratio_random": RatioRandom,
    "ratio_time": RatioTime,
    "leave_one_out": LeaveOneOut,
    "by_date": ByDate,
    "strong": Strong,
    "folds": Folds,
    "quick": Quick,
    "full": Full,
}


def strategy_from(settings: Mapping[str, Any]) -> AnyStrategy:
    """The strategy that the settings name under `strategy`; ValueError names a wrong key and the nearest valid one."""
    name = settings.get("strategy")
    if not isinstance(name, str) or name not in STRATEGIES:
        raise ValueError(
            f"strategy: wanted one of {', '.join(STRATEGIES)}; got {name!r}{_nearest(str(name), STRATEGIES)}"
        )
    kind = STRATEGIES[name]
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ValueError("; ".join(_in_words(kind, problem) for problem in error.errors())) from error


def _in_words(kind: type[AnyStrategy], problem: Any) -> str:
    key = ".".join(str(step) for step in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']}; got {problem['input']!r}" if key else str(problem["msg"])
    fields = Holdout.model_fields if len(problem["loc"]) > 1 else kind.model_fields
    return f"{key}: unknown setting{_nearest(str(problem['loc'][-1]), fields)}; valid are {', '.join(fields)}"


def _nearest(word: str, valid: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f" (nearest: {near[0]})" if near else ""
