"""One piece of work in a process of its own, on so many threads: what it took, and what it tells.

The script that measures calls itself, or another Python's script: `told(command)`. There the work stands inside
`Taken()`, whose figures are printed as the last line. So no piece profits from memory or caches of another, and a peer
that needs other versions has its own environment. This file needs the standard library alone, for the peers' sake.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "PEER_THREADS")


class Failed(RuntimeError):
    """The process ended with an error: the end of what it said."""


class Taken:
    """A context: afterwards `figures`, with `seconds` (wall), `cpu_seconds` (all threads) and `peak_memory_mb`, the
    largest resident size inside it above the size at its start, exact on Linux. Not to be nested."""

    def __enter__(self) -> Taken:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not taken
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the largest size begins anew
        self._memory = _resident("VmRSS")
        self._cpu, self._clock = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds, cpu_seconds = time.perf_counter() - self._clock, _cpu_seconds() - self._cpu
        peak = (_resident("VmHWM") - self._memory) / 1024
        self.figures = {
            "seconds": round(seconds, 4), "cpu_seconds": round(cpu_seconds, 4), "peak_memory_mb": round(peak, 1),
        }  # fmt: skip


def told(command: Sequence[str | Path], threads: int = 1, limit: float | None = None) -> dict[str, Any]:
    """The JSON of the last line that the command prints. Raises `Failed` with the end of its errors, and
    `subprocess.TimeoutExpired` after `limit` seconds."""
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    done = subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, check=False, timeout=limit
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def told_by_own(script: str, *words: object, threads: int = 1, limit: float | None = None) -> dict[str, Any]:
    """`told` by this Python running the script with these words."""
    return told([sys.executable, script, *map(str, words)], threads, limit)


def machine() -> str:
    """Processor, cores, memory, system: for the page on which the figures stand."""
    cpu = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
               if line.startswith("model name"))  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident(name: str) -> int:
    """KiB: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
