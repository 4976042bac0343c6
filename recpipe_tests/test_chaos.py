"""Killed in three steps, a build ends with the same bytes; `make chaos` does it a hundred times on the sample."""

import shutil

import pytest

from recpipe.settings import PACKAGE, Project

LINE = ("trained_model[mf|holdout]", "evaluation_report[mf|holdout]", "leaderboard[holdout]", "ensemble",
        "ensemble_submission")  # fmt: skip


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE.parent / "benchmarks"))


def test_kills_in_three_steps_change_nothing_and_leave_nothing(built, built_once, benchmarks):
    from chaos import chaos
    from killing import Moment, Step

    for place in ("trained_model/mf", "evaluation_report/mf", "leaderboard", "ensemble", "ensemble_submission"):
        shutil.rmtree(built.store.root / place)
    steps = [Step(name, 0.5) for name in LINE]
    planned = [Moment(1, 0.05), Moment(3, 0.05), Moment(4, 0.05)]  # each after its build has made something
    found = chaos(built.home, built.conf, built_once / "home", (steps, 2.0), planned, minutes=5)
    assert found.wrong == []
    assert len(found.kills) == 3
    assert found.reads > 0


def test_what_is_not_whole_is_found(built, built_once, benchmarks):
    from standing import differences, orphans, read_all

    before = Project(built_once / "home", built.conf)
    assert differences(built, before) == []
    assert orphans(built) == []
    assert read_all(built) > 20
    folder = built.store.folder("trained_model", "ease|holdout")
    (folder.parent / "v-000000-1-1-01234567").mkdir()
    (folder.parent / "v-000000-1-1-01234567" / "half").write_text("x")
    (built.home / ".submission.csv.000000-1-1-01234567").write_text("x")
    assert len(orphans(built)) == 2
    built.submission_file.write_text("user,item\n7")
    (folder / "recipe.json").write_text("{}")
    assert differences(built, before) == [
        "trained_model[ease|holdout]: its files are not what its record says",
        "submission.csv: other bytes",
    ]
    with pytest.raises(RuntimeError, match="its files are not what its record says"):
        read_all(built)


def test_the_note_of_an_attempt_belongs_to_an_artifact_of_the_line_that_could_not_be_made(built, benchmarks):
    from standing import orphans

    for place in ("trained_model/mf/full", "trained_model/nobody/full"):
        (built.store.root / place).mkdir(parents=True)
        (built.store.root / place / "attempt.json").write_text("{}")
    assert len(orphans(built)) == 2
    assert orphans(built, build_failed=True) == ["artifacts/trained_model/nobody/full/attempt.json"]


def test_moments_lie_all_over_the_line_in_its_order_and_are_the_same_for_a_seed(benchmarks):
    from killing import Step, moments

    steps = [Step("short", 0.5), Step("long", 20.0), Step("last", 1.0)]
    drawn = moments(steps, 3.0, 300, seed=1)
    assert drawn == sorted(drawn) == moments(steps, 3.0, 300, seed=1)
    assert {moment.step for moment in drawn} == {0, 1, 2}
    assert all(-3.0 <= moment.seconds < steps[moment.step].seconds for moment in drawn)
    assert 5 < sum(moment.seconds < 0 for moment in drawn) < 50
