"""A webhook receiver for demonstrations and tests: checks the signature, remembers, counts by Idempotency-Key.

`python -m cli.receiver PORT FILE [HOST]` serves the sites of the run's settings and appends each delivery to a file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from runtime.settings import load_settings

LARGEST_BODY = 64 * 1024
"""Bytes: a page is far smaller."""


@dataclass(slots=True)
class Received:
    """What arrived: every delivery in order, also appended to a file as JSON lines."""

    secrets: dict[str, bytes]
    file: Path | None = None
    deliveries: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, signature: str, body: bytes) -> int:
        """Remember one delivery and return the HTTP status to answer."""
        try:
            content = json.loads(body)
            site = str(content["site"])
        except (ValueError, KeyError, TypeError):
            return 400
        if not key or not self._signed(site, signature, body):
            return 401
        delivery = {
            "key": key,
            "site": site,
            "study": content["study"],
            "alert_id": content["alert_id"],
            "finding": content["finding"],
        }
        with self.lock:
            self.deliveries.append(delivery)
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(delivery) + "\n")
        return 200

    def _signed(self, site: str, signature: str, body: bytes) -> bool:
        parts = dict(part.partition("=")[::2] for part in signature.split(","))
        secret = self.secrets.get(site)
        if secret is None or "t" not in parts or "v1" not in parts:
            return False
        expected = hmac.new(secret, f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, parts["v1"])


def read_deliveries(file: Path) -> list[dict[str, str]]:
    """Deliveries that a receiver appended to its file so far."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line]


class _QuietServer(ThreadingHTTPServer):
    """The base class prints the trace of a request that goes wrong, and with it what the request held."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def listen(received: Received, port: int = 0, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Bind the receiver's server; `serve_forever()` runs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", 0)), LARGEST_BODY)
            body = self.rfile.read(length)
            status = received.take(
                self.headers.get("Idempotency-Key", ""), self.headers.get("Radstream-Signature", ""), body
            )
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: a request line is not for a terminal."""

    return _QuietServer((host, port), Handler)


def main(arguments: list[str]) -> int:
    """Serve until killed; a receiver has nothing to drain."""
    port, file = int(arguments[0]), Path(arguments[1])
    secrets = {site.name: site.webhook_secret.read() for site in load_settings().sites if site.webhook_secret}
    listen(Received(secrets, file), port, *arguments[2:]).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
