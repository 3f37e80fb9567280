"""Serves HTTP in a process of ours, until that is asked to end; the only file that knows the server library."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from runtime.health import Presence
from runtime.settings import HttpSettings

DRAIN_S = 8
"""Seconds that requests under way get at the end, less than `runtime.process` allows."""


class _Server(uvicorn.Server):
    """Leaves signals to `runtime.process`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Callable[..., Any],
    address: HttpSettings,
    presence: Presence,
    *ends: asyncio.Future[Any],
    **limits: Any,
) -> None:
    """Serve until one of `ends` is there, and finish what is under way then.

    Parameters
    ----------
    app
        ASGI application.
    address
        Where to listen.
    presence
        Is told the address once it can be reached.
    ends
        What ends it.
    limits
        More settings of the server.
    """
    listening = _listen(address.host, address.port)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            **limits,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    presence.announce(_address_of(listening))
    presence.ready()
    await asyncio.wait({serving, *ends}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


def _listen(host: str, port: int) -> socket.socket:
    """Open the socket first, so that the address is known before the first request can come."""
    if ":" in host:
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=host == "::")
    return socket.create_server((host, port))


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
