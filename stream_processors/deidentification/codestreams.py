"""Text inside compressed pixels: comments and application data, which decoders skip and people forget.

They are blanked where they stand, an encoder's own name and version apart. No byte moves, so fragments, offset tables and
every other length stay true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from stream_processors.deidentification.refusal import RefusedError

Data = bytes | memoryview

ITEM: Final = b"\xfe\xff\x00\xe0"
"""Tag of a fragment, little endian (PS3.5 §A.4)."""
DELIMITER: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
"""What ends the fragments; nothing behind it belongs to the pixels."""
ITEM_HEADER: Final = 8
"""bytes of a fragment's tag and length."""

MAX_FRAGMENTS: Final = 1_000_000
"""of one file; a whole-slide image has some 100,000 tiles."""
MAX_IMAGE_BYTES: Final = 256 * 1024 * 1024
"""bytes of one fragment that holds a JPEG or JPEG 2000 image, which is read as a whole; films are not read."""
PART_BYTES: Final = 1024 * 1024
"""bytes that are handed on at once of what is not looked at."""

KEPT: Final = {
    0xE0: (b"JFIF\0", 14),
    0xE8: (b"SPIFF\0", 32),
    0xEE: (b"Adobe", 12),
}
"""Application data that decoders need: how it begins, and its bytes; what stands behind those is blanked, too."""

SOI, EOI, SOS, COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
"""JPEG's markers (ITU-T T.81 table B.1), which JPEG-LS shares."""
J2K_SOC, J2K_TILE, J2K_DATA, J2K_COMMENT = 0x4F, 0x90, 0x93, 0x64
"""JPEG 2000's markers (ITU-T T.800 table A.2)."""
JPEG_BEGINS, J2K_BEGINS = bytes((0xFF, SOI)), bytes((0xFF, J2K_SOC))

_ENCODER = re.compile(
    rb"(?:Creat(?:ed by|or):? )?(?:GDCM/)?(?:JasPer|JJ2000|Kakadu|Lavc|LEAD Technologies Inc\.|OpenJPEG|OpenJPH)"
    rb"(?:(?: [Vv]er(?:sion)?| V|-v|-)? ?[0-9]{1,2}(?:\.[0-9]{1,3}){1,2}\.?)?[\0 \n]*"
)
"""What encoders write of themselves and of nobody: it stays, so that pixels in which nothing was due stay as they are."""

_NEXT_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""After 0xFF, coded data hold 0x00 or a restart marker (JPEG), or less than 0x80 (JPEG-LS)."""


def without_text(pixel_data: bytes) -> bytes:
    """Blank comments and application data in fragments that are given without their delimiter (PS3.5 §A.4).

    Raises
    ------
    RefusedError
        As `fragments_without_text`.
    """
    view = memoryview(pixel_data + DELIMITER)
    followed = fragments_without_text(lambda at, length: view[at : at + length], 0, len(view))
    return b"".join(followed)[: -len(DELIMITER)]


def fragments_without_text(read: Callable[[int, int], Data], at: int, stop: int) -> Iterator[Data]:
    """Follow the fragments from `at` to their delimiter, and hand each on without text.

    Parameters
    ----------
    read
        Gives the bytes from a position on, so many.
    at, stop
        Where the fragments begin, and where they have to end at the latest.

    Raises
    ------
    RefusedError
        truncated, malformed, or too-large; what was handed on until then is worth nothing.
    """
    for _ in range(MAX_FRAGMENTS):
        head = bytes(read(at, ITEM_HEADER + 2))
        if head.startswith(DELIMITER):
            yield DELIMITER
            return
        if len(head) < ITEM_HEADER:
            raise RefusedError("truncated")
        if head[:4] != ITEM:
            raise RefusedError("malformed")
        end = at + ITEM_HEADER + int.from_bytes(head[4:8], "little")
        if end > stop:
            raise RefusedError("truncated")
        if head[ITEM_HEADER:] in (JPEG_BEGINS, J2K_BEGINS):
            yield _image(read, at, end)
        else:
            yield from in_parts(read, at, end)
        at = end
    raise RefusedError("too-large")


def in_parts(read: Callable[[int, int], Data], at: int, stop: int) -> Iterator[Data]:
    """Hand a range on as it is, a part at a time.

    Raises
    ------
    RefusedError
        truncated, when the source ends before it.
    """
    for begin in range(at, stop, PART_BYTES):
        part = read(begin, min(PART_BYTES, stop - begin))
        if len(part) < min(PART_BYTES, stop - begin):
            raise RefusedError("truncated")
        yield part


def _image(read: Callable[[int, int], Data], at: int, end: int) -> Data:
    if end - at > MAX_IMAGE_BYTES:
        raise RefusedError("too-large")
    fragment = read(at, end - at)
    if len(fragment) < end - at:
        raise RefusedError("truncated")
    find = _jpeg if fragment[ITEM_HEADER : ITEM_HEADER + 2] == JPEG_BEGINS else _jpeg_2000
    text = [
        (first, last)
        for first, last in find(fragment, ITEM_HEADER, end - at)
        if any(fragment[first:last]) and not _ENCODER.fullmatch(fragment, first, last)
    ]
    if not text:
        return fragment
    blanked = bytearray(fragment)
    for first, last in text:
        blanked[first:last] = bytes(last - first)
    return bytes(blanked)


def _jpeg(data: Data, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Places to blank, between the marker segments of all scans and behind the end of the image."""
    at = start + 2
    while found := _NEXT_MARKER.search(data, at, end):
        marker, body = data[found.start() + 1], found.end() + 2
        if marker == EOI:
            yield found.end(), end
            return
        last = min(found.end() + int.from_bytes(data[found.end() : body], "big"), end)
        if marker == COMMENT or marker in range(0xE0, 0xF0):
            begin, size = KEPT.get(marker, (b"", 0))
            kept = size if size and data[body : body + len(begin)] == begin else 0
            yield min(body + kept, last), last
        at = last


def _jpeg_2000(data: Data, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Comments of the main header and of every tile-part's (ITU-T T.800 §A.9.2)."""
    at, tile_end = start + 2, end
    while at + 4 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == J2K_DATA:
            at = tile_end
            continue
        last = min(at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), end)
        if marker == J2K_TILE:
            length = int.from_bytes(data[at + 6 : at + 10], "big")
            tile_end = min(at + length, end) if length else end
        elif marker == J2K_COMMENT:
            yield min(at + 6, last), last
        at = last
