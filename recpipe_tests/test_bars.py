"""Rows of docs/performance.md: what is met and what is open follows from the figures."""

import importlib

import pytest

from recpipe.settings import PACKAGE


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE.parent / "benchmarks"))
    return importlib.import_module("bars")


@pytest.mark.parametrize(
    ("ours", "verdicts"),
    [(1.0, [True, True]), (1.5, [True, True]), (2.0, [False, True]), (3.5, [False, False])],
)
def test_a_bar_is_met_up_to_its_own_figure(bars, ours, verdicts):
    row = bars.Row("work", ours, peer=6.0, limit=1.0, most_of_limit=1.5, least_of_peer=2.0)
    assert [met for _, met in row.verdicts()] == verdicts


def test_a_bar_without_its_other_side_tells_nothing_and_its_own_bounds_do(bars):
    row = bars.Row(
        "work", 1.0, least_of_peer=2.0, bounds=(("peak 900 of 1,000 MB", True), ("constant in users", False))
    )
    assert list(row.verdicts()) == [("peak 900 of 1,000 MB", True), ("constant in users", False)]


def test_the_table_marks_what_is_open_and_a_peer_that_was_ended(bars):
    row = bars.Row("fit", 4.0, peer=6.0, peer_name="implicit", limit=2.0, limit_name="BLAS", most_of_limit=1.5,
                   peer_unfinished=True)  # fmt: skip
    *_, line = bars.table([row])
    assert line == "| fit | 4 CPU s | >6 (implicit) | 2 (BLAS) | 2 | >1.5 | **open:** ≤ 1.5 × limit |"
