"""Text inside compressed pixels: comments and application data, which decoders skip and people forget.

They are blanked where they stand. No byte moves, so fragments, offset tables and every other length stay true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

ITEM: Final = b"\xfe\xff\x00\xe0"
"""Tag of a fragment, little endian (PS3.5 §A.4)."""
ITEM_HEADER: Final = 8
"""bytes of a fragment's tag and length."""

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

_NEXT_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""After 0xFF, coded data hold 0x00 or a restart marker (JPEG), or less than 0x80 (JPEG-LS)."""


def without_text(pixel_data: bytes) -> bytes:
    """Blank comments and application data in the fragments of encapsulated pixel data (PS3.5 §A.4)."""
    blanked = bytearray(pixel_data)
    for start, end in _fragments(pixel_data):
        if pixel_data[start : start + 2] == bytes((0xFF, SOI)):
            segments = _jpeg(pixel_data, start, end)
        elif pixel_data[start : start + 2] == bytes((0xFF, J2K_SOC)):
            segments = _jpeg_2000(pixel_data, start, end)
        else:
            continue
        for first, last in segments:
            blanked[first:last] = bytes(last - first)
    return bytes(blanked)


def _fragments(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while data[at : at + 4] == ITEM:
        start = at + ITEM_HEADER
        at = min(start + int.from_bytes(data[at + 4 : start], "little"), len(data))
        yield start, at


def _jpeg(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
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
            kept = size if size and data.startswith(begin, body) else 0
            yield min(body + kept, last), last
        at = last


def _jpeg_2000(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
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
