"""STOW-RS gateway (PS3.18 §10.5): streams each part of a request into the encrypted raw tier, holding none of them.

The event loop reads; a worker thread per request parses, encrypts and stores, and no more is read before it is done
(back-pressure down to the sender's TCP window). Nothing is acknowledged before `ingest` has published it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from producers import store_response
from producers.header import MAX_UID, UID_PATTERN
from producers.incoming import Incoming
from producers.ingest import Delivery
from producers.multipart import MultipartError, MultipartReader, PartBegin, PartEnd, content_type
from producers.store_response import Problem
from runtime import faults, web_server
from runtime.connections import Connections
from runtime.credentials import Credential, Credentials
from runtime.errors import RetryError, StopError
from runtime.logs import logger
from runtime.process import Stop

NAME = "stow"

MAX_PART_BYTES = 16 * 1024**3
"""bytes of one instance: pathology slides reach 10 GB, beyond this it is an error of the sender."""
MAX_PARTS = 20_000
"""Instances in one request: four times the largest CT; each costs a kilobyte until it is answered."""
MAX_REQUESTS = 16
"""Requests taken in at once: each holds a thread and about 2 MB; others are told to wait."""
FEED_BYTES = 512 * 1024
"""bytes collected before a worker thread is called: a call costs about 0.1 ms."""
IDLE_S = 60.0
"""seconds a sender may be silent in the middle of a request."""
MAX_HEADER_BYTES = 32 * 1024
"""bytes of a request's own headers (httptools would take any number, so h11 reads them)."""

INSTANCE = "application/dicom"
PART_TYPES = ("", INSTANCE, "application/octet-stream")
"""Media types of a part that is looked at; others are kept in quarantine."""


class RequestError(Exception):
    """The request cannot go on; what of it was taken in before stays taken in."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


class Receiver:
    """Takes a request's body, in a worker thread: parts into a delivery.

    Parameters
    ----------
    delivery
        Where instances go.
    reader
        Cuts the body into parts; None where the body is one instance.
    study_uid
        Study of the request's path, "" for none.
    """

    def __init__(self, delivery: Delivery, reader: MultipartReader | None, study_uid: str) -> None:
        self._delivery = delivery
        self._reader = reader
        self._study_uid = study_uid
        self._incoming: Incoming | None = None
        self._doubt = ""
        self._parts = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body; raises RequestError."""
        if self._reader is None:
            if self._parts == 0:
                self._begin("")
            self._write(data)
            return
        try:
            for token in self._reader.feed(data):
                if isinstance(token, PartBegin):
                    self._begin(token.headers.get("content-type", ""))
                elif isinstance(token, PartEnd):
                    self._end()
                else:
                    self._write(token)
        except MultipartError as error:
            raise RequestError(_malformed(error.reason)) from error

    def close(self) -> None:
        """Say that the body is whole; raises RequestError where it ends inside a part."""
        if self._reader is None:
            if self._parts == 0:
                self._begin("")
            self._end()
            return
        try:
            self._reader.close()
        except MultipartError as error:
            raise RequestError(_malformed(error.reason)) from error
        if self._parts == 0:
            raise RequestError(Problem(400, "no-parts", "the request holds no instance"))

    def settle(self) -> None:
        """Publish what was taken in; a part that never ended is forgotten and reported."""
        if self._incoming is not None:
            self._incoming.abort()
            self._incoming = None
            self._delivery.refuse("incomplete")
        self._delivery.flush()

    def abandon(self) -> None:
        """The sender went away: forget all that is not published; it has no answer and will send again."""
        if self._incoming is not None:
            self._incoming.abort()
        self._delivery.abandon()

    def _begin(self, declared: str) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(
                Problem(413, "too-many-parts", f"a request holds at most {MAX_PARTS} instances")
            )
        self._doubt = "" if content_type(declared).media_type in PART_TYPES else "media-type"
        try:
            self._incoming = self._delivery.begin()
        except RetryError:
            self._delivery.refuse("unavailable")

    def _write(self, data: bytes) -> None:
        if self._incoming is None:
            return
        try:
            self._incoming.write(data)
        except RetryError:
            self._incoming.abort()
            self._incoming = None
            self._delivery.refuse("unavailable")
            return
        if self._incoming.size > MAX_PART_BYTES:
            raise RequestError(
                Problem(413, "part-too-large", f"an instance has at most {MAX_PART_BYTES} bytes")
            )

    def _end(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            self._delivery.accept(incoming, study_uid=self._study_uid, doubt=self._doubt)


class Gateway:
    """The HTTP side.

    Parameters
    ----------
    connections
        The process's connections.
    credentials
        Who may send for which site.
    """

    def __init__(self, connections: Connections, credentials: Credentials) -> None:
        self._connections = connections
        self._credentials = credentials
        self._threads = ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix=NAME)
        self._log = logger(NAME)
        self._running = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when a request met an error after which this process must not go on."""

    def app(self) -> Starlette:
        """ASGI application: the two resources of the Store transaction."""
        return Starlette(
            routes=[
                Route("/studies", self.store, methods=["POST"]),
                Route("/studies/{study}", self.store, methods=["POST"]),
            ]
        )

    async def store(self, request: Request) -> Response:
        """Store instances (PS3.18 §10.5)."""
        metrics, clock = self._connections.metrics, self._connections.clock
        started = clock.monotonic()
        try:
            response = await self._store(request)
        except RequestError as error:
            response = _refusal(error.problem)
        except StopError as error:
            if not self.failed.done():
                self.failed.set_exception(error)
            response = _refusal(Problem(503, "stopping", "the gateway must restart; send again"))
        if response.status_code >= 400:
            metrics.count("radstream_requests_refused_total")
        metrics.observe("radstream_request_seconds", clock.monotonic() - started)
        return response

    async def _store(self, request: Request) -> Response:
        credential = self._authenticate(request)
        study_uid = _study_uid(request)
        reader = _reader(request)
        if self._running >= MAX_REQUESTS:
            raise RequestError(Problem(503, "busy", "too many requests at once; send again"))
        self._running += 1
        try:
            delivery = Delivery(self._connections, NAME, credential.site)
            return await self._receive(request, delivery, Receiver(delivery, reader, study_uid))
        finally:
            self._running -= 1

    def close(self) -> None:
        """Wait for the threads that still work."""
        self._threads.shutdown()

    async def _receive(self, request: Request, delivery: Delivery, receiver: Receiver) -> Response:
        problem = None
        loop = asyncio.get_running_loop()
        try:
            async for data in _collected(request):
                await loop.run_in_executor(self._threads, receiver.feed, data)
            await loop.run_in_executor(self._threads, receiver.close)
        except RequestError as error:
            problem = error.problem
        except ClientDisconnect:
            await loop.run_in_executor(self._threads, receiver.abandon)
            self._log.warning("sender went away", reason="disconnected")
            return Response(status_code=400)
        except Exception:
            await loop.run_in_executor(self._threads, receiver.abandon)
            raise
        await loop.run_in_executor(self._threads, receiver.settle)
        return await loop.run_in_executor(self._threads, self._answer, request, delivery, problem)

    def _answer(self, request: Request, delivery: Delivery, problem: Problem | None) -> Response:
        outcomes = delivery.outcomes
        status = store_response.status_of(outcomes, problem)
        if (
            problem is not None
            and status == problem.status
            and not any(each.sop_instance_uid for each in outcomes)
        ):
            return _refusal(problem)
        media_type = store_response.media_type(request.headers.get("accept", ""))
        body = store_response.encode(store_response.dataset(outcomes), media_type)
        faults.reach("before-acknowledge")
        return Response(body, status, _headers(status, cut=problem is not None), media_type)

    def _authenticate(self, request: Request) -> Credential:
        credential = self._credentials.verify(request.headers.get("authorization", ""))
        if credential is None:
            raise RequestError(Problem(401, "unauthenticated", "a bearer token of a gateway is needed"))
        known = any(site.name == credential.site for site in self._connections.settings.sites)
        if credential.role != "gateway" or not known:
            raise RequestError(Problem(403, "forbidden", "this credential may not store instances"))
        return credential


async def _collected(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces worth a thread's while; raises ClientDisconnect, or RequestError after a long silence."""
    stream = request.stream()
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), IDLE_S)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise RequestError(Problem(408, "silence", "no bytes came for too long")) from error
        pieces.append(piece)
        size += len(piece)
        if size >= FEED_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


