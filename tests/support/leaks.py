"""Looks for planted tokens in bytes, in every form in which they could get there.

All words of one run share a marker of random letters and all UIDs one of random digits, so few needles find hundreds of tokens.
Dates are looked for each by itself.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runtime.clock import MICROSECONDS

INFLATED_BYTES: Final = 64 * 1024 * 1024
"""bytes of one compressed stream that are looked at: more than any object of these tests."""
DEPTH: Final = 3
"""Wrappings that are opened: a zip that holds a gzip that holds a DICOM file."""
SHORTEST_RUN: Final = 15
"""Digits or hex digits: eight digits inside so long a run are part of a digest, a UID or a time in microseconds."""

_COMPRESSED: Final = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
"""Where a gzip (RFC 1952) or zlib (RFC 1950) stream may begin."""
_HEX_RUN: Final = re.compile(rb"[0-9A-Fa-f]{32,64}")
DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
"""Deflated Explicit VR Little Endian (PS3.5 §A.5)."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A token outside the places where it may be."""

    place: str
    form: str
    around: bytes


@dataclass(frozen=True)
class Tokens:
    """What must not be found: see `planted.Planted`, which makes them."""

    letters: str
    digits: str
    dates: tuple[str, ...]
    """`YYYYMMDD`."""
    time: str
    """`HHMMSS.FFFFFF`."""
    whole: frozenset[bytes] = field(default_factory=frozenset)
    """Words, UIDs and files whose unkeyed digests would give them away, too."""


class Searcher:
    """Finds tokens.

    Parameters
    ----------
    tokens
        What to look for.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._needles = dict(_needles(tokens))
        self._dates = [date.encode() for date in (*tokens.dates, *_as_seconds(tokens))]
        self._digests = {
            hashlib.new(name, value, usedforsecurity=False).hexdigest().encode(): name
            for value in tokens.whole
            for name in ("md5", "sha1", "sha256")
        }

    def search(self, place: str, data: bytes) -> list[Leak]:
        """Tokens in data, and in what it holds compressed."""
        return [leak for where, inner in opened(place, data) for leak in self._found(where, inner)]

    def _found(self, place: str, data: bytes) -> Iterator[Leak]:
        for needle, form in self._needles.items():
            if (at := data.find(needle)) >= 0:
                yield _leak(place, form, data, at)
        for date in self._dates:
            at = next((at for at in _places(data, date) if not _part_of_a_longer_number(data, at)), -1)
            if at >= 0:
                yield _leak(place, "date", data, at)
        for run in _HEX_RUN.finditer(data):
            if name := self._digests.get(run.group().lower()):
                yield _leak(place, f"unkeyed {name}", data, run.start())


def _leak(place: str, form: str, data: bytes, at: int) -> Leak:
    return Leak(place, form, data[max(at - 40, 0) : at + 60])


def _places(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def _part_of_a_longer_number(data: bytes, at: int) -> bool:
    """Whether digits stand inside a digest, UID or time of its own; at the start of a run they are a DT value."""
    run = re.match(rb"[0-9a-f]*", data[max(at - 64, 0) : at][::-1])
    before = len(run.group()) if run else 0
    after = re.match(rb"[0-9a-f]*", data[at : at + 64])
    return before > 0 and before + (len(after.group()) if after else 0) >= SHORTEST_RUN


def _needles(tokens: Tokens) -> Iterator[tuple[bytes, str]]:
    """Every byte string that is a token in some coding, with the name of the coding."""
    letters = (tokens.letters, tokens.letters.lower(), tokens.letters.capitalize())
    plain = [*letters, tokens.letters[::-1], tokens.digits, tokens.time]
    for text in plain:
        yield from _codings(text, utf8=True)
    for date in tokens.dates:
        year, month, day = date[:4], date[4:6], date[6:]
        yield from _codings(date, utf8=False)
        for text in (f"{year}-{month}-{day}", f"{year}/{month}/{day}", f"{day}.{month}.{year}"):
            yield from _codings(text, utf8=True)
        yield from _binary_times(date, tokens.time)


def _codings(text: str, *, utf8: bool) -> Iterator[tuple[bytes, str]]:
    for name in ("utf-8", "utf-16-le", "utf-16-be"):
        coded = text.encode(name)
        if utf8 or name != "utf-8":
            yield coded, name
        yield coded.hex().encode(), f"hex of {name}"
        yield coded.hex().upper().encode(), f"HEX of {name}"
        for alignment in range(3):
            yield _base64(coded, alignment), f"base64 of {name} at {alignment}"


def _base64(coded: bytes, alignment: int) -> bytes:
    """The characters of base64 that depend on `coded` alone when so many bytes stand before it."""
    encoded = base64.b64encode(b"\0" * alignment + coded)
    return encoded[-(-alignment * 8 // 6) : (alignment + len(coded)) * 8 // 6]


def _moments(date: str, time: str) -> tuple[int, int]:
    """Midnight, and the time of day, of a date in UTC microseconds."""
    midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
    moment = datetime.strptime(date + time, "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC)
    return int(midnight.timestamp()) * MICROSECONDS, round(moment.timestamp() * MICROSECONDS)


def _binary_times(date: str, time: str) -> Iterator[tuple[bytes, str]]:
    """A date as a number of microseconds: eight bytes, and Avro's long (zigzag, variable length)."""
    for moment in _moments(date, time):
        yield moment.to_bytes(8, "little", signed=True), "int64 little-endian"
        yield moment.to_bytes(8, "big", signed=True), "int64 big-endian"
        yield _avro_long(moment), "Avro long"


