"""How long a piece of work takes and how much memory it takes at most."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

INTERVAL = 0.05
"""Seconds between two looks at the memory."""


@dataclass
class Measured:
    """A context: afterwards `seconds` (wall), `cpu_seconds` (all threads), `peak_memory_mb` (resident, above start)."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._start_memory = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._start, self._cpu_start = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = round(time.perf_counter() - self._start, 3)
        self.cpu_seconds = round(time.process_time() - self._cpu_start, 3)
        self._done.set()
        self._watcher.join()
        self._look()
        self.peak_memory_mb = round((self._peak - self._start_memory) / 2**20, 1)

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)

    def figures(self) -> dict[str, float]:
        """The three numbers by name."""
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "peak_memory_mb": self.peak_memory_mb}
