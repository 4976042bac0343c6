"""How long a piece of work takes and how much memory it takes at most; how much memory is left."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
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


CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has, or less in a container with a limit."""
    import psutil

    return min([int(psutil.virtual_memory().available), *cgroup_rooms()])


def cgroup_rooms(mounted: Path = CGROUPS, own: Path = OWN_CGROUPS) -> list[int]:
    """Bytes left under every memory limit that Linux control groups set on this process, of version 1 or 2.

    A limit may stand at any group above the process's own. Cached files that can be dropped do not count as taken.
    """
    rooms = []
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = mounted, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = mounted / "memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = root / path.strip("/")
        rooms += [_room(folder, *names) for folder in (group, *group.parents)
                  if folder.is_relative_to(root) and _limited(folder / names[0])]  # fmt: skip
    return rooms


def _limited(limit: Path) -> bool:
    return limit.exists() and limit.read_text().strip() != "max"


def _room(group: Path, limit: str, used: str, droppable: str) -> int:
    limit_bytes, used_bytes = (int((group / name).read_text()) for name in (limit, used))
    counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return max(0, limit_bytes - used_bytes + int(counts.get(droppable, 0)))
