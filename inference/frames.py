"""A DICOM file as a header and frames by byte ranges: pixel bytes are not copied, and not read before they are wanted.

A whole file in memory and an object in a store look alike from here: both are a function that gives bytes from a position.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from inference import syntaxes
from inference.header import ITEM, PIXEL_DATA, UNDEFINED, Attributes, Buffer, Place, read_header
from inference.spec import NotAcceptableError

Fetch = Callable[[int, int | None], Buffer]
"""``fetch(start, length)``: that many bytes (None: all there are) of the file from ``start``; fewer where it ends before."""

DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError, EOFError, ArithmeticError,
    AssertionError, MemoryError, struct.error, zlib.error, InvalidDicomError, BytesLengthException,
)  # fmt: skip
"""What the DICOM library and the decoders raise on damaged files; elements are parsed when they are first asked for."""

warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
"""The library's warnings and logs quote values. Set once: to set it per call is not safe among threads."""

DEFLATED = syntaxes.DEFLATED.encode()
EXPLICIT_LITTLE = syntaxes.EXPLICIT_LITTLE.encode().ljust(len(DEFLATED), b"\0")
"""Values of Transfer Syntax UID, at one length."""
META = slice(132, 1024)
"""Bytes of a file in which its meta information lies (PS3.10 §7.1)."""
LARGEST_INFLATED = 1 << 29
"""Bytes a deflated data set may grow to: 512 MB is a long multi-frame; more is a bomb."""
STARTS = (b"\xff\xd8", b"\xff\x4f")
"""First bytes of a JPEG (SOI) and of a JPEG 2000 codestream (SOC): where a frame begins if no table says so."""


@contextmanager
def refusing(reason: str) -> Iterator[None]:
    """Turn what damage raises into a refusal. The cause is cut off: it may quote the file."""
    try:
        yield
    except DAMAGE:
        raise NotAcceptableError(reason) from None


