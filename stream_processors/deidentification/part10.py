"""The frame of a Part 10 file (PS3.10 §7): preamble, file meta group, transfer syntax, deflation."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final, NamedTuple

from stream_processors.deidentification.dictionary import LONG_VRS, SHORT_VRS, registered_type
from stream_processors.deidentification.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
)
from stream_processors.deidentification.profile import IMPLEMENTATION_VERSION
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError

PREFIX_END: Final = 132
"""bytes; 128 of preamble and "DICM" (PS3.10 §7.1)."""

MAX_INFLATED_BYTES: Final = 512 * 1024 * 1024
"""bytes; a deflated data set may not grow beyond this: 1 MB of zeros deflates to 1 kB."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.190713946128407210284659315582012370117"

EXPLICIT: Final = "1.2.840.10008.1.2.1"
MEDIA_DIRECTORY: Final = b"1.2.840.10008.1.3.10"
"""A DICOMDIR describes files that are not here; it has to be made anew from clean ones."""
NEWER_SYNTAXES: Final = frozenset({"1.2.840.10008.1.2.8.1"})
"""Explicit VR Little Endian ones that the dictionary does not know yet: Deflated Image Frame."""
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
NATIVE: Final = frozenset({"1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.2"})
"""Syntaxes whose pixels are no fragments, so that their length is known beforehand."""
_SHORT_VRS: Final = frozenset(vr.encode("ascii") for vr in SHORT_VRS)
_ENCODINGS: Final = {"1.2.840.10008.1.2": IMPLICIT_LITTLE, "1.2.840.10008.1.2.2": EXPLICIT_BIG}


class Part10(NamedTuple):
    """A file whose frame was read; `raw` is never deflated."""

    raw: bytes
    size: int
    """Bytes of the whole file; `raw` may be its head only."""
    data_set_at: int
    transfer_syntax_uid: str
    """Of the output: deflated files leave as Explicit VR Little Endian."""
    encoding: Encoding
    authenticator: bytes
    """What stands in (0002,0102): on our own output, the proof that it is ours."""


def read_part10(raw: bytes, size: int) -> Part10:
    """Read the file meta group; (0002,0000) is not relied on.

    Raises
    ------
    RefusedError
        not-dicom, truncated, malformed, too-large or unsupported-transfer-syntax.
    MoreNeededError
        When the head ends within the group, or the file is deflated and not all there.
    """
    if len(raw) < min(size, PREFIX_END + 12):
        raise MoreNeededError(size)
    if raw[128:132] != b"DICM":
        raise RefusedError("not-dicom")
    at, found = PREFIX_END, {}
    while raw[at : at + 2] == b"\x02\x00":
        if raw[at + 4 : at + 6] in _SHORT_VRS and len(raw) >= at + 12:
            begin, length = at + 8, raw[at + 6] | raw[at + 7] << 8
        else:
            begin, length = _value(raw, at)
        if begin + length > len(raw):  # not all there, or not all given
            raise MoreNeededError(min(size, 2 * len(raw))) if len(raw) < size else RefusedError("truncated")
        found[raw[at + 2 : at + 4]] = raw[begin : begin + length]
        at = begin + length
    if len(raw) < at + 8 and len(raw) < size:
        raise MoreNeededError(min(size, at + 65536))
    syntax = _syntax(found, at)
    if syntax == DEFLATED:
        if len(raw) < size:
            raise MoreNeededError(size)
        raw, syntax = raw[:at] + _inflate(raw[at:]), EXPLICIT
        size = len(raw)
    if size == at:
        raise RefusedError("truncated")
    encoding = _ENCODINGS.get(syntax, EXPLICIT_LITTLE)
    return Part10(raw, size, at, syntax, encoding, found.get(b"\x02\x01", b""))


def write_meta(sop_class: str, sop_instance: str, syntax: str, authenticator: bytes) -> bytes:
    """Write preamble, prefix and file meta group of our own (PS3.10 §7.1)."""
    element = EXPLICIT_LITTLE.element
    before, after = _constant_meta(sop_class, syntax)
    instance, seal = (
        element(0x00020003, "UI", sop_instance.encode("ascii")),
        element(0x00020102, "OB", authenticator),
    )
    group = b"".join((before, instance, after, seal))
    length = element(0x00020000, "UL", EXPLICIT_LITTLE.long(len(group)))
    return bytes(128) + b"DICM" + length + group


@lru_cache(maxsize=256)
def _constant_meta(sop_class: str, syntax: str) -> tuple[bytes, bytes]:
    element = EXPLICIT_LITTLE.element
    before = element(0x00020001, "OB", b"\0\1") + element(0x00020002, "UI", sop_class.encode("ascii"))
    after = (
        element(0x00020010, "UI", syntax.encode("ascii"))
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + element(0x00020013, "SH", IMPLEMENTATION_VERSION.encode("ascii"))
        + element(0x00020100, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii"))
    )
    return before, after


def _syntax(found: dict[bytes, bytes], at: int) -> str:
    syntax = found.get(b"\x10\x00", b"").decode("latin-1").strip(" \0")
    if not syntax:
        raise RefusedError("unsupported-transfer-syntax" if at > PREFIX_END else "truncated")
    if found.get(b"\x02\x00", b"").startswith(MEDIA_DIRECTORY):
        raise RefusedError("unsupported-content")
    if registered_type(syntax) != "Transfer Syntax" and syntax not in NEWER_SYNTAXES:
        raise RefusedError("unsupported-transfer-syntax")
    return syntax


def _value(raw: bytes, at: int) -> tuple[int, int]:
    if len(raw) < at + 12:
        return len(raw), 1
    vr = raw[at + 4 : at + 6].decode("latin-1")
    if not (vr.isalpha() and vr.isupper()):
        raise RefusedError("malformed")
    if vr in LONG_VRS:
        return at + 12, int.from_bytes(raw[at + 8 : at + 12], "little")
    return at + 8, int.from_bytes(raw[at + 6 : at + 8], "little")


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
