"""Several processes on one home folder: one works, the others wait, and all end with the same."""

import os
import shutil
import subprocess
import sys

import pytest

from recpipe.instance import dagster_home
from recpipe.lock import AtWork, only_builder
from recpipe.progress import listening
from recpipe.settings import Project

BUILD = [sys.executable, "-m", "recpipe", "build"]
MATERIALIZE = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "recpipe.defs.definitions",
               "--select", "ensemble_submission"]  # fmt: skip


def contents(project):
    found = (project.store.record(asset, partition) for asset, partition in project.store.places())
    return {record.name: (record.content, record.made_from) for record in found if record}


def forget_the_end(project):
    """Everything from the training of mf on has to be made again."""
    for place in ("trained_model/mf", "evaluation_report/mf", "leaderboard", "ensemble", "ensemble_submission"):
        shutil.rmtree(project.store.root / place)
    project.submission_file.unlink()


def at_once(*commands):
    """Start them together; exit status and output of each."""
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    running = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for words in commands
    ]
    return [(process.communicate()[0], process.returncode) for process in running]


def test_two_builds_and_a_materialisation_at_once_end_well_with_the_same_submission(built, built_once, monkeypatch):
    forget_the_end(built)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(built)))
    done = at_once(BUILD, BUILD, MATERIALIZE)
    assert [status for _, status in done] == [0, 0, 0], done
    assert (
        sum("made trained_model[mf|holdout]" in said for said, _ in done) <= 1
    )  # the materialisation says it otherwise
    before = Project(built_once / "home", built.conf)
    assert contents(built) == contents(before)
    assert built.submission_file.read_bytes() == before.submission_file.read_bytes()


HOLD = """
import sys
from recpipe.lock import only_builder
from recpipe.settings import Project

with only_builder(Project.here()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_is_told_of_waited_for_or_refused_and_given_back_by_a_kill(project):
    other = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(AtWork, match="a build is at work"), only_builder(project, wait=False):
        pass
    heard = []

    def hear(news):
        heard.append(news["event"])
        other.kill()

    with listening(hear), only_builder(project), only_builder(project):  # once more, as a build within a build does
        pass
    assert heard == ["waiting"]
    other.communicate()
