"""One at a time on a home folder: builds, and what removes files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from recpipe.progress import tell
from recpipe.settings import Project


class AtWork(RuntimeError):
    """Another build is at work on this home folder."""


@contextmanager
def only_builder(project: Project, *, wait: bool = True) -> Iterator[None]:
    """Hold the home folder's build lock, which a process may take again while it holds it; a kill gives it back.

    wait: until another build has ended, after telling so; otherwise raises `AtWork`.
    """
    project.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(project.home / "build.lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise AtWork(f"a build is at work on {project.home}; call again when it has ended") from None
        tell(event="waiting", what=f"another build is at work on {project.home}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
