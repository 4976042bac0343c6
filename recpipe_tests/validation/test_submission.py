"""The submission suite: every rule broken once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from recpipe.validation.submission import validate_submission

USERS = np.array(["ann", "bob"], dtype=object)
ITEMS = np.array([10, 11, 12, 13, 14])
SEEN = sparse.csr_matrix(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=np.float32))
GOOD = [("ann", 11, 0.9), ("ann", 12, 0.8), ("bob", 10, 0.7), ("bob", 11, 0.1)]


def failures(rows: list[tuple[str, int, float]]) -> list[str]:
    users, items, scores = zip(*rows, strict=True)
    table = pa.table({"user": users, "item": items, "score": scores})
    outcome = validate_submission(table, 2, USERS, ITEMS, SEEN)
    assert not any(check.crashed for check in outcome.checks)
    return [check.name for check in outcome.failures()]


def test_a_good_submission_passes_with_and_without_scores() -> None:
    assert failures(GOOD) == []
    table = pa.table({"user": ["ann", "ann", "bob", "bob"], "item": [11, 12, 10, 11]})
    outcome = validate_submission(table, 2, USERS, ITEMS, SEEN)
    assert outcome.success and len(outcome.checks) == 7


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        (GOOD[:-1], ["every user has exactly 2 films"]),
        ([*GOOD, ("bob", 13, 0.0)], ["every user has exactly 2 films"]),
        (GOOD[:2], ["every expected user has films"]),
        ([*GOOD, ("eve", 11, 0.5), ("eve", 12, 0.4)], ["every user is known"]),
        ([*GOOD[:3], ("bob", 99, 0.1)], ["every film is known"]),
        (
            [("eve", 99, 0.5), ("eve", 98, 0.4)],
            ["every expected user has films", "every user is known", "every film is known"],
        ),
        ([*GOOD[:3], ("bob", 10, 0.1)], ["no film stands twice for one user"]),
        ([*GOOD[:3], ("bob", 14, 0.1)], ["no film has been seen by its user"]),
        ([*GOOD[:3], ("bob", 11, float("nan"))], ["every score is finite"]),
        ([*GOOD[:3], ("bob", 11, float("inf"))], ["every score is finite"]),
    ],
)
def test_a_broken_rule_is_named(rows: list[tuple[str, int, float]], broken: list[str]) -> None:
    assert failures(rows) == broken


def test_a_missing_column_is_named_and_a_seen_matrix_of_other_users_refused() -> None:
    outcome = validate_submission(pa.table({"user": ["ann"]}), 2, USERS, ITEMS, SEEN)
    assert [check.name for check in outcome.failures()] == ["the submission has the columns user and item"]
    with pytest.raises(ValueError, match="wanted 2 × 5"):
        validate_submission(pa.table({"user": ["ann"], "item": [1]}), 2, USERS, ITEMS, SEEN[:1])
