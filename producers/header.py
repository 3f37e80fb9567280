"""What a gateway must know of a DICOM file before it may say "received": pure, from the file's first bytes.

Nothing is decoded beyond the few elements named here, and nothing that was read appears in an error.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from runtime.vault import Identity

Priority = Literal["stat", "routine", ""]
"""Ordered priority, "" where the object says none."""

HEAD_BYTES = 256 * 1024
"""bytes kept in memory while a file streams by; holds the header of nearly every object."""
MAX_HEADER_BYTES = 16 * 1024 * 1024
"""bytes; a header beyond this is refused: those of enhanced multi-frame objects stay well below."""
MAX_INFLATED_BYTES = 8 * 1024 * 1024
"""bytes of a deflated data set that are looked at: a few kilobytes can claim gigabytes."""
MAX_META_BYTES = 64 * 1024
"""bytes of file meta information (PS3.10 §7.1), which is about 400 in practice."""

PREAMBLE_END = 132
"""bytes: preamble and `DICM` (PS3.10 §7.1)."""
UNDEFINED_LENGTH = 0xFFFFFFFF
"""PS3.5 §7.1.1."""
ITEM_HEADER = 8
"""bytes of an element's tag and length, the least that an element takes."""

UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")
"""PS3.5 §9.1, but for leading zeros in a component, which devices do write."""
MAX_UID = 64
"""characters, PS3.5 §9.1."""

IMPLICIT_SYNTAXES = frozenset({ImplicitVRLittleEndian, "1.2.840.113619.5.2"})
"""PS3.5 §A.1, and GE's private variant of it (big-endian pixels)."""

PIXELS = range(0x7FE00001, 0x7FE10000)
"""Extended offset tables and pixel data: where a header ends."""
REQUEST_ATTRIBUTES = 0x00400275
REQUESTED_PROCEDURE_PRIORITY = 0x00401003

PRIORITIES: dict[str, Priority] = {
    "STAT": "stat", "HIGH": "stat", "ROUTINE": "routine", "MEDIUM": "routine", "LOW": "routine",
}  # fmt: skip
"""Defined terms of (0040,1003), PS3.3 §C.4.11; HIGH counts as the stricter of our two."""

IDENTITY_TAGS = {
    "patient_name": 0x00100010,
    "patient_id": 0x00100020,
    "issuer_of_patient_id": 0x00100021,
    "patient_birth_date": 0x00100030,
    "patient_sex": 0x00100040,
    "accession_number": 0x00080050,
    "study_date": 0x00080020,
    "study_time": 0x00080030,
    "study_description": 0x00081030,
    "referring_physician_name": 0x00080090,
    "institution_name": 0x00080080,
    "station": 0x00081010,
}
"""What the vault keeps of a study, by field of `Identity`."""
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
WANTED = frozenset(
    {
        SOP_CLASS,
        SOP_INSTANCE,
        STUDY,
        SERIES,
        REQUEST_ATTRIBUTES,
        REQUESTED_PROCEDURE_PRIORITY,
        *IDENTITY_TAGS.values(),
    }
)
LAST_WANTED = max(WANTED)

UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError,
    struct.error,
)  # fmt: skip
"""What pydicom raises for a wrong character set, value representation or nested sequence."""

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
"""A gateway takes what devices send: invalid values are no reason to refuse an object, nor to warn, which would quote them."""


class MalformedError(Exception):
    """The bytes are no DICOM object that can be taken in; `reason` is a class of failure and quotes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NeedMoreError(Exception):
    """The header is longer than the bytes given; give at least `size` of them."""

    def __init__(self, size: int) -> None:
        super().__init__(f"header needs {size} bytes")
        self.size = size


@dataclass(frozen=True, slots=True, repr=False)
class Header:
    """What the gateway needs. Every field but the classes may identify somebody, so its repr shows none."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    requested_priority: Priority
    identity: Identity

    def __repr__(self) -> str:
        return "Header(...)"


def read_header(head: bytes, size: int) -> Header:
    """Read and check a DICOM file (PS3.10) from its first bytes.

    Parameters
    ----------
    head
        The file's first bytes.
    size
        Length of the whole file in bytes: what an element claims beyond it was cut off.

    Raises
    ------
    MalformedError
        Reasons: `empty`, `archive`, `not-dicom`, `dicomdir`, `truncated`, `unreadable`, `missing-transfer-syntax`,
        `missing-uid`, `invalid-uid`, `header-too-large`.
    NeedMoreError
        `head` ends inside the header.
    """
    _sniff(head, size)
    try:
        return _read(head, size)
    except (MalformedError, NeedMoreError):
        raise
    except Exception as error:  # hostile bytes make pydicom raise almost anything; none of it may be shown
        raise MalformedError("unreadable") from error


def _sniff(head: bytes, size: int) -> None:
    if size == 0:
        raise MalformedError("empty")
    if head[PREAMBLE_END - 4 : PREAMBLE_END] == b"DICM":
        return
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!")):
        raise MalformedError("archive")
    raise MalformedError("not-dicom")


