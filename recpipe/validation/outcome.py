"""What a suite found: one check a rule, its name the sentence that must be true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class ValidationFailed(ValueError):
    """A blocking suite found a rule broken; the message names each one."""


@dataclass(frozen=True)
class Check:
    """One rule and what was found.

    name: the sentence that must be true. expected, observed: in words. sample: some of the rows that break it.
    crashed: the rule could not be evaluated at all, which is a failure of another kind; `observed` then says why.
    """

    name: str
    success: bool
    expected: str
    observed: str
    sample: tuple[Mapping[str, Any], ...] = ()
    crashed: bool = False


@dataclass(frozen=True)
class Outcome:
    """All checks of one suite. documents: what Great Expectations returned, for `write_data_docs`."""

    suite: str
    checks: tuple[Check, ...]
    documents: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    @property
    def success(self) -> bool:
        return not self.failures()

    def failures(self) -> tuple[Check, ...]:
        """The checks that failed or crashed."""
        return tuple(check for check in self.checks if not check.success)

    def to_markdown(self) -> str:
        """A table of the checks, and the samples of failing rows below it."""
        lines = [
            f"**{self.suite}**: {len(self.checks) - len(self.failures())} of {len(self.checks)} checks passed",
            "",
            "| | check | wanted | seen |",
            "|---|---|---|---|",
            *(
                f"| {_mark(check)} | {_cell(check.name)} | {_cell(check.expected)} | {_cell(check.observed)} |"
                for check in self.checks
            ),
        ]
        for check in self.failures():
            if check.sample:
                lines += ["", f"Rows that break “{check.name}”:", ""]
                lines += [f"- {_row(row)}" for row in check.sample]
        return "\n".join(lines)

    def raise_if_failed(self) -> None:
        """Raise `ValidationFailed` unless every check passed."""
        failures = self.failures()
        if not failures:
            return
        count = f"{len(failures)} of {len(self.checks)} checks failed"
        raise ValidationFailed("\n".join([f"{self.suite}: {count}", *(f"- {_in_words(check)}" for check in failures)]))


def _in_words(check: Check) -> str:
    if check.crashed:
        return f"“{check.name}” could not be evaluated: {check.observed}"
    rows = f"; for example {_row(check.sample[0])}" if check.sample else ""
    return f"not true: “{check.name}”: wanted {check.expected}, got {check.observed}{rows}"


def _mark(check: Check) -> str:
    return "crashed" if check.crashed else "ok" if check.success else "**FAILED**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
