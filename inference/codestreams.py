"""What codestreams of JPEG, JPEG-LS and JPEG 2000 say of themselves, read before a decoder believes it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from inference.header import Buffer
from inference.spec import NotAcceptableError

SIZ, COD, SOT = b"\xff\x51", b"\xff\x52", b"\xff\x90"
"""JPEG 2000 markers (ITU-T T.800 §A.4 to §A.6): SIZ is the first after SOC, SOT the first after the main header."""
LEAST_QUANTISED = {b"\xff\x5c": 4, b"\xff\x5d": 5}
"""Length of QCD and QCC with one step; every other marker has the two bytes of the length itself."""
MOST_TILES = 65535
"""Tiles of a JPEG 2000 codestream, which numbers them with two bytes (ITU-T T.800 §A.4.2)."""
SIZES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xF7})
"""Second bytes of the JPEG and JPEG-LS markers that carry the size (SOFn, ITU-T T.81 §B.2.2; SOF55)."""
HEAD = 4096
"""Bytes of a codestream in which its COD marker lies."""


def declared_form(data: Buffer) -> tuple[int, int, int]:
    """Rows, columns and samples that a codestream of JPEG, JPEG-LS or JPEG 2000 states; refused if it is none."""
    if bytes(data[:2]) == b"\xff\x4f":
        return _declared_by_siz(data)
    for marker, at in segments(data):
        if marker in SIZES:
            rows, columns, samples = struct.unpack_from(">HHB", data, at + 5)
            return rows, columns, samples
    raise NotAcceptableError("pixel data unreadable")


def _declared_by_siz(data: Buffer) -> tuple[int, int, int]:
    """The same of JPEG 2000, refused if its tiles do not cover its image (ITU-T T.800 §B.3): the decoder of HTJ2K believes
    them, and loops for ever or ends the process.
    """
    *numbers, samples = struct.unpack_from(">8IH", data, 8)
    tiles = 1
    for end, start, tile, first in (numbers[0::2], numbers[1::2]):
        if not first <= start < min(end, first + tile):
            raise NotAcceptableError("pixel data unreadable")
        tiles *= -(-(end - first) // tile)
    if tiles > MOST_TILES:
        raise NotAcceptableError("pixel data unreadable")
    (right, left), (bottom, top) = numbers[0:4:2], numbers[1:4:2]
    return bottom - top, right - left, samples


def segments(data: Buffer) -> Iterator[tuple[int, int]]:
    """Second byte and position of each marker of a JPEG or JPEG-LS codestream, up to where its coded data may begin."""
    if bytes(data[:2]) != b"\xff\xd8":
        raise NotAcceptableError("pixel data unreadable")
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            raise NotAcceptableError("pixel data unreadable")
        if data[at + 1] == 0xFF:  # fill bytes
            at += 1
            continue
        yield int(data[at + 1]), at
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def decompositions(data: Buffer) -> int:
    """Wavelet levels of a JPEG 2000 codestream; 0 where its COD marker is not where it should be."""
    at = _coding(data)
    return data[at + 9] if at >= 0 else 0


def has_colour_transform(data: Buffer) -> bool:
    """Whether a JPEG 2000 codestream says that its components were transformed, which its decoders undo."""
    at = _coding(data)
    return at >= 0 and data[at + 8] == 1


def is_reversible(data: Buffer) -> bool:
    """Whether a JPEG 2000 codestream uses the wavelet of whole numbers, which overshoots nothing."""
    at = _coding(data)
    return at >= 0 and data[at + 13] == 1


def is_quantised(data: Buffer) -> bool:
    """Whether each quantisation in the main header has a step (ITU-T T.800 §A.6.4, §A.6.5): without one, HTJ2K's decoder
    ends the process.
    """
    at = 2  # behind SOC
    while (marker := bytes(data[at : at + 2])) != SOT:
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker[0] != 0xFF or length < LEAST_QUANTISED.get(marker, 2):
            return False
        at += 2 + int(length)
    return True


def _coding(data: Buffer) -> int:
    """Position of the COD marker (ITU-T T.800 §A.6.1), or -1."""
    head = bytes(data[:HEAD])
    at = head.find(COD)
    return at if at + 13 < len(head) else -1


def precision(data: Buffer) -> int:
    """Bits per value of the first component (SIZ marker)."""
    return (int(data[42]) & 0x7F) + 1


def says_signed(data: Buffer) -> bool:
    """Whether the codestream's first component is signed (SIZ marker)."""
    return bool(data[42] & 0x80)
