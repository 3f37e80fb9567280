"""Requests that go wrong, with tokens wherever a sender can put text: each is the kind of thing that ends up in a log."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import httpx

from tests.support.processes import WAIT_S

Word = Callable[[str], str]

ANSWER_S = 5.0
"""seconds until a server has answered bytes that are no request, or has hung up."""


def raw(address: str, *pieces: bytes) -> bytes:
    """Send bytes as they are and take what comes back; the connection is cut at the end."""
    host, _, port = urlsplit(address).netloc.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), ANSWER_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(65536)
    return b""


def nonsense(address: str, word: Word) -> list[bytes]:
    """Bytes that no HTTP server understands, and requests for what is not there."""
    name = word("http")
    return [
        raw(address, f"{name} {name}\r\n\r\n".encode()),
        raw(address, f"GET /{name}?patient={name} HTTP/1.1\r\nHost: x\r\nNo colon {name}\r\n\r\n".encode()),
        raw(address, f"{name} / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()),
        raw(address, f"GET /{name} HTTP/9.9{name}\r\n\r\n".encode()),
        raw(address, f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Length: {name}\r\n\r\n".encode()),
        raw(address, f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {name}\r\n\r\n".encode()),
    ]


def abuse_gateway(address: str, token: str, word: Word, file: bytes, other_study: str) -> list[int]:
    """Wrong requests to the STOW-RS gateway; returns their statuses."""
    bearer = {"Authorization": f"Bearer {token}"}
    basic = base64.b64encode(f"{word('basic user')}:{word('basic password')}".encode()).decode()
    named = (
        f'Content-Disposition: form-data; name="{word("part name")}"; filename="{word("file name")}.dcm"\r\n'
    )
    related = 'multipart/related; type="application/dicom"; boundary='
    with httpx.Client(base_url=address, trust_env=False, timeout=WAIT_S) as client:

        def post(path: str, content_type: str, body: bytes, headers: dict[str, str] = bearer) -> int:
            return client.post(
                path, content=body, headers={**headers, "Content-Type": content_type}
            ).status_code

        boundary = word("boundary")
        return [
            post(f"/studies/{word('path')}?name={word('query')}", related + "b", b""),
            post(f"/{word('resource')}/{quote(word('resource') + '^A')}", related + "b", b""),
            post("/studies", related + "b", b"", {"Authorization": f"Basic {basic}"}),
            post("/studies", related + "b", b"", {"Authorization": f"Bearer {word('bearer')}"}),
            post("/studies", f"text/{word('media type')}", b""),
            post("/studies", related + boundary, f"--{boundary}\r\n{named}{word('no colon')}\r\n\r\n".encode()),
            post("/studies", related + boundary, f"{word('preamble')}\r\n--{word('another')}".encode()),
            post("/studies", related + "b", f"--b\r\n{named}Content-Type: text/{word('part')}\r\n\r\n".encode()
                 + file + b"\r\n--b--\r\n"),
            post(f"/studies/{other_study}", related + "b", b"--b\r\n\r\n" + file + b"\r\n--b--\r\n"),
        ]  # fmt: skip


def leave_in_the_middle(address: str, token: str, file: bytes) -> None:
    """Send half an instance and hang up."""
    head = (
        f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {10 * len(file)}\r\n"
        'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n--b\r\n\r\n'
    )
    host, _, port = urlsplit(address).netloc.rpartition(":")
    with socket.create_connection((host, int(port)), ANSWER_S) as connection:
        connection.sendall(head.encode() + file)


def abuse_portal(address: str, token: str, word: Word, study: str, alert: str) -> Iterator[httpx.Response]:
    """Wrong requests of somebody who is known to the portal, and of somebody who is not."""
    api = httpx.Client(
        base_url=address, trust_env=False, timeout=WAIT_S, headers={"Authorization": f"Bearer {token}"}
    )
    with api as client:
        for path in (
            f"/{word('page')}", f"/studies/{word('study')}?name={word('query')}", f"/api/{word('api')}",
            f"/api/studies/{word('api study')}", f"/api/studies/{word('trace')}/trace",
            f"/api/studies/{study}/images/{word('image')}", f"/api/worklist?view={word('view')}",
            f"/api/studies/{study}/images/x?size={word('size')}",
        ):  # fmt: skip
            yield client.get(path, headers={"Referer": f"http://x/{word('referer')}"})
        yield client.post("/login", data={"token": word("login token")})
        yield client.post("/login", data={"token": word("x") * 100})
        yield client.post("/login", data={word("field"): "x"}, headers={"Origin": f"http://{word('origin')}"})
        yield client.get("/", headers={"Cookie": f"{word('cookie')}={word('cookie value')}"})
        review = {"action": "accept", "finding": word("finding"), "revision_seen": 1, "version_seen": 0}
        yield client.post(f"/api/studies/{study}/reviews", json=review)
        yield client.post(f"/api/studies/{study}/reviews", json=review | {"action": word("action")})
        yield client.post(f"/api/studies/{study}/reviews", json=review | {word("extra"): word("extra value")})
        yield client.post(f"/api/studies/{study}/reviews", content=f"{{{word('no json')}".encode())
        body = {"study": word("study of an alert"), "version_seen": 0}
        yield client.post(f"/api/alerts/{alert}/acknowledge", json=body)
        yield client.post(f"/api/alerts/{word('alert')}/acknowledge", json=body | {"study": study})


class Pager:
    """A webhook receiver that fails at first and keeps every byte it was sent."""

    def __init__(self, failures: int) -> None:
        self.received: list[bytes] = []
        self.accepted = 0
        self._failures = failures
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/alerts"

    def take(self, request: bytes) -> int:
        """Keep a request; returns the status to answer."""
        self.received.append(request)
        if len(self.received) <= self._failures:
            return 500
        self.accepted += 1
        return 200

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(pager: Pager) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(pager.take(f"{self.path}\n{self.headers}".encode() + body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