@dataclass(frozen=True)
class DicomImage:
    """A header, and where the value of its Pixel Data lies in the file."""

    header: Attributes
    syntax: str
    """Transfer syntax UID."""
    start: int
    """Position of the first byte of the value."""
    length: int
    """Bytes, or :data:`UNDEFINED` where the frames are encapsulated (PS3.5 §A.4)."""
    fetch: Fetch

    @property
    def frames(self) -> int:
        """Number of frames, at least 1."""
        return max(1, int(self.header.get("NumberOfFrames") or 1))

    @property
    def encapsulated(self) -> bool:
        """Whether the value is fragments rather than native values."""
        return self.length == UNDEFINED

    def native_span(self, index: int) -> tuple[int, int]:
        """Start and length of a native frame; of values of one bit, of all bytes that hold some of it."""
        header = self.header
        samples = int(header.get("SamplesPerPixel") or 1)
        per_pixel = samples
        if str(header.get("PhotometricInterpretation") or "").startswith("YBR_FULL_422"):
            per_pixel = 2  # two pixels share their colour (PS3.3 §C.7.6.3.1.2)
        bits = int(header.Rows) * int(header.Columns) * per_pixel * int(header.BitsAllocated)
        first, last = index * bits // 8, -(-(index + 1) * bits // 8)
        return self.start + first, last - first

    def frame(self, index: int) -> Buffer:
        """Bytes of a frame: native values, or the codestream of an encapsulated one.

        Raises :class:`NotAcceptableError`: ``pixel data truncated``, or ``pixel data unreadable`` where the fragments cannot
        be told apart.
        """
        with refusing("pixel data unreadable"):
            if self.encapsulated:
                return self._codestream(index)
            start, length = self.native_span(index)
            found = self.fetch(start, length)
        if len(found) < length:
            raise NotAcceptableError("pixel data truncated")
        return found

    def _codestream(self, index: int) -> Buffer:
        size = struct.unpack("<I", self.fetch(self.start + 4, 4))[0]
        first = self.start + 8 + size
        offsets = self._offsets(size)
        if self.frames > 1 and len(offsets) == self.frames:
            end = offsets[index + 1] - offsets[index] if index + 1 < len(offsets) else None
            return _joined(_fragments(self.fetch(first + offsets[index], end)))
        fragments = _fragments(self.fetch(first, None))
        if self.frames == 1:
            return _joined(fragments)
        if len(fragments) == self.frames:
            return fragments[index]
        groups: list[list[Buffer]] = []
        for fragment in fragments:
            if bytes(fragment[:2]) in STARTS or not groups:
                groups.append([])
            groups[-1].append(fragment)
        if len(groups) != self.frames:
            raise NotAcceptableError("pixel data unreadable")
        return _joined(groups[index])

    def _offsets(self, size: int) -> list[int]:
        """Offsets of the frames' first items: of the extended table where there is one, else the basic one (PS3.5 §A.4)."""
        if extended := self.header.get("ExtendedOffsetTable"):
            return list(struct.unpack(f"<{len(extended) // 8}Q", extended))
        table = self.fetch(self.start + 8, size // 4 * 4)
        return list(struct.unpack(f"<{len(table) // 4}I", table))


def open_image(data: Buffer, fetch: Fetch | None = None) -> DicomImage:
    """Read a file's header.

    Parameters
    ----------
    data
        The whole file, or at least everything before the value of Pixel Data.
    fetch
        How to get the frames, where ``data`` is the head only.

    Raises
    ------
    NotAcceptableError
        ``not a DICOM file``, or ``no pixel data``.
    """
    with refusing("not a DICOM file"):
        data, fetch = inflated(data, fetch)
        if found := read_header(data):
            header, syntax, place = found
            return DicomImage(header, syntax, place.start, place.length, fetch or in_memory(data))
    return open_by_library(data, fetch)[0]


def open_by_library(data: Buffer, fetch: Fetch | None = None) -> tuple[DicomImage, Dataset]:
    """The same with every attribute, slower: for what :mod:`inference.header` leaves alone, and for looks at all of a header."""
    with refusing("not a DICOM file"):
        data, fetch = inflated(data, fetch)
        reader = BytesIO(data)
        seen: list[tuple[str | None, int]] = []

        def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
            if int(tag) < PIXEL_DATA:
                return False
            if int(tag) == PIXEL_DATA:
                seen.append((vr, length))
            return True

        header = read_partial(reader, at_pixels)
        syntax = str(header.file_meta.get("TransferSyntaxUID") or syntaxes.IMPLICIT_LITTLE)
        explicit = bool(seen) and seen[0][0] is not None and not header.original_encoding[0]
        place = Place(reader.tell() + (12 if explicit else 8), seen[0][1] if seen else 0)
    if not seen:
        raise NotAcceptableError("no pixel data")
    image = DicomImage(header, syntax, place.start, place.length, fetch or in_memory(data))
    return image, header


def in_memory(data: Buffer) -> Fetch:
    """Ranges of a file that is there as a whole, without a copy."""
    view = memoryview(data)
    return lambda start, length: view[start : None if length is None else start + length]


def inflated(data: Buffer, fetch: Fetch | None) -> tuple[Buffer, Fetch | None]:
    """A file with its data set inflated (PS3.5 §A.5), which has to be there as a whole; any other as it is."""
    if DEFLATED not in bytes(data[META]):
        return data, fetch
    whole = data if fetch is None else fetch(0, None)
    end = 144 + struct.unpack("<I", whole[140:144])[0]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(whole[end:], LARGEST_INFLATED)
    if inflater.unconsumed_tail:
        raise NotAcceptableError("absurd size")
    return bytes(whole[:end]).replace(DEFLATED, EXPLICIT_LITTLE) + body, None


def _fragments(items: Buffer) -> list[Buffer]:
    """Values of the items of an encapsulated value, up to its delimiter or its end."""
    found: list[Buffer] = []
    at = 0
    while at + 8 <= len(items):
        group, element, size = struct.unpack_from("<HHI", items, at)
        if (group << 16 | element) != ITEM:
            break
        if at + 8 + size > len(items):
            raise NotAcceptableError("pixel data truncated")
        found.append(items[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def _joined(fragments: list[Buffer]) -> Buffer:
    if not fragments:
        raise NotAcceptableError("pixel data unreadable")
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)
