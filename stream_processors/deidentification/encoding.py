"""How elements are coded (PS3.5 §7.1): the one place that writes them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from stream_processors.deidentification.dictionary import LONG_VRS

UNDEFINED: Final = 0xFFFFFFFF

Length = Callable[[bytes, int], tuple[int, ...]]

_TEXT_PADDING: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
)
_NUMBERS: Final = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q", "AT": "HH",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Encoding:
    """Explicit or implicit VR, little or big endian."""

    explicit: bool
    endian: str
    """`<` or `>`."""

    key_width: int
    """Bytes that tell one kind of element from another: the tag, and the VR where it is coded."""

    def length_u16(self) -> Length:
        """Read a 16-bit length."""
        return struct.Struct(self.endian + "H").unpack_from

    def length_u32(self) -> Length:
        """Read a 32-bit length."""
        return struct.Struct(self.endian + "I").unpack_from

    def tag(self, key: bytes) -> int:
        """Read a tag from the first four bytes of an element."""
        group, element = struct.unpack(self.endian + "HH", key[:4])
        return int(group) << 16 | int(element)

    def long(self, number: int) -> bytes:
        """Write a 32-bit length."""
        return struct.pack(self.endian + "I", number)

    def item(self, content: bytes) -> bytes:
        """Write a sequence item of defined length."""
        return struct.pack(self.endian + "HHI", 0xFFFE, 0xE000, len(content)) + content

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """Write one element, its value padded to an even length (PS3.5 §6.2)."""
        if len(value) & 1:
            value += b" " if vr in _TEXT_PADDING else b"\0"
        head, length = _head(self, tag, vr)
        return head + length(len(value)) + value

    def pixels_head(self, vr: str, length: int) -> bytes:
        """Write what stands before the value of Pixel Data."""
        head = struct.pack(self.endian + "HH", 0x7FE0, 0x0010)
        return head + (vr.encode("ascii") + b"\0\0" if self.explicit else b"") + self.long(length)

    def number(self, vr: str, value: int) -> bytes:
        """Write a number in a binary VR."""
        form = _NUMBERS[vr]
        return struct.pack(self.endian + form, *([value] * len(form)))

    def numbers(self, vr: str, value: bytes) -> tuple[int, ...]:
        """Read the values of a binary integer VR."""
        form = _NUMBERS[vr]
        size = struct.calcsize("=" + form)
        return struct.unpack(f"{self.endian}{len(value) // size}{form}", value[: len(value) // size * size])


@lru_cache(maxsize=4096)
def _head(encoding: Encoding, tag: int, vr: str) -> tuple[bytes, Callable[[int], bytes]]:
    """Give what stands before an element's length, and what writes that."""
    head = struct.pack(encoding.endian + "HH", tag >> 16, tag & 0xFFFF)
    if encoding.explicit and vr not in LONG_VRS:
        return head + vr.encode("ascii"), struct.Struct(encoding.endian + "H").pack
    if encoding.explicit:
        head += vr.encode("ascii") + b"\0\0"
    return head, struct.Struct(encoding.endian + "I").pack


EXPLICIT_LITTLE: Final = Encoding(True, "<", 6)
IMPLICIT_LITTLE: Final = Encoding(False, "<", 4)
EXPLICIT_BIG: Final = Encoding(True, ">", 6)
