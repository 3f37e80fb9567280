"""The portal's application behind a real socket."""

from __future__ import annotations

import threading
import time

import uvicorn

from portal_api.app import create_app
from runtime.connections import Connections
from runtime.credentials import Credentials


class Server:
    """Serves the portal over open connections while its block lasts; the block gets the address."""

    def __init__(self, connections: Connections, credentials: Credentials) -> None:
        config = uvicorn.Config(create_app(connections, credentials), port=0, log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