def _study_uid(request: Request) -> str:
    study = str(request.path_params.get("study", ""))
    if study and (len(study) > MAX_UID or not UID_PATTERN.fullmatch(study)):
        raise RequestError(Problem(400, "invalid-uid", "the study in the path is no UID"))
    return study


def _reader(request: Request) -> MultipartReader | None:
    """Decide by the Content-Type (PS3.18 §10.5.2) how the body is read: in parts, or as one instance (None)."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RequestError(Problem(415, "content-encoding", "the body must not be compressed"))
    declared = content_type(request.headers.get("content-type", ""))
    if declared.media_type == INSTANCE:
        return None
    if declared.media_type != "multipart/related":
        raise RequestError(Problem(415, "media-type", "send multipart/related or application/dicom"))
    if declared.parameters.get("type", INSTANCE).lower() != INSTANCE:
        raise RequestError(Problem(415, "media-type", "only parts of type application/dicom are taken in"))
    try:
        return MultipartReader(declared.parameters.get("boundary", ""))
    except MultipartError as error:
        raise RequestError(_malformed(error.reason)) from error


def _malformed(reason: str) -> Problem:
    detail = {
        "boundary": "the multipart boundary is missing or wrong",
        "preamble": "the multipart body does not start with its boundary",
        "part-headers": "a part's headers are malformed or too long",
        "truncated": "the body ends before its last boundary",
    }[reason]
    return Problem(400, reason, detail)


def _headers(status: int, *, cut: bool) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="radstream", Basic realm="radstream"'
    if status == 503:
        headers["Retry-After"] = str(store_response.RETRY_AFTER_S)
    if cut:
        headers["Connection"] = "close"
    return headers


def _refusal(problem: Problem) -> Response:
    body = json.dumps({"error": problem.reason, "detail": problem.detail})
    return Response(body, problem.status, _headers(problem.status, cut=True), "application/json")


async def serve(connections: Connections, stop: Stop) -> None:
    """Run the gateway until it is asked to stop; running requests are answered first, and one cut off was not acknowledged."""
    settings = connections.settings
    gateway = Gateway(connections, Credentials(settings.keys.credentials))
    asked = asyncio.create_task(stop.wait())
    await web_server.serve(
        gateway.app(),
        settings.stow,
        connections.presence,
        asked,
        gateway.failed,
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    asked.cancel()
    gateway.close()
    if gateway.failed.done():
        gateway.failed.result()
