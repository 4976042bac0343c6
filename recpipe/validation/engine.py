"""Rules on a table, evaluated by Great Expectations in memory: no project folder, no progress bars, nothing sent."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from recpipe.validation.outcome import Check, Outcome

SAMPLE = 10
"""Failing rows that are shown."""


@dataclass(frozen=True)
class Rule:
    """An expectation of Great Expectations, by class name and arguments; `name` is the sentence that must be true."""

    name: str
    expectation: str
    arguments: Mapping[str, Any]
    expected: str


@dataclass(frozen=True)
class Fact:
    """A number or word that was computed beforehand, and what it has to be.

    name: the sentence that is true when it is. least, most: bounds of a number, both included. one_of: the words
    allowed. unit: of the number. note: beside what was observed. wanted: in words, where the bounds do not tell.
    sample: rows that break the rule.
    """

    name: str
    value: float | str
    least: float | None = None
    most: float | None = None
    one_of: tuple[str, ...] = ()
    unit: str = ""
    note: str = ""
    wanted: str = ""
    sample: tuple[Mapping[str, Any], ...] = field(default=())

    def rule(self) -> Rule:
        """The expectation on a column of this name."""
        if self.one_of:
            arguments = {"column": self.name, "value_set": list(self.one_of)}
            return Rule(self.name, "ExpectColumnValuesToBeInSet", arguments, " or ".join(self.one_of))
        if isinstance(self.value, float) and not np.isfinite(self.value):
            raise ValueError(f"the fact “{self.name}” came out as {self.value}: an expectation would let that pass")
        bounds = {"column": self.name, "min_value": self.least, "max_value": self.most}
        return Rule(self.name, "ExpectColumnValuesToBeBetween", bounds, self.wanted or self._bounds())

    def observed(self) -> str:
        value = self.value if isinstance(self.value, str) else _number(self.value)
        return " ".join(part for part in (value, self.unit, f"({self.note})" if self.note else "") if part)

    def _bounds(self) -> str:
        if self.least is None:
            return "none" if self.most == 0 else f"at most {_number(self.most or 0)}"
        if self.most is None:
            return f"at least {_number(self.least)}"
        return f"{_number(self.least)} to {_number(self.most)}"


def judge_facts(suite: str, facts: Sequence[Fact]) -> Outcome:
    """Evaluate facts as a table of one row, a column a fact."""
    frame = pd.DataFrame({fact.name: [fact.value] for fact in facts})
    results, document = _evaluate(suite, frame, [fact.rule() for fact in facts])
    checks = tuple(
        _crashed(fact.rule(), result)
        or Check(
            fact.name,
            result["success"],
            fact.rule().expected,
            fact.observed(),
            () if result["success"] else fact.sample,
        )
        for fact, result in zip(facts, results, strict=True)
    )
    return Outcome(suite, checks, (document,))


def great_expectations() -> ModuleType:
    """The library, loaded at first use: it takes three seconds of CPU."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated", DeprecationWarning)
        import great_expectations.expectations

        return great_expectations


def _evaluate(suite: str, frame: pd.DataFrame, rules: Sequence[Rule]) -> tuple[list[dict[str, Any]], Any]:
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    expectations = [
        getattr(gx.expectations, rule.expectation)(**rule.arguments, description=rule.name, meta={"position": position})
        for position, rule in enumerate(rules)
    ]
    asset = context.data_sources.add_pandas(suite).add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
    document = batch.validate(gx.ExpectationSuite(name=suite, expectations=expectations), result_format="BASIC")
    results = [result.to_json_dict() for result in document.results]  # crashed ones come first, not in their place
    return sorted(results, key=lambda result: int(result["expectation_config"]["meta"]["position"])), document


def rows_of(frame: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """The first rows, as plain Python values; missing ones are None."""
    first = frame.head(SAMPLE)
    return tuple(
        {
            str(name): None if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
            for name, value in row.items()
        }
        for row in first.to_dict("records")
    )


def _crashed(rule: Rule, result: dict[str, Any]) -> Check | None:
    information = result.get("exception_info") or {}
    reports = [information] if "raised_exception" in information else list(information.values())
    messages = [str(report["exception_message"]) for report in reports if report.get("raised_exception")]
    return Check(rule.name, False, rule.expected, messages[0], crashed=True) if messages else None


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int | np.integer) or float(value).is_integer() else f"{value:.4g}"
