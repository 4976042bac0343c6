"""What benchmarks are asked on the command line: words that several of them have mean the same in each."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from figures import KEPT


def words_of(page: str | None, kept: str | None = None) -> argparse.ArgumentParser:
    """A parser; for a benchmark that keeps its figures in measured/`kept`.jsonl, with --out and --figures.

    page: the script's docstring, shown by --help as it stands.
    """
    words = argparse.ArgumentParser(description=page, formatter_class=argparse.RawDescriptionHelpFormatter)
    if kept:
        words.add_argument("--out", type=Path, help="the page whose tables are replaced")
        default = KEPT / f"{kept}.jsonl"
        words.add_argument("--figures", type=Path, default=default, help="lines measured before, and new ones")
    return words


def add_peer(words: argparse.ArgumentParser, limit: int) -> None:
    """--peer-python, --peer-script and --limit; limit: CPU seconds, 0 for none."""
    words.add_argument("--peer-python", type=Path, help="of an environment with RecBole; without it only ours is run")
    words.add_argument("--peer-script", type=Path)
    help_of_limit = "CPU seconds after which a run of the peer is ended; 0: none"
    words.add_argument("--limit", type=int, default=limit, help=help_of_limit)


def add_threads(words: argparse.ArgumentParser, threads: int = 1) -> None:
    """--threads."""
    words.add_argument("--threads", type=int, default=threads, help="of torch and of what it calls")


def use_threads(threads: int) -> None:
    """So many in this process and those it starts; to be called before anything that computes is loaded."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
