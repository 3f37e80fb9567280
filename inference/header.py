"""The attributes of a header that reading pixels asks for, taken where they lie: everything else is stepped over.

A header has a hundred elements, of which thirty are wanted, most of them two bytes. Only plain ones are read here: of a header
with anything unusual in it, in form or in value, :func:`read_header` says None, and the DICOM library reads it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.datadict import dictionary_VR

from inference.syntaxes import COMPRESSED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, RLE

Buffer = bytes | memoryview
Tag = int

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
"""Length of an element that ends with a delimiter (PS3.5 §7.1.1)."""
DELIMITERS, ITEM, ITEM_END, SEQUENCE_END = 0xFFFE, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
META_FIRST, META_GROUP, META_SYNTAX = 132, 0x0002, 0x00020010
"""Position of the meta information's first element (PS3.10 §7.1), its group, and the transfer syntax."""
DEEPEST = 16
"""Sequences within each other that are stepped over; more are left to the library."""

SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
     b"ST", b"TM", b"UI", b"UL", b"US"}
)  # fmt: skip
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs with a length of two, and of four bytes (PS3.5 §7.1.2)."""

SIGN = "US or SS"
"""VR of what Pixel Representation gives the sign (PS3.6)."""
TAGS: Mapping[str, tuple[Tag, str]] = {
    "ImageType": (0x00080008, "CS"),
    "Modality": (0x00080060, "CS"),
    "BodyPartExamined": (0x00180015, "CS"),
    "SliceThickness": (0x00180050, "DS"),
    "SpacingBetweenSlices": (0x00180088, "DS"),
    "ImagerPixelSpacing": (0x00181164, "DS"),
    "ViewPosition": (0x00185101, "CS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "PlanePositionSequence": (0x00209113, "SQ"),
    "PlaneOrientationSequence": (0x00209116, "SQ"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "PlanarConfiguration": (0x00280006, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "PixelPaddingValue": (0x00280120, SIGN),
    "PixelPaddingRangeLimit": (0x00280121, SIGN),
    "RescaleIntercept": (0x00281052, "DS"),
    "RescaleSlope": (0x00281053, "DS"),
    "RescaleType": (0x00281054, "LO"),
    "PixelMeasuresSequence": (0x00289110, "SQ"),
    "PixelValueTransformationSequence": (0x00289145, "SQ"),
    "SharedFunctionalGroupsSequence": (0x52009229, "SQ"),
    "PerFrameFunctionalGroupsSequence": (0x52009230, "SQ"),
    "ExtendedOffsetTable": (0x7FE00001, "OV"),
}
"""Every attribute that reading pixels asks for, with its VR (PS3.6)."""
WANTED: Mapping[Tag, tuple[str, str]] = {tag: (keyword, vr) for keyword, (tag, vr) in TAGS.items()}
WRITTEN: Mapping[str, frozenset[bytes]] = {
    vr: frozenset({b"US", b"SS"} if vr == SIGN else {vr.encode()}) for _, vr in TAGS.values()
}
"""VRs as which each is written, where they are."""

PALETTE = b"PALETTE"
"""How Photometric Interpretation begins of images with colour tables, which only the library reads."""

VR_LETTERS = re.compile(rb"[A-Z]{2}")
"""What a VR looks like (PS3.5 §6.2). A length rarely does, and a data set that begins so is left to the library."""
PLAIN_UID = re.compile(rb"([0-9.]+)[\0 ]*")
PLAIN_NUMBER = re.compile(rb" *[+-]?[0-9]{1,12}(?:\.[0-9]{0,14})?(?:[eE][+-]?[0-9]{1,2})? *")
PLAIN_WHOLE = re.compile(rb" *[+-]?[0-9]{1,9} *")
PLAIN_WORD = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_ .]*[A-Za-z0-9_])?")
"""Forms of UI, DS, IS and of text without surprises."""


class Attributes(Protocol):
    """What reading pixels asks of a header: the library's data set has it, and :class:`Header` has it."""

    def get(self, key: str, /) -> Any:
        """Value of an attribute by its keyword, or None."""
        ...

    def __getattr__(self, name: str, /) -> Any: ...


