"""Several processes on one study: no more trials than are wanted, and one that dies is no harm."""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from recpipe.processes import this_process
from recpipe.progress import listening
from recpipe.search.processes import in_processes
from recpipe.search.settings import SearchSettings
from recpipe.search.study import PROCESS, Studies, finished, lose_dead, trials
from recpipe.search.trials import Circumstances, try_settings
from recpipe_tests.search.toys import question


def study_in(folder):
    return Studies(folder).study("toy|holdout|0", SearchSettings(), 0)


def together(folder: Path, jobs: int, goes_on):
    """Six trials, of which each process has one: nobody goes on from its first before all have begun theirs."""
    study = study_in(folder)

    def ahead() -> bool:
        begun = {trial.user_attrs.get(PROCESS) for trial in study.trials}
        return this_process() in begun and len(begun) < jobs

    def all_begun() -> bool:
        while ahead():
            time.sleep(0.05)
        return goes_on()

    try_settings(study, question(), Circumstances(goes_on=all_begun), 6, FileLock(folder / "turn.lock"))


def killed_in_its_trial(folder: Path, goes_on):
    study_in(folder).ask()
    os.kill(os.getpid(), signal.SIGKILL)


def refused(goes_on):
    raise ValueError("the split is too small")


def test_two_processes_share_the_trials_and_each_is_told_of(tmp_path):
    study, news = study_in(tmp_path), []
    with listening(news.append):
        in_processes(together, (tmp_path, 2), 2, study)
    done = finished(study)
    assert len(done) == len(study.trials) == 6
    assert len({trial.user_attrs[PROCESS] for trial in done} - {this_process()}) == 2
    assert len({trial.params["alpha"] for trial in done}) == 6
    told = [each["number"] for each in news if each["event"] == "trial"]
    assert sorted(told) == [trial.number for trial in done]


def test_a_transaction_takes_its_turn_at_its_start_so_that_what_it_read_stays_true(tmp_path):
    storage = Studies(tmp_path).storage()
    other = sqlite3.connect(tmp_path / "studies.db", timeout=0, isolation_level=None)
    with storage.engine.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("begin immediate")
    other.execute("begin immediate")  # its turn now
    other.close()
    storage.engine.dispose()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not of this system")
def test_a_killed_process_is_told_of_and_its_trial_can_be_lost(tmp_path):
    study, news = study_in(tmp_path), []
    with listening(news.append):
        in_processes(killed_in_its_trial, (tmp_path,), 1, study)
    assert [each["what"] for each in news] == ["a process of the search was ended from outside (status -9)"]
    assert len(trials(study)) == 1
    assert lose_dead(study) == 1
    assert trials(study) == []


def test_an_error_in_a_process_is_the_callers(tmp_path):
    with pytest.raises(ValueError, match="ValueError: the split is too small"):
        in_processes(refused, (), 1, study_in(tmp_path))
