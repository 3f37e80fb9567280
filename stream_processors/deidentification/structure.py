"""A strict walk over the bytes of a DICOM file, before any parser sees them.

pydicom answers many broken files with an empty or shortened data set and no error. This walk holds every
length against the bytes that are there, so that a truncated file is refused and not "de-identified" into
nothing, and a claim of 2 GB costs nothing.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from stream_processors.deidentification.reading import registered_type
from stream_processors.deidentification.refusal import RefusedError

PREFIX_END: Final = 132
"""bytes; 128 of preamble and "DICM" (PS3.10 §7.1)."""

MAX_DEPTH: Final = 32
"""Nested sequences; real objects stay under 10, and a recursive parser must not be led further."""

MAX_ELEMENTS: Final = 1_000_000
"""Elements of undefined-length content in one file; a large enhanced object has some 100,000."""

MAX_INFLATED_BYTES: Final = 512 * 1024 * 1024
"""bytes; a deflated data set may not grow beyond this: 1 MB of zeros deflates to 1 kB."""

UNDEFINED: Final = 0xFFFFFFFF
LONG_LENGTH_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""VRs with two reserved bytes and a 32-bit length (PS3.5 §7.1.2)."""

_TRANSFER_SYNTAX = struct.Struct("<HH2sH20s")
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_AFTER_PIXELS = frozenset({0xFFFAFFFA, 0xFFFCFFFC})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a file lie; `part10` ends with the data set and is never deflated."""

    part10: bytes
    transfer_syntax_uid: str
    data_set_at: int
    pixels_at: int


def read_layout(raw: bytes) -> Layout:
    """Walk a Part 10 file and cut what trails its data set.

    A deflated data set is inflated and leaves as Explicit VR Little Endian.

    Raises
    ------
    RefusedError
        not-dicom, truncated, malformed, too-large, unsupported-transfer-syntax.
    """
    if len(raw) < PREFIX_END or raw[128:PREFIX_END] != b"DICM":
        raise RefusedError("not-dicom")
    at, syntax = _read_file_meta(raw)
    if registered_type(syntax) != "Transfer Syntax":
        raise RefusedError("unsupported-transfer-syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        syntax = str(ExplicitVRLittleEndian)
        meta = raw[:PREFIX_END] + _TRANSFER_SYNTAX.pack(2, 0x10, b"UI", 20, syntax.encode("ascii"))
        raw, at = meta + _inflate(raw[at:]), len(meta)
    walker = _Walker(raw, syntax != ImplicitVRLittleEndian, ">" if syntax == ExplicitVRBigEndian else "<")
    end, pixels_at = walker.data_set(at)
    if end == at:
        raise RefusedError("truncated")
    return Layout(raw[:end], syntax, at, pixels_at)


def _read_file_meta(raw: bytes) -> tuple[int, str]:
    """Find the first byte of the data set and the transfer syntax; (0002,0000) is not relied on."""
    walker = _Walker(raw, True, "<")
    at, syntax = PREFIX_END, ""
    while at + 8 <= len(raw) and raw[at : at + 2] == b"\x02\x00":
        tag, _, value_at, length = walker.header(at)
        end = walker.bounded(value_at, length)
        if tag == 0x00020010:
            syntax = raw[value_at:end].decode("ascii", "replace").strip(" \0")
        at = end
    if not syntax:
        raise RefusedError("unsupported-transfer-syntax" if at > PREFIX_END else "truncated")
    return at, syntax


def _inflate(deflated: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, MAX_INFLATED_BYTES)
    except zlib.error:
        raise RefusedError("malformed") from None
    if inflater.unconsumed_tail:
        raise RefusedError("too-large")
    if not inflater.eof:
        raise RefusedError("truncated")
    return inflated


class _Walker:
    """Steps over elements; keeps only a count, so that hostile nesting ends."""

    def __init__(self, raw: bytes, explicit: bool, endian: str) -> None:
        self.raw = raw
        self.explicit = explicit
        self.tag_format = struct.Struct(endian + "HH")
        self.short_format = struct.Struct(endian + "H")
        self.long_format = struct.Struct(endian + "I")
        self.elements = 0

    def data_set(self, at: int) -> tuple[int, int]:
        """Walk the top level; give its end and where the pixel data element begins (else the end)."""
        pixels_at = -1
        while at < len(self.raw):
            if pixels_at >= 0 and (at + 8 > len(self.raw) or self._tag(at) not in _AFTER_PIXELS):
                break
            tag, vr, value_at, length = self.header(at)
            if tag in _PIXELS and pixels_at < 0:
                pixels_at = at
            at = self._skip(vr, value_at, length, self.explicit, 0)
        return at, pixels_at if pixels_at >= 0 else at

    def header(self, at: int, explicit: bool | None = None) -> tuple[int, bytes, int, int]:
        """Read tag, VR, position and length of the value of the element at `at`."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise RefusedError("too-large")
        self.bounded(at, 8)
        tag = self._tag(at)
        if not (self.explicit if explicit is None else explicit) or tag >> 16 == 0xFFFE:
            return tag, b"", at + 8, self.long_format.unpack_from(self.raw, at + 4)[0]
        vr = self.raw[at + 4 : at + 6]
        if not vr.isalpha() or not vr.isupper():
            raise RefusedError("malformed")
        if vr in LONG_LENGTH_VRS:
            self.bounded(at, 12)
            return tag, vr, at + 12, self.long_format.unpack_from(self.raw, at + 8)[0]
        return tag, vr, at + 8, self.short_format.unpack_from(self.raw, at + 6)[0]

    def bounded(self, at: int, length: int) -> int:
        if at + length > len(self.raw):
            raise RefusedError("truncated")
        return at + length

    def _tag(self, at: int) -> int:
        group, element = self.tag_format.unpack_from(self.raw, at)
        return int(group) << 16 | int(element)

    def _skip(self, vr: bytes, value_at: int, length: int, explicit: bool, depth: int) -> int:
        """Give the end of a value; of undefined length, by walking its items.

        A value of defined length is bounded by its own length and is left to the parser. UN of undefined
        length is coded implicit whatever surrounds it (PS3.5 §6.2.2).
        """
        if length != UNDEFINED:
            return self.bounded(value_at, length)
        if depth >= MAX_DEPTH:
            raise RefusedError("too-large")
        inside = explicit and vr != b"UN"
        at = value_at
        while True:
            tag, _, item_at, item_length = self.header(at, inside)
            if tag == _SEQUENCE_END:
                return item_at
            if tag != _ITEM:
                raise RefusedError("malformed")
            at = self._item_end(item_at, item_length, inside, depth)

    def _item_end(self, at: int, length: int, explicit: bool, depth: int) -> int:
        if length != UNDEFINED:
            return self.bounded(at, length)
        while True:
            tag, vr, value_at, value_length = self.header(at, explicit)
            if tag == _ITEM_END:
                return value_at
            at = self._skip(vr, value_at, value_length, explicit, depth + 1)
