"""Several items at once, with a bound, and results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(call: Callable[[T], Awaitable[R]], items: Iterable[T], at_once: int) -> list[R]:
    """Call for every item, at most `at_once` at a time.

    Every call has ended when this returns or raises, so that none goes on behind the back of a retry. If several raised, the
    error of the first item is the one that is raised.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with gate:
            return await call(item)

    done = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    results: list[R] = []
    for each in done:
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
