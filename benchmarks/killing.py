"""Kills a build at drawn moments, again and again, until no kill is left; then lets it end."""

from __future__ import annotations

import math
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

BUILD = (sys.executable, "-m", "recpipe", "build")
STARTING, BETWEEN = "start-up, nothing run yet", "between two steps"
LOOK_EVERY = 0.05
"""Seconds between two looks at how far a build has come."""
MADE = re.compile(r"^made (?P<step>\S+)  (?P<seconds>[0-9.]+) s$")
IN_START_UP = 0.08
"""Share of the kills that fall before the build has begun with its first step."""
BY_TIME = 0.2
"""Share of the other kills that fall evenly over the build's time; the rest falls evenly over its steps."""


@dataclass(frozen=True)
class Step:
    """One step of an undisturbed build: its name and its seconds there."""

    name: str
    seconds: float


@dataclass(frozen=True, order=True)
class Moment:
    """When to kill: so many seconds after the step before has ended; negative: before the build's first step."""

    step: int
    seconds: float


@dataclass(frozen=True)
class Kill:
    """What was under way when the build was killed, and how long the process had lived."""

    under_way: str
    seconds: float


@dataclass
class Build:
    """A build in a process group of its own.

    made: steps it said that it has made, with their seconds and the time of the saying. first_run: when its first step
    was seen in Dagster's history.
    """

    process: subprocess.Popen[str]
    began: float
    first_run: float = math.inf
    made: list[tuple[str, float, float]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _listener: threading.Thread | None = None

    @classmethod
    def start(cls, environment: Mapping[str, str], command: Sequence[str] = BUILD) -> Build:
        """Start the command; a thread listens to it."""
        told = {**environment, "NO_COLOR": "1", "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        build = cls(process, time.monotonic())
        build._listener = threading.Thread(target=build._listen, daemon=True)
        build._listener.start()
        return build

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip())
                if told := MADE.match(line.strip()):
                    self.made.append((told["step"], float(told["seconds"]), time.monotonic()))

    def end(self) -> int:
        """Wait for it; its exit status."""
        status = self.process.wait()
        if self._listener is not None:
            self._listener.join()
        return status

    def kill(self) -> bool:
        """SIGKILL to the whole group; False where it had ended by itself."""
        alive = self.process.poll() is None
        if alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.end()
        return alive


def undisturbed(environment: Mapping[str, str]) -> tuple[list[Step], float]:
    """Build to the end: its steps in order, and the seconds before the first began. Raises where the build fails."""
    build = Build.start(environment)
    if build.end() != 0:
        raise RuntimeError("\n".join(build.said))
    steps = [Step(name, seconds) for name, seconds, _ in build.made]
    first = build.made[0]
    return steps, first[2] - build.began - first[1]


def moments(steps: Sequence[Step], start_up: float, kills: int, seed: int) -> list[Moment]:
    """So many moments over the whole build, in its order."""
    drawn = random.Random(seed)
    places = range(len(steps))
    found = []
    for _ in range(kills):
        kind = drawn.random()
        if kind < IN_START_UP:
            found.append(Moment(drawn.choice(places), -start_up * drawn.random()))
            continue
        by_time = kind < IN_START_UP + (1 - IN_START_UP) * BY_TIME
        weights = [step.seconds for step in steps] if by_time else [1.0] * len(steps)
        place = drawn.choices(places, weights)[0]
        found.append(Moment(place, steps[place].seconds * drawn.random()))
    return sorted(found)


def run_and_kill(
    environment: Mapping[str, str],
    steps: Sequence[Step],
    start_up: float,
    planned: Sequence[Moment],
    between: Callable[[int], bool] = lambda number: True,
) -> tuple[list[Kill], Build]:
    """Start a build for each moment and kill it there; then let one end.

    between: called with the number of kills; where it returns False no more come. A moment that a build has passed
    already, or that lies behind its end, is taken in the start-up of the next one.
    """
    kills: list[Kill] = []
    order = {step.name: place for place, step in enumerate(steps)}
    starts = [start_up]
    done = 0
    for moment in planned:
        build = Build.start(environment)
        done = _until(build, moment, order, done, median(starts), Path(environment["RECPIPE_HOME"]))
        if build.kill():
            lived = time.monotonic() - build.began
        else:
            build, lived = _killed_in_start_up(environment, median(starts), moment)
        if build.first_run < math.inf:
            starts.append(build.first_run - build.began)
        kills.append(Kill(under_way(Path(environment["RECPIPE_HOME"]), build.process.pid), lived))
        if not between(len(kills)):
            break
    last = Build.start(environment)
    last.end()
    return kills, last


def _until(build: Build, moment: Moment, order: Mapping[str, int], done: int, start_up: float, home: Path) -> int:
    """Wait for the moment or for the build's end; how many steps are done."""
    while build.process.poll() is None:
        if build.first_run == math.inf and _runs(home / "dagster" / "history" / "runs.db", build.process.pid):
            build.first_run = time.monotonic()
        since = build.first_run
        for name, _, at in list(build.made):
            if order.get(name, -1) >= done:
                done = order[name] + 1
            since = at
        if moment.seconds < 0:
            due = build.began + start_up + moment.seconds
        elif done < moment.step:
            due = math.inf
        else:
            due = since + (moment.seconds if done == moment.step else 0.0)
        if time.monotonic() >= due:
            break
        time.sleep(LOOK_EVERY)
    return max([done, *(order[name] + 1 for name, _, _ in build.made if name in order)])


def _killed_in_start_up(environment: Mapping[str, str], start_up: float, moment: Moment) -> tuple[Build, float]:
    """The build had nothing left to do: one more, killed while it looks around."""
    build = Build.start(environment)
    time.sleep(start_up * (abs(moment.seconds) % 1))
    lived = time.monotonic() - build.began
    if not build.kill():
        raise RuntimeError("\n".join(build.said))
    return build, lived


def under_way(home: Path, pid: int) -> str:
    """Which step a killed build was at, from a copy of Dagster's history: looking must not mend what the kill broke."""
    history = home / "dagster" / "history"
    with tempfile.TemporaryDirectory() as copy:
        for path in history.glob("runs.db*"):
            shutil.copy(path, copy)
        runs = _runs(Path(copy) / "runs.db", pid)
    open_runs = [step for status, step in runs if status not in ("SUCCESS", "FAILURE", "CANCELED")]
    return open_runs[-1] if open_runs else BETWEEN if runs else STARTING


def _runs(database: Path, pid: int) -> list[tuple[str, str]]:
    """Status and step of every run that a process began, in their order; none where the history is being set up."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            return opened.execute(
                "select runs.status, step.value from runs join run_tags process using (run_id) "
                "join run_tags step using (run_id) where process.key = 'recpipe/process' "
                "and process.value like ? and step.key = 'recpipe/step' order by runs.id",
                (f"%-{pid}-%",),
            ).fetchall()
    except sqlite3.OperationalError:
        return []
