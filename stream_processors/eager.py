"""Steps a coroutine once at the place, and makes a task of it only if it waits: most never do. For loops that run per record."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


async def _rest_of(coroutine: Coroutine[Any, Any, Any], awaited: Any) -> Any:
    return await _resumed(coroutine, awaited)


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """Drive a coroutine on, beginning with what it already waits for."""
    while True:
        try:
            answer = yield awaited
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 a cancellation, or what the awaited raised: the coroutine's own matter
            onward: Callable[[], Any] = partial(coroutine.throw, error)
        else:
            onward = partial(coroutine.send, answer)
        try:
            awaited = onward()
        except StopIteration as end:
            return end.value


def stepped(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any] | None:
    """Run a coroutine to its first wait.

    The part before that wait runs in the caller's task: it must start no timeout, which would bind itself to that task.

    Returns
    -------
    Coroutine | None
        What is left of it, to be awaited or made a task; None when it has ended.

    Raises
    ------
    Exception
        Whatever the coroutine raised before it waited.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return _rest_of(coroutine, awaited)
