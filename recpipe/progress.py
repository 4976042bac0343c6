"""News of long work, from wherever it happens to whoever shows it: a terminal, Dagster's log, nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[dict[str, Any]], None]

_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hand all news told inside this context to the listener too."""
    token = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


def tell(**news: Any) -> None:
    """Tell everybody who listens."""
    for listener in _LISTENERS.get():
        listener(news)
