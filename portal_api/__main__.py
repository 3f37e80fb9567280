"""`python -m portal_api`: serve the portal until told to stop."""

from __future__ import annotations

import asyncio

from portal_api.app import create_app
from runtime import web_server
from runtime.connections import Connections
from runtime.credentials import Credentials
from runtime.process import Stop, run

COMPONENT = "portal"


async def serve(connections: Connections, stop: Stop) -> None:
    """Serve HTTP on the configured address; requests under way are finished before it ends."""
    settings = connections.settings
    app = create_app(connections, Credentials(settings.keys.credentials))
    asked = asyncio.create_task(stop.wait())
    await web_server.serve(app, settings.portal, connections.presence, asked)


if __name__ == "__main__":
    run(COMPONENT, serve)
