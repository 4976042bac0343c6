"""Runs the peer (RecBole) on parts that we wrote, in its own environment, and reads its figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.parts import Part, Parts

OWN_FIGURES = Path(__file__).with_name("own_figures.py")


class Unfinished(Exception):
    """The peer took more CPU seconds than it was given."""


@dataclass(frozen=True)
class Peer:
    """python: of an environment that holds the peer. script: runs one model and prints one JSON line. limit: CPU
    seconds after which a run is ended, 0 for none."""

    python: Path
    script: Path
    threads: int = 1
    limit: int = 0

    def run(self, model: str, folder: Path, **settings: Any) -> dict[str, Any]:
        """Train and test `model` on the parts under `folder`: what the script tells, and `process_cpu_seconds` and
        `peak_memory_mb` of its process. Raises with the end of its output where it fails, and
        `Unfinished` at the limit."""
        given = {
            "data_path": str(folder.parent),
            "dataset": folder.name,
            "benchmark_filename": ["train", "valid", "test"],
        }
        words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}"
                 for name, value in (given | settings).items()]  # fmt: skip
        environment = os.environ | {"PEER_THREADS": str(self.threads), "OMP_NUM_THREADS": str(self.threads),
                                    "PEER_WORK": str(folder.parent)}  # fmt: skip
        marker = folder / "ratings.dat"
        done = subprocess.run(
            [str(self.python), str(OWN_FIGURES), str(self.limit), str(self.script), str(marker), model, *words],
            capture_output=True, text=True, env=environment, cwd=folder.parent, check=False,
        )  # fmt: skip
        if done.returncode == -signal.SIGXCPU:
            raise Unfinished(f"{model} was not done after {self.limit} CPU seconds")
        if done.returncode:
            raise RuntimeError(f"{model}: the peer failed:\n{done.stderr[-2000:]}")
        told, used = (json.loads(line) for line in done.stdout.strip().splitlines()[-2:])
        return told | used


def write_parts(parts: Parts, folder: Path) -> None:
    """The three parts as RecBole's atomic files: NAME.train.inter and so on; row numbers as tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", Part.TRAIN), ("valid", Part.VALID), ("test", Part.TEST)):
        _write_inter(parts.events(part), folder / f"{folder.name}.{name}.inter")
    _write_inter(parts.interactions, folder / f"{folder.name}.inter")


def _write_inter(events: Interactions, path: Path) -> None:
    columns = np.stack([events.users, events.items, np.ones(len(events), np.int64), events.times], axis=1)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    np.savetxt(path, columns, fmt="%d", delimiter="\t", header=header, comments="")
