"""A process's name, carried by what it has not finished, so that others can tell whether it still lives."""

from __future__ import annotations

import hashlib
import re
import socket

PROCESS = r"[0-9a-f]{6}-\d+-\d+"
"""How the name of a process looks: host, number, start."""

CLOCK_SET = 5.0
"""Seconds by which the start of one process may seem to move where the clock is set."""


def this_process() -> str:
    """`host-number-start` of this process: six hexadecimal digits for the host, the start in Unix seconds."""
    import psutil

    own = psutil.Process()
    return f"{_host()}-{own.pid}-{int(own.create_time())}"


def lives(process: str) -> bool | None:
    """Whether a process is there, even where its number was given to another since; None for other machines' ones.

    Raises ValueError for what is no name of a process.
    """
    import psutil

    if re.fullmatch(PROCESS, process) is None:
        raise ValueError(f"host-number-start was wanted, {process!r} came")
    host, number, start = process.split("-")
    if host != _host():
        return None
    try:
        found = psutil.Process(int(number))
        return found.status() != psutil.STATUS_ZOMBIE and abs(found.create_time() - int(start)) < CLOCK_SET
    except psutil.NoSuchProcess:
        return False


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
