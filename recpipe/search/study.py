"""A study on a data base that several processes share, and that a kill leaves whole: its trials, which of them count.

Optuna's own heartbeat is not used: it is for `optimize`, and where trials are asked for and told it does nothing. A
trial carries its process instead, and one whose process is gone is known at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from recpipe.processes import lives, this_process
from recpipe.search.sampling import SeededByTrial
from recpipe.search.settings import SearchSettings

PROCESS, AGAIN, SETTINGS, FIGURES, REASON = "process", "again", "settings", "figures", "reason"
"""What a trial carries beside its parameters: who tries it, which other one it repeats, its settings as a YAML has
them, what was measured, why it failed. One that failed without a reason was lost: its process was killed, or time was
up."""

HOPELESS = 3
"""Trials that may fail at the start of a study before it is given up: then it is not the settings."""

BUSY = 60.0
"""Seconds that a process waits for its turn at the SQLite file."""


class NoStorage(OSError):
    """The data base of the searches does not answer."""


@dataclass(frozen=True)
class Studies:
    """All studies of a home folder. folder: for locks, and for the SQLite file where no `url` is given."""

    folder: Path
    url: str = ""

    def storage(self) -> RDBStorage:
        """The data base, made where there is none. Raises `NoStorage`, which never tells the address."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            answering(ImportError),
            FileLock(self.folder / "studies.lock"),
        ):  # two that make the tables at once would collide
            if self.url:
                return RDBStorage(self.url, {"pool_pre_ping": True})
            return _sqlite(self.folder / "studies.db")

    def study(self, name: str, settings: SearchSettings, seed: int) -> optuna.Study:
        """A study of this name, made where there is none."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = self.storage()
        with answering():
            return optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                sampler=SeededByTrial(seed, settings.drawn_first),
                pruner=_pruner(settings),
            )

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Inside, no other command on this machine goes on with the study. Raises ValueError where one does."""
        lock = FileLock(self.folder / f"{name.replace('|', '.')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another search goes on with the study {name}; `recpipe search MODEL --show` tells how far it is"
            ) from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def answering(*more: type[Exception]) -> Iterator[None]:
    """Errors of the data base inside, and `more`, become `NoStorage`, which never tells an address or a statement."""
    refused: tuple[type[Exception], ...] = (SQLAlchemyError, StorageInternalError, *more)
    try:
        yield
    except refused as error:
        what = "does not answer or cannot be used"
        if isinstance(error, ImportError):
            what = "needs a driver that is not installed (for PostgreSQL: pip install 'recpipe[postgres]')"
        raise NoStorage(
            f"the data base of the searches {what}: look at `storage` of conf/search.yaml or RECPIPE_SEARCH_STORAGE; "
            "trials that were told before are kept"
        ) from None


def trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials that count, in the order in which they began: not those that wait, were lost or are repeated."""
    everything = study.get_trials(deepcopy=False)
    repeated = _repeated(everything)
    return [trial for trial in everything
            if trial.state is not TrialState.WAITING and not _lost(trial) and trial.number not in repeated]  # fmt: skip


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count and are not under way."""
    return [trial for trial in trials(study) if trial.state.is_finished()]


def hopeless(study: optuna.Study) -> bool:
    """Whether the trials have failed, every one."""
    done = finished(study)
    return len(done) >= HOPELESS and all(trial.state is TrialState.FAIL for trial in done)


def begin(trial: optuna.Trial, settings: Mapping[str, Any]) -> None:
    """Note who tries which settings."""
    trial.set_user_attr(PROCESS, this_process())
    trial.set_user_attr(SETTINGS, dict(settings))


def lose_dead(study: optuna.Study) -> int:
    """Lose the trials of processes that are gone; how many there were. The caller holds the study's lock."""
    dead = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if _is_dead(trial)]
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(dead)


def repeat_lost(study: optuna.Study, failed_too: bool = False) -> None:
    """Queue the settings of every lost trial that no other repeats yet; of failed ones where these are wanted too."""
    everything = study.get_trials(deepcopy=False)
    repeated = _repeated(everything)
    for trial in everything:
        again = _lost(trial) or (failed_too and trial.state is TrialState.FAIL)
        if again and trial.number not in repeated:
            known = {SETTINGS: trial.user_attrs[SETTINGS]} if SETTINGS in trial.user_attrs else {}
            study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number, **known})


def queue_once(study: optuna.Study, params: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Queue settings that no trial has that was measured to its end, is under way or waits. One of theirs that was
    lost, failed or was pruned is so repeated."""
    everything = study.get_trials(deepcopy=False)
    theirs = [trial for trial in everything if trial.user_attrs.get(SETTINGS) == settings]
    if any(trial.state not in (TrialState.FAIL, TrialState.PRUNED) for trial in theirs):
        return
    again = {AGAIN: theirs[-1].number} if theirs else {}
    study.enqueue_trial(dict(params), user_attrs={SETTINGS: dict(settings), **again})


def _repeated(trials: Iterable[FrozenTrial]) -> set[int]:
    """The numbers of those that others repeat."""
    return {trial.user_attrs[AGAIN] for trial in trials if AGAIN in trial.user_attrs}


def _lost(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.FAIL and REASON not in trial.user_attrs


def _is_dead(trial: FrozenTrial) -> bool:
    process = trial.user_attrs.get(PROCESS)
    return process is None or lives(process) is False


def _pruner(settings: SearchSettings) -> BasePruner:
    after = settings.pruning_after
    if settings.pruning == "none":
        return NopPruner()
    return MedianPruner(after, after, n_min_trials=after or 1)  # late epochs are reached by a few good trials alone


def _sqlite(path: Path) -> RDBStorage:
    """A file for several processes: each transaction waits for its turn at its start.

    One that reads first and writes later could not wait: what it has read may be gone, and SQLite refuses at once.
    """
    storage = RDBStorage(f"sqlite:///{path}", {"connect_args": {"timeout": BUSY}})

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def manual(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("pragma journal_mode=wal")

    @sqlalchemy.event.listens_for(storage.engine, "begin")
    def take_turn(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("begin immediate")

    storage.engine.dispose()  # connections made before know nothing of turns
    return storage
