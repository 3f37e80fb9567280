from __future__ import annotations

import asyncio

import pytest

from stream_processors.eager import stepped


async def test_what_never_waits_is_done_at_once():
    seen = []

    async def quick():
        seen.append("done")

    assert stepped(quick()) is None
    assert seen == ["done"]


@pytest.mark.parametrize("wait", ["a turn of the loop", "an event", "a lock"])
async def test_what_waits_goes_on_where_it_stood(wait):
    event, lock = asyncio.Event(), asyncio.Lock()
    await lock.acquire()
    seen = []

    async def slow():
        seen.append("before")
        if wait == "a turn of the loop":
            await asyncio.sleep(0)
        elif wait == "an event":
            await event.wait()
        else:
            await lock.acquire()
        seen.append("after")
        await asyncio.sleep(0.001)
        return "result"

    rest = stepped(slow())
    assert rest is not None
    assert seen == ["before"]
    task = asyncio.ensure_future(rest)
    event.set()
    lock.release()
    assert await task == "result"
    assert seen == ["before", "after"]


async def test_what_is_cancelled_while_it_waits_can_clean_up():
    seen = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cleaned up")

    rest = stepped(slow())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_reaches_the_caller(waits):
    async def failing():
        if waits:
            await asyncio.sleep(0)
        raise ZeroDivisionError

    async def go():
        rest = stepped(failing())
        assert rest is not None
        await rest

    with pytest.raises(ZeroDivisionError):
        await go()


async def test_an_error_of_what_is_awaited_reaches_the_coroutine():
    future = asyncio.get_running_loop().create_future()

    async def catching():
        try:
            await future
        except ValueError:
            return "caught"

    rest = stepped(catching())
    assert rest is not None
    task = asyncio.ensure_future(rest)
    future.set_exception(ValueError())
    assert await task == "caught"