class UnusualError(Exception):
    """Something that is for the DICOM library to read."""


@dataclass(frozen=True)
class Header:
    """The wanted attributes of a data set or of an item.

    Values are as the library's: a number or a text, a list of several, headers of a sequence; None of an empty one.
    """

    values: Mapping[str, Any]

    def get(self, key: str, /) -> Any:
        """Value of an attribute, or None. ``KeyError`` for one that is not in :data:`TAGS`."""
        value = self.values.get(key)
        if value is None and key not in TAGS:
            raise KeyError(key)
        return value

    def __getattr__(self, name: str, /) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Place:
    """Where the value of Pixel Data lies."""

    start: int
    length: int
    """Bytes, or :data:`UNDEFINED`."""


def read_header(data: Buffer) -> tuple[Header, str, Place] | None:
    """Header, transfer syntax UID and the place of Pixel Data; None of a file that the library must read.

    ``data`` has at least everything before the value of Pixel Data; a deflated data set must have been inflated.
    """
    try:
        if bytes(data[128:META_FIRST]) != b"DICM":
            return None
        syntax, at = _meta(data)
        walk = Walk(data, explicit=syntax != IMPLICIT_LITTLE, big=syntax == EXPLICIT_BIG)
        if not walk.explicit and VR_LETTERS.match(data, at + 4):
            return None  # written explicitly after all: the library looks closer
        values, at = walk.elements(at, len(data), {})
        return Header(values), syntax, walk.pixels(at)
    except (UnusualError, struct.error):
        return None


def _meta(data: Buffer) -> tuple[str, int]:
    """Transfer syntax, and where the data set begins."""
    walk, at, syntax = Walk(data, explicit=True, big=False), META_FIRST, b""
    while int.from_bytes(data[at : at + 2], "little") == META_GROUP:
        tag, _, start, length = walk.element(at)
        if tag == META_SYNTAX:
            syntax = bytes(data[start : start + length])
        at = start + length
    written = PLAIN_UID.fullmatch(syntax)
    known = written[1].decode("ascii") if written else ""
    if known in {IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, RLE} or known.startswith(COMPRESSED):
        return known, at
    raise UnusualError


