"""How every process starts, drains and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

from runtime import faults, logs
from runtime.connections import Connections, connect
from runtime.errors import RetryError, StopError
from runtime.parent import die_with_parent
from runtime.patience import until_answered
from runtime.settings import Settings, load_settings

DRAIN_S = 10.0
"""Seconds from SIGTERM in which work under way may end; what has not ended by then is delivered again."""
END_S = 4.0
"""Seconds after these in which connections close and threads end. Together less than the supervisor's patience."""
DRAINED, CRASHED, STOPPED = 0, 70, 75
"""Exit codes: asked to stop and did; unexpected error (EX_SOFTWARE); must not go on as things are (EX_TEMPFAIL)."""

Main = Callable[[Connections, "Stop"], Awaitable[None]]


class Stop:
    """Whether the process was asked to end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether to take up no more work."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to end."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the process was asked to end."""
        await self._event.wait()


def run(component: str, main: Main) -> NoReturn:
    """Run a component until it ends or is told to (SIGTERM, SIGINT), and exit with the code that says how it ended.

    `main` returns soon after `stop` is requested, its work acknowledged; 10 s later it is cancelled, and 4 s after that the
    process ends whatever still holds it: nobody may be left to kill it.
    """
    logs.configure(component)
    die_with_parent()
    code = _guarded(component, main)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)  # no wait for what is blocked in a call: everything that counts is acknowledged or not


def _guarded(component: str, main: Main) -> int:
    log = logs.logger(component)
    try:
        settings = load_settings()
        logs.configure(component, settings.log_level)
        faults.configure(settings.data / "faults", component)
        connections = until_answered(lambda: _connected(settings, component), log=log)
        try:
            connections.presence.open(settings.health.host, settings.health.port)
            log.info("started", pid=os.getpid(), address=connections.presence.url)
            code = asyncio.run(_until_stopped(connections, main))
        finally:
            connections.close()
    except StopError as error:
        log.exception("stopped", reason=str(error))
        return STOPPED
    except Exception:  # the boundary of the process: nothing above could handle it
        log.exception("crashed")
        return CRASHED
    log.info("ended", exit_code=code)
    return code


def _connected(settings: Settings, component: str) -> Connections:
    """Connect, and see that the log answers."""
    connections = connect(settings, component)
    try:
        connections.log.topics()
    except RetryError:
        connections.close()
        raise
    return connections


async def _until_stopped(connections: Connections, main: Main) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.request)
    work = asyncio.ensure_future(main(connections, stop))
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    _end_at_last()
    if not work.done():
        connections.presence.not_ready("draining")
        await asyncio.wait({work}, timeout=DRAIN_S)
    if not work.done():
        work.cancel()
        logs.logger(connections.component).warning("did not drain in time", seconds=DRAIN_S)
        return CRASHED
    work.result()
    return DRAINED


def _end_at_last() -> None:
    """End this process in a while: the loop waits for every thread, and a thread may be blocked in a call for ever."""
    last = threading.Timer(DRAIN_S + END_S, os._exit, (CRASHED,))
    last.daemon = True
    last.start()
