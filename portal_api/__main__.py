"""`python -m portal_api`: serve the portal until told to stop."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from portal_api.app import create_app
from runtime.connections import Connections
from runtime.credentials import Credentials
from runtime.process import Stop, run

COMPONENT = "portal"
BACKLOG = 128
"""Connections the kernel keeps waiting."""


async def serve(connections: Connections, stop: Stop) -> None:
    """Serve HTTP on the configured address; requests under way are finished before it ends."""
    settings = connections.settings
    app = create_app(connections, Credentials(settings.keys.credentials))
    listener = socket.create_server((settings.portal.host, settings.portal.port), backlog=BACKLOG)
    host, port = listener.getsockname()[:2]
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals belong to runtime.process
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    connections.presence.announce(f"http://{host}:{port}")
    connections.presence.ready()
    await asyncio.wait({serving, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    run(COMPONENT, serve)
