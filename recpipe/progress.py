"""News of long work, from wherever it happens to whoever shows it: a terminal, Dagster's log, nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


def epoch_in_words(row: Mapping[str, Any]) -> str:
    """`epoch 3 of at most 300, loss 0.1234, validation 0.2345, at most 41 s left, 612 MiB`, as far as it is known."""
    of = f" of at most {row['epochs']}" if row.get("epochs") else ""
    told = [f"epoch {row['epoch']}{of}", f"loss {row['loss']:.4f}"]
    if row.get("valid") is not None:
        told.append(f"validation {row['valid']:.4f}")
    if row.get("seconds_left") is not None:
        told.append(f"at most {duration(row['seconds_left'])} left")
    if row.get("peak_memory_mb") is not None:
        told.append(f"{row['peak_memory_mb']:,.0f} MiB")
    return ", ".join(told)


def duration(seconds: float) -> str:
    """`0.5 s`, `41 s`, `12 min`, `3.5 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