class Walk:
    """Steps over the elements of one file."""

    def __init__(self, data: Buffer, *, explicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self.explicit = explicit
        self._data = data
        self._order: Any = "big" if big else "little"
        self._short = struct.Struct(f"{order}HH2sH").unpack_from
        self._tag = struct.Struct(f"{order}HHI").unpack_from
        self._long = struct.Struct(f"{order}I").unpack_from

    def element(self, at: int) -> tuple[Tag, bytes, int, int]:
        """Tag, VR (empty where none is written), start and length of the value."""
        if not self.explicit:
            group, number, length = self._tag(self._data, at)
            return group << 16 | number, b"", at + 8, length
        group, number, vr, length = self._short(self._data, at)
        if vr in SHORT:
            return group << 16 | number, vr, at + 8, length
        if vr in LONG:
            return group << 16 | number, vr, at + 12, self._long(self._data, at + 8)[0]
        raise UnusualError

    def pixels(self, at: int) -> Place:
        """Pixel Data's value; the walk has ended at its element."""
        tag, vr, start, length = self.element(at)
        if tag != PIXEL_DATA or vr not in {b"", b"OB", b"OW"}:
            raise UnusualError
        return Place(start, length)

    def elements(
        self, at: int, end: int, known: Mapping[str, Any], depth: int = 0
    ) -> tuple[dict[str, Any], int]:
        """Wanted values from ``at`` on, and where it ended: at Pixel Data, after the item's delimiter, or at ``end``.

        ``known`` are those of the data set round the item.
        """
        if depth > DEEPEST:
            raise UnusualError
        values: dict[str, Any] = {}
        element, wanted = self.element, WANTED.get
        while at < end:
            if depth and self._tag(self._data, at)[:2] == (DELIMITERS, ITEM_END & 0xFFFF):
                return values, at + 8
            tag, vr, start, length = element(at)
            if tag >= PIXEL_DATA:
                if depth:
                    raise UnusualError
                return values, at
            found = wanted(tag)
            if found is not None:
                values[found[0]], at = self._value(found, vr, start, length, values, known, depth)
            else:
                at = start + length if length != UNDEFINED else self._after_sequence(tag, vr, start, depth)
        if at != end or not depth:
            raise UnusualError
        return values, at

    def _value(
        self, wanted: tuple[str, str], written: bytes, start: int, length: int,
        values: Mapping[str, Any], known: Mapping[str, Any], depth: int,
    ) -> tuple[Any, int]:  # fmt: skip
        """A wanted element's value, and where the next one begins."""
        vr = wanted[1]
        if written and written not in WRITTEN[vr]:
            raise UnusualError
        if vr == "SQ":
            return self._items(start, length, {**known, **values}, depth)
        raw = bytes(self._data[start : start + length])
        if len(raw) != length:
            raise UnusualError
        if vr == "US":
            return self._unsigned(raw), start + length
        if vr == SIGN:
            signed = values.get("PixelRepresentation", known.get("PixelRepresentation"))
            return self._either(raw, written, signed), start + length
        if raw.startswith(PALETTE) and wanted[0] == "PhotometricInterpretation":
            raise UnusualError
        return CONVERTED[vr](raw) if raw else None, start + length

    def _unsigned(self, raw: bytes) -> int | None:
        if len(raw) == 2:
            return int.from_bytes(raw, self._order)
        if raw:
            raise UnusualError
        return None

    def _either(self, raw: bytes, written: bytes, representation: int | None) -> int | None:
        if not raw:
            return None
        if len(raw) != 2 or (not written and representation not in {0, 1}):
            raise UnusualError
        signed = written == b"SS" if written else representation == 1
        return int.from_bytes(raw, self._order, signed=signed)

    def _items(
        self, start: int, length: int, known: Mapping[str, Any], depth: int
    ) -> tuple[list[Header] | None, int]:
        """Headers of a sequence's items, and where the next element begins."""
        found: list[Header] = []
        at = start
        end = len(self._data) if length == UNDEFINED else start + length
        while at < end:
            group, number, size = self._tag(self._data, at)
            tag, at = group << 16 | number, at + 8
            if tag == SEQUENCE_END and length == UNDEFINED:
                return found, at
            if tag != ITEM:
                raise UnusualError
            values, at = self.elements(at, end if size == UNDEFINED else at + size, known, depth + 1)
            found.append(Header(values))
        if at != end or length == UNDEFINED:
            raise UnusualError
        return found, at

    def _after_sequence(self, tag: Tag, vr: bytes, start: int, depth: int) -> int:
        """Where the next element begins, after one of undefined length."""
        if vr != b"SQ" and (vr or not self._is_sequence(tag, start)):
            raise UnusualError
        return self._items(start, UNDEFINED, {}, depth)[1]

    def _is_sequence(self, tag: Tag, start: int) -> bool:
        """Whether an implicit element of undefined length is one: by the dictionary, or by its first item."""
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:
            group, number, _ = self._tag(self._data, start)
            return bool((group << 16 | number) == ITEM)


def _number(raw: bytes) -> float | list[float]:
    parts = raw.rstrip(b"\0").split(b"\\")
    if not all(map(PLAIN_NUMBER.fullmatch, parts)):
        raise UnusualError
    return float(parts[0]) if len(parts) == 1 else [float(part) for part in parts]


def _whole(raw: bytes) -> int:
    if not PLAIN_WHOLE.fullmatch(raw):
        raise UnusualError
    return int(raw)


def _text(raw: bytes) -> str | list[str] | None:
    parts = [part.rstrip(b" ") for part in raw.rstrip(b"\0 ").split(b"\\")]
    if parts == [b""]:
        return None
    if not all(map(PLAIN_WORD.fullmatch, parts)):
        raise UnusualError
    return parts[0].decode("ascii") if len(parts) == 1 else [part.decode("ascii") for part in parts]


CONVERTED: Mapping[str, Callable[[bytes], Any]] = {
    "DS": _number, "IS": _whole, "CS": _text, "LO": _text, "UI": _text, "OV": bytes,
}  # fmt: skip
"""How values that are not two bytes are read."""
