"""A reader of DICOM files that shares no code with the walker: plain recursion, no shortcuts, no memory.

It exists to doubt. Where it and the walker disagree about a file, the file is not handed on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from stream_processors.deidentification.refusal import RefusedError

FOUR_BYTE_LENGTHS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
TWO_BYTE_LENGTHS = (
    "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # noqa: SIM905 - read as a list
)
NO_LENGTH = 0xFFFFFFFF
DEEPEST = 64
"""Levels; the walker's own limit is lower."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element, nested ones with the tags of the sequences around them."""

    around: tuple[int, ...]
    tag: int
    vr: str
    value: bytes
    """Empty for sequences and for pixels."""
    items: int = 0


@dataclass(slots=True)
class Reading:
    """All elements of a file, in order."""

    meta: list[Element] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    transfer_syntax: str = ""
    data_set_at: int = 0
    pixels_at: int = -1
    end: int = 0


def read_again(data: bytes, size: int | None = None) -> Reading:
    """Read a Part 10 file that is not deflated.

    Parameters
    ----------
    data
        All of it; or its bytes before the value of its pixels.
    size
        Bytes of the whole file, where `data` is not all; -1 where only its fragments will tell.

    Raises
    ------
    RefusedError
        verification-failed, for whatever is not as it must be.
    """
    try:
        return _Reader(data, len(data) if size is None else size).read()
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError):
        raise RefusedError("verification-failed") from None


@lru_cache(maxsize=8192)
def _dictionary(tag: int) -> str:
    if not dictionary_has_tag(tag):
        return ""
    return {"OB or OW": "OW"}.get(dictionary_VR(tag), dictionary_VR(tag)[:2])


def _fail() -> NoReturn:
    raise RefusedError("verification-failed")


class _Reader:
    def __init__(self, data: bytes, size: int) -> None:
        self.data = data
        self.size = size
        self.at = 132
        self.reading = Reading()

    def read(self) -> Reading:
        if self.data[128:132] != b"DICM" or any(self.data[:128]):
            _fail()
        while self.at < len(self.data) and self.data[self.at : self.at + 2] == b"\x02\x00":
            tag, vr, length = self._head("<", True)
            self.reading.meta.append(Element((), tag, vr, self._take(length)))
        syntaxes = [each.value for each in self.reading.meta if each.tag == 0x00020010]
        if len(syntaxes) != 1:
            _fail()
        self.reading.transfer_syntax = syntaxes[0].decode("ascii").rstrip("\0 ")
        self.reading.data_set_at = self.at
        order = ">" if self.reading.transfer_syntax == "1.2.840.10008.1.2.2" else "<"
        self._elements(order, self.reading.transfer_syntax != "1.2.840.10008.1.2", (), len(self.data))
        self.reading.end = self.at
        return self.reading

    def _head(self, order: str, explicit: bool) -> tuple[int, str, int]:
        group, element = struct.unpack_from(order + "HH", self.data, self.at)
        tag = group << 16 | element
        self.at += 4
        vr = ""
        if group != 0xFFFE and explicit:
            vr = self.data[self.at : self.at + 2].decode("ascii")
            self.at += 2
            if vr in TWO_BYTE_LENGTHS:
                (length,) = struct.unpack_from(order + "H", self.data, self.at)
                self.at += 2
                return tag, vr, int(length)
            if vr not in FOUR_BYTE_LENGTHS:
                _fail()
            self.at += 2
        (length,) = struct.unpack_from(order + "I", self.data, self.at)
        self.at += 4
        return tag, vr if explicit else _dictionary(tag) or "UN", int(length)

    def _take(self, length: int) -> bytes:
        begin, self.at = self.at, self.at + length
        if self.at > len(self.data):
            _fail()
        return self.data[begin : self.at]

    def _elements(self, order: str, explicit: bool, around: tuple[int, ...], end: int) -> bool:
        """Read elements up to `end`; say whether an item delimiter ended them."""
        if len(around) > DEEPEST:
            _fail()
        add = self.reading.elements.append
        before = -1
        while self.at < end:
            start = self.at
            tag, vr, length = self._head(order, explicit)
            if tag == 0xFFFEE00D:
                return True
            if tag <= before or tag >> 16 == 0xFFFE:
                _fail()
            before = tag
            if tag in (0x7FE00008, 0x7FE00009, 0x7FE00010):
                if around:
                    _fail()
                self.reading.pixels_at = start
                add(Element(around, tag, vr, b""))
                self._pixels(length)
                return False
            if vr == "SQ" or length == NO_LENGTH or (vr == "UN" and _dictionary(tag) == "SQ"):
                place = len(self.reading.elements)
                add(Element(around, tag, vr, b""))
                implicit = vr == "UN"
                items = self._items(
                    "<" if implicit else order, explicit and not implicit, (*around, tag), length
                )
                self.reading.elements[place] = Element(around, tag, vr, b"", items)
            else:
                add(Element(around, tag, vr, self._take(length)))
        if self.at != end:
            _fail()
        return False

    def _items(self, order: str, explicit: bool, around: tuple[int, ...], length: int) -> int:
        end = len(self.data) if length == NO_LENGTH else self.at + length
        if end > len(self.data):
            _fail()
        items = 0
        while self.at < end:
            tag, _, size = self._head(order, explicit)
            if tag == 0xFFFEE0DD and length == NO_LENGTH:
                return items
            if tag != 0xFFFEE000:
                _fail()
            items += 1
            stop = end if size == NO_LENGTH else self.at + size
            if stop > end or self._elements(order, explicit, around, stop) != (size == NO_LENGTH):
                _fail()
        if length == NO_LENGTH or self.at != end:
            _fail()
        return items

    def _pixels(self, length: int) -> None:
        if length != NO_LENGTH:
            self.at += length
        elif self.size < 0:  # the fragments are followed as they pass
            self.at = self.size
        else:
            follower = Follower()
            follower.feed(memoryview(self.data)[self.at :])
            self.at = len(self.data)
            follower.end()
        if self.at > self.size:
            _fail()


class Follower:
    """Reads the fragments of encapsulated pixels as they pass (PS3.5 §A.4): items, then a delimiter, then nothing."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._ended = False

    def feed(self, chunk: memoryview) -> None:
        """Read on.

        Raises
        ------
        RefusedError
            verification-failed.
        """
        while chunk:
            if self._ended:
                _fail()
            passed = min(self._left, len(chunk))
            self._left -= passed
            chunk = chunk[passed:]
            if not self._left and chunk:
                missing = 8 - len(self._head)
                self._head += bytes(chunk[:missing])
                chunk = chunk[missing:]
                self._next()

    def _next(self) -> None:
        if len(self._head) < 8:
            return
        group, element, length = struct.unpack("<HHI", self._head)
        if (group, element) == (0xFFFE, 0xE0DD) and not length:
            self._ended = True
        elif (group, element) != (0xFFFE, 0xE000):
            _fail()
        self._left, self._head = length, b""

    def end(self) -> None:
        """Say that nothing comes any more.

        Raises
        ------
        RefusedError
            verification-failed, when the delimiter has not come.
        """
        if not self._ended:
            _fail()
