"""A step that fails for a reason that may pass runs again, twice at most; one whose reason lasts fails at once."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import dagster as dg

from recpipe.progress import tell

PACE = dg.RetryPolicy(max_retries=2, delay=0.5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""About half a second before the second attempt, one and a half before the third. No asset has it as its policy: there
it would hold for every error, and Ctrl-C in the middle of a training would start it again."""

LASTING = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Errors of the system that a second attempt meets again."""

B = TypeVar("B", bound=Callable[..., Any])


def may_pass(error: Exception) -> bool:
    """Whether a second attempt may succeed: reading, writing or a connection failed, or memory ran out.

    Settings, data, code and a refusal by estimate are as they are.
    """
    if isinstance(error, OSError):
        return not isinstance(error, LASTING)
    of_torch = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or of_torch


@contextmanager
def again(step: str, attempt: int = 1) -> Iterator[None]:
    """An error in it that may pass asks Dagster for another attempt, later. attempt: the one under way, from 1."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if not may_pass(error):
            raise
        seconds = PACE.calculate_delay(attempt)
        if attempt <= PACE.max_retries:
            told = str(error) or type(error).__name__
            tell(event="waiting", what=f"{step} is tried again in {seconds:.1f} s: {told}")
        raise dg.RetryRequested(PACE.max_retries, seconds) from error


def retried(body: B) -> B:
    """For the body of an asset, a generator or not, whose first argument is Dagster's context."""

    @wraps(body)
    def returning(context: dg.AssetExecutionContext, *given: Any, **named: Any) -> Any:
        with again(context.op_def.name, context.retry_number + 1):
            return body(context, *given, **named)

    @wraps(body)
    def yielding(context: dg.AssetExecutionContext, *given: Any, **named: Any) -> Iterator[Any]:
        with again(context.op_def.name, context.retry_number + 1):
            yield from body(context, *given, **named)

    wrapped = yielding if inspect.isgeneratorfunction(body) else returning
    return cast(B, wrapped)