def _read(head: bytes, size: int) -> Header:
    file = io.BytesIO(head)
    file.seek(PREAMBLE_END)
    meta = _read_meta(file, size)
    syntax = _uid(meta, 0x00020010)
    if _uid(meta, 0x00020002) == MediaStorageDirectoryStorage:
        raise MalformedError("dicomdir")
    if not syntax:
        raise MalformedError("missing-transfer-syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset = _read_deflated(head[file.tell() :], complete=len(head) >= size)
    else:
        dataset = _read_elements(file, len(head), size, syntax)
    return _header(dataset, meta, syntax)


def _read_meta(file: io.BytesIO, size: int) -> Dataset:
    """File meta information, always explicit little endian; leaves the file at the first element after it."""

    def past_meta(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag >> 16 != 2:
            return True
        if file.tell() + length > min(size, MAX_META_BYTES):
            raise MalformedError("truncated" if file.tell() + length > size else "header-too-large")
        return False

    elements = data_element_generator(file, False, True, stop_when=past_meta)
    return Dataset({element.tag: element for element in elements})


def _read_elements(file: io.BytesIO, available: int, size: int, syntax: str) -> Dataset:
    """Walk the top level up to the pixels, each element's claimed length held against the file's size."""
    last_end = file.tell()

    def observe(tag: BaseTag, _vr: str | None, length: int) -> bool:
        nonlocal last_end
        end = available if length == UNDEFINED_LENGTH else file.tell() + length
        last_end = end
        if end > size:
            raise MalformedError("truncated")
        number = int(tag)  # a range compares plain integers and searches for anything else
        if number in PIXELS:
            return True
        if number > LAST_WANTED and (end > available or (length == UNDEFINED_LENGTH and available < size)):
            return True
        if end > available:
            raise NeedMoreError(end + ITEM_HEADER)
        return False

    def walk() -> Dataset:
        elements = data_element_generator(
            file,
            syntax in IMPLICIT_SYNTAXES,
            syntax != ExplicitVRBigEndian,
            observe,
            specific_tags=[BaseTag(tag) for tag in WANTED],
        )
        return Dataset({element.tag: element for element in elements})

    try:
        dataset = walk()
    except (EOFError, OSError, struct.error) as error:
        raise _cut(available, size) from error
    stopped = file.tell() + ITEM_HEADER <= available
    if not stopped and available < size:
        raise NeedMoreError(available * 2)
    if not stopped and any(file.getbuffer()[last_end:]):
        raise MalformedError("truncated")
    return dataset


def _cut(available: int, size: int) -> Exception:
    return NeedMoreError(available * 2) if available < size else MalformedError("truncated")


def _read_deflated(body: bytes, *, complete: bool) -> Dataset:
    """Inflate the beginning and read that (PS3.5 §A.5)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise MalformedError("unreadable") from error
    whole = inflater.eof
    if complete and not whole and len(plain) < MAX_INFLATED_BYTES:
        raise MalformedError("truncated")
    size = len(plain) if whole else UNDEFINED_LENGTH
    try:
        return _read_elements(io.BytesIO(plain), len(plain), size, ExplicitVRLittleEndian)
    except NeedMoreError as error:
        raise MalformedError("header-too-large") if complete else NeedMoreError(4 * len(body)) from error


def _header(dataset: Dataset, meta: Dataset, syntax: str) -> Header:
    study, series, instance = (_uid(dataset, tag) for tag in (STUDY, SERIES, SOP_INSTANCE))
    sop_class = _uid(dataset, SOP_CLASS) or _uid(meta, 0x00020002)
    if not (study and series and instance and sop_class):
        raise MalformedError("missing-uid")
    for uid in (study, series, instance, sop_class, syntax):
        if len(uid) > MAX_UID or not UID_PATTERN.fullmatch(uid):
            raise MalformedError("invalid-uid")
    identity = Identity(
        study_instance_uid=study, **{name: _text(dataset, tag) for name, tag in IDENTITY_TAGS.items()}
    )
    return Header(study, series, instance, sop_class, syntax, _priority(dataset), identity)


def registered(uid: str) -> str:
    """Return a class or syntax that PS3.6 Annex A registers, else "": a UID of one device may name one examination."""
    return uid if UID(uid, pydicom.config.IGNORE).type else ""


def _uid(dataset: Dataset, tag: int) -> str:
    """Return a UID without its padding, "" where there is none; bytes beyond ASCII make it an invalid one."""
    if tag not in dataset:
        return ""
    value = dataset.get_item(tag).value or b""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")


def _text(dataset: Dataset, tag: int) -> str:
    """Return an element as text in its own character set; what cannot be decoded is left out, the study is not."""
    try:
        value = dataset[tag].value if tag in dataset else None
        if value is None:
            return ""
        parts = value if isinstance(value, pydicom.multival.MultiValue) else [value]
        return "\\".join(str(part) for part in parts).strip(" \0")
    except UNREADABLE:
        return ""


def _priority(dataset: Dataset) -> Priority:
    """(0040,1003) of the object or of the requests it answers; the strictest where they differ."""
    found = {PRIORITIES.get(_text(dataset, REQUESTED_PROCEDURE_PRIORITY).upper(), "")}
    try:
        requests = dataset[REQUEST_ATTRIBUTES].value if REQUEST_ATTRIBUTES in dataset else []
        found |= {
            PRIORITIES.get(_text(each, REQUESTED_PROCEDURE_PRIORITY).upper(), "") for each in requests or []
        }
    except UNREADABLE:
        found.add("")
    return "stat" if "stat" in found else "routine" if "routine" in found else ""
