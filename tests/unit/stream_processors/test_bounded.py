"""Several at once, in order, never more than asked for."""

from __future__ import annotations

import asyncio

import pytest

from stream_processors.bounded import in_order


def test_results_come_in_order_whichever_ends_first_and_never_too_many_run() -> None:
    running, most = 0, 0

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - item):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert asyncio.run(in_order(call, range(10), at_once=3)) == [item * 2 for item in range(10)]
    assert most == 3


def test_an_error_is_raised_once_every_other_call_has_ended() -> None:
    ended: list[int] = []

    async def call(item: int) -> None:
        if item == 0:
            raise KeyError("first")
        for _ in range(5):
            await asyncio.sleep(0)
        ended.append(item)

    with pytest.raises(KeyError, match="first"):
        asyncio.run(in_order(call, range(4), at_once=2))
    assert ended == [1, 2, 3]
