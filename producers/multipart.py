"""Streaming reader of `multipart/related` (RFC 2046 §5.1, RFC 2387): pure, bytes in, parts out, nothing kept.

Written here because python-multipart accepts no preamble and no lone line feeds, which senders do write, and
does not tell a body that ended in the middle of a part from a whole one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Literal

MAX_BOUNDARY = 70
"""characters, RFC 2046 §5.1.1."""
MAX_PART_HEADERS = 16 * 1024
"""bytes of headers before one part; senders write about 200."""
MAX_PREAMBLE = 64 * 1024
"""bytes before the first boundary."""
LINE_SLACK = 256
"""bytes of white space allowed between a boundary and the end of its line."""
SLICE = 64 * 1024
"""bytes looked at together: cutting off small parts copies what follows them, so it stays short."""


class MultipartError(Exception):
    """The body is no multipart message; `reason` is a class of failure."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part starts; its headers in lower case."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


Token = PartBegin | PartEnd | bytes
"""What the reader yields: the start of a part, its bytes in pieces, its end."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type and its parameters, lower-case names."""

    media_type: str
    parameters: dict[str, str]


def content_type(value: str) -> ContentType:
    """Parse a Content-Type, parameters quoted or not (`type=application/dicom` is no token, yet sent)."""
    message = Message()
    message["content-type"] = value
    pairs = message.get_params(failobj=[], header="content-type", unquote=True)
    parameters = {str(name).lower(): str(text).strip() for name, text in pairs[1:]}
    return ContentType(str(pairs[0][0]).strip().lower() if pairs else "", parameters)


class MultipartReader:
    """Cuts a body into parts as it arrives.

    Parameters
    ----------
    boundary
        Of the Content-Type, without the leading dashes.

    Raises
    ------
    MultipartError
        Reasons: `boundary`, `preamble`, `part-headers`, `truncated`.
    """

    def __init__(self, boundary: str) -> None:
        if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
            raise MultipartError("boundary")
        self._delimiter = b"--" + boundary.encode("ascii")
        self._between = b""
        self._state: Literal["preamble", "line", "headers", "body", "end"] = "preamble"
        self._held = b"\n"
        """Bytes not decided yet. Starts with a line feed, so that the first boundary needs none before it."""

    def feed(self, data: bytes) -> Iterator[Token]:
        """Take the next bytes of the body and yield what they complete."""
        for start in range(0, len(data), SLICE):
            self._held += data[start : start + SLICE]
            while (token := self._step()) is not None:
                if token != b"":
                    yield token

    def close(self) -> None:
        """Say that the body has ended; raises `truncated` unless the last boundary was seen."""
        if self._state != "end":
            raise MultipartError("truncated")

    def _step(self) -> Token | None:
        """One step of the automaton: a token, b"" for progress without one, None when more bytes are needed."""
        if self._state == "preamble":
            return self._preamble()
        if self._state == "line":
            return self._delimiter_line()
        if self._state == "headers":
            return self._headers()
        if self._state == "body":
            return self._body()
        self._held = b""  # epilogue
        return None

    def _preamble(self) -> Token | None:
        at = self._held.find(b"\n" + self._delimiter)
        if at < 0:
            if len(self._held) > MAX_PREAMBLE:
                raise MultipartError("preamble")
            return None
        self._held = self._held[at + 1 + len(self._delimiter) :]
        self._state = "line"
        return b""

    def _delimiter_line(self) -> Token | None:
        """The rest of a boundary's line: `--` ends the message; the first line's end says which ends are used."""
        if len(self._held) < 2:
            return None
        if self._held.startswith(b"--"):
            self._state = "end"
            return b""
        end = self._held.find(b"\n", 0, LINE_SLACK)
        if end < 0 and len(self._held) < LINE_SLACK:
            return None
        if end < 0 or self._held[:end].strip(b" \t\r"):
            raise MultipartError("boundary")
        if not self._between:
            self._between = (b"\r\n" if self._held[:end].endswith(b"\r") else b"\n") + self._delimiter
        self._held = self._held[end + 1 :]
        self._state = "headers"
        return b""

    def _headers(self) -> Token | None:
        match = re.match(rb"\r?\n|(?s:.*?)\r?\n\r?\n", self._held[: MAX_PART_HEADERS + 4])
        if match is None:
            if len(self._held) > MAX_PART_HEADERS:
                raise MultipartError("part-headers")
            return None
        self._held = self._held[match.end() :]
        self._state = "body"
        return PartBegin(_fields(match.group()))

    def _body(self) -> Token | None:
        at = self._held.find(self._between)
        if at >= 0:
            if at > 0:
                piece, self._held = self._held[:at], self._held[at:]
                return piece
            return self._boundary()
        keep = len(self._between) - 1
        if len(self._held) <= keep:
            return None
        piece, self._held = self._held[:-keep], self._held[-keep:]
        return piece

    def _boundary(self) -> Token | None:
        """The held bytes start with what looks like a boundary: it is one only if its line says so."""
        length = len(self._between)
        line = self._held[length : length + LINE_SLACK]
        if len(line) < 2 or (not line.startswith(b"--") and b"\n" not in line and len(line) < LINE_SLACK):
            return None
        if line.startswith(b"--") or re.match(rb"[ \t]*\r?\n", line):
            self._held = self._held[length:]
            self._state = "line"
            return PartEnd()
        piece, self._held = self._held[:length], self._held[length:]
        return piece


def _fields(block: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in re.sub(rb"\r?\n[ \t]+", b" ", block).splitlines():
        name, colon, value = line.partition(b":")
        if line and not colon:
            raise MultipartError("part-headers")
        if line:
            fields[name.decode("latin-1").strip().lower()] = value.decode("latin-1").strip()
    return fields
