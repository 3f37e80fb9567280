"""Whether this process lives and is ready, over HTTP on a port of its own, and where to find it.

The address stands in `<data>/run/<component>.json` while the process runs: `{component, pid, health, address}`, `address` being
that of the component's own service, null where it has none (yet).
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from runtime.metrics import Metrics

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of Prometheus' text format."""
PLAIN = "text/plain; charset=utf-8"
"""Content type of everything else."""


class Presence:
    """What this process tells others about itself.

    Parameters
    ----------
    folder
        `<data>/run`.
    name
        Component, and the instance's number where there are several.
    metrics
        Numbers served under `/metrics`.
    """

    def __init__(self, folder: Path, name: str, metrics: Metrics) -> None:
        self._path = folder / f"{name}.json"
        self._name = name
        self._metrics = metrics
        self._missing = "starting"
        self._address: str | None = None
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def ready(self) -> None:
        """Say that work is being done."""
        self._missing = ""

    def not_ready(self, reason: str) -> None:
        """Say why no work is being done."""
        self._missing = reason

    @property
    def missing(self) -> str:
        """Why the process is not ready, empty when it is."""
        return self._missing

    def announce(self, address: str) -> None:
        """Make known the address of the component's own service."""
        with self._lock:
            self._address = address
            self._write()

    def open(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve `/livez`, `/readyz` and `/metrics`, and return the URL (port 0: a free one)."""
        with self._lock:
            self._server = _QuietServer((host, port), _handler(self, self._metrics))
            self._server.daemon_threads = True
            threading.Thread(
                target=self._server.serve_forever, args=(0.1,), name="health", daemon=True
            ).start()
            self._write()
            return self.url

    @property
    def url(self) -> str:
        """Where health is served, empty before `open`."""
        if self._server is None:
            return ""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop serving and take the file away."""
        with self._lock:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
                self._server = None
                self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._server is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(
                {"component": self._name, "pid": os.getpid(), "health": self.url, "address": self._address},
                file,
            )
        draft.replace(self._path)


class _QuietServer(ThreadingHTTPServer):
    """A probe that goes wrong is the prober's affair: the base class prints its trace, message included, past all filters."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def _handler(presence: Presence, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, PLAIN, b"alive\n")
            elif self.path == "/readyz":
                missing = presence.missing
                self._answer(503 if missing else 200, PLAIN, f"{missing or 'ready'}\n".encode())
            elif self.path == "/metrics":
                self._answer(200, EXPOSITION, metrics.exposition())
            else:
                self._answer(404, PLAIN, b"not found\n")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: probes come every few seconds and their lines are what callers wrote."""

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
