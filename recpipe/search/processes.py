"""Several processes on one study: begun, watched, and ended when whoever began them is gone."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from typing import Any

import optuna

from recpipe.progress import tell
from recpipe.search.study import FIGURES, REASON, SETTINGS, finished
from recpipe.search.trials import REFUSALS

PAUSE = 0.5
"""Seconds between two looks at the study."""


def in_processes(work: Callable[..., None], given: tuple[Any, ...], jobs: int, study: optuna.Study) -> None:
    """Call `work(*given, goes_on)` in each of so many new processes, and tell of the trials that they finish.

    Raises ValueError with the first error that a process ended by; one that is killed is told of, and no error: its
    trial is to be lost by the caller.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share locks and connections
    errors = context.SimpleQueue()
    processes = [context.Process(target=_worker, args=(work, given, errors), daemon=True) for _ in range(jobs)]
    known = {trial.number for trial in finished(study)}
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            time.sleep(PAUSE)
            known |= _told(study, known)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    _told(study, known)
    if not errors.empty():
        raise ValueError(errors.get())
    for process in processes:
        if process.exitcode:
            tell(event="waiting", what=f"a process of the search was ended from outside (status {process.exitcode})")


def _worker(work: Callable[..., None], given: tuple[Any, ...], errors: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all at once; the one who began them ends them
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        work(*given, parent.is_alive)
    except (*REFUSALS, OSError) as error:
        errors.put(f"{type(error).__name__}: {error}")


def _told(study: optuna.Study, known: set[int]) -> set[int]:
    """Tell of the trials that have ended since; their numbers."""
    new = [trial for trial in finished(study) if trial.number not in known]
    for trial in new:
        tell(event="trial", number=trial.number, state=trial.state.name.lower(), score=trial.value,
             settings=trial.user_attrs[SETTINGS], seconds=trial.user_attrs[FIGURES]["seconds"],
             reason=trial.user_attrs.get(REASON, ""))  # fmt: skip
    return {trial.number for trial in new}