def _avro_long(number: int) -> bytes:
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def _as_seconds(tokens: Tokens) -> Iterator[str]:
    """Dates after 1978 as decimal seconds since 1970: nine digits and more, as distinctive as a date."""
    for date in tokens.dates:
        for moment in _moments(date, tokens.time):
            if moment // MICROSECONDS > 10**8:
                yield str(moment // MICROSECONDS)


# --- what is inside


def opened(place: str, data: bytes, depth: int = DEPTH) -> Iterator[tuple[str, bytes]]:
    """The data itself and, however deep, what it holds compressed: zip, npz, gzip, zlib, deflated DICOM, SQLite's cells."""
    yield place, data
    if depth == 0:
        return
    for name, inner in (*_unzipped(data), *_inflated(data), *_dicom(data)):
        yield from opened(f"{place} > {name}", inner, depth - 1)


def _unzipped(data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(b"PK\x03\x04"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name, name.encode() + b"\n" + archive.read(name)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError):
        return


def _inflated(data: bytes) -> Iterator[tuple[str, bytes]]:
    for found in _COMPRESSED.finditer(data):
        plain = _inflate(memoryview(data)[found.start() :], 47)  # 32 + 15: gzip or zlib, as the header says
        if len(plain) > 8:  # of encrypted bytes, one place in 65,536 looks like a beginning and soon fails
            yield f"inflated at {found.start()}", plain


def _inflate(data: memoryview, bits: int) -> bytes:
    stream, plain = zlib.decompressobj(bits), bytearray()
    try:
        for start in range(0, len(data), 4096):
            plain += stream.decompress(data[start : start + 4096], INFLATED_BYTES)
            if stream.eof or len(plain) > INFLATED_BYTES:
                break
    except zlib.error:
        pass
    return bytes(plain)


def _dicom(data: bytes) -> Iterator[tuple[str, bytes]]:
    """A deflated data set begins where the file meta group says that it ends (PS3.10 §7.1)."""
    if data[128:132] != b"DICM" or DEFLATED not in data[:1024]:
        return
    yield "deflated", _inflate(memoryview(data)[144 + int.from_bytes(data[140:144], "little") :], -15)


def cells(file: Path) -> Iterator[tuple[str, bytes]]:
    """Every cell of an SQLite file: a long one is spread over pages, which are not always neighbours."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            name = table.decode()
            for row in database.execute(f'SELECT * FROM "{name}"'):
                joined = b"\x1f".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
                yield f"{file.name}:{name}", joined


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder with its own path, whatever it is; of SQLite files each cell, too."""
    for file in sorted(folder.rglob("*")):
        place = str(file.relative_to(folder))
        yield f"path {place}", place.encode()
        if file.is_file():
            yield place, file.read_bytes()
            if file.suffix == ".db":
                yield from cells(file)


def described(leaks: Sequence[Leak]) -> list[str]:
    """What an assertion shows: tokens are made up, so they may be printed."""
    return sorted({f"{leak.place}: {leak.form}: {leak.around!r}" for leak in leaks})[:60]
