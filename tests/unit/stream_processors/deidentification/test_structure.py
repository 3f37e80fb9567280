from __future__ import annotations

import struct

import pytest

from stream_processors.deidentification import RefusedError, structure
from stream_processors.deidentification.structure import read_layout
from tests.support.dicoms import Options, ct_slice, to_bytes

RAW = to_bytes(ct_slice("a", Options(nested=True)))
PIXELS_AT = RAW.index(b"\xe0\x7f\x10\x00OW")
PREFIX = bytes(128) + b"DICM"
EXPLICIT = PREFIX + struct.pack("<HHBBH20s", 2, 0x10, 85, 73, 20, b"1.2.840.10008.1.2.1")
SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
MODALITY = struct.pack("<HH2sH2s", 0x0008, 0x0060, b"CS", 2, b"CT")
IMPLICIT_MODALITY = struct.pack("<HHI2s", 0x0008, 0x0060, 2, b"CT")
UNKNOWN_SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"UN", 0, 0xFFFFFFFF)


def test_the_pixel_data_element_is_found_and_the_rest_is_the_header() -> None:
    layout = read_layout(RAW)
    assert (layout.pixels_at, layout.part10) == (PIXELS_AT, RAW)
    assert layout.transfer_syntax_uid == "1.2.840.10008.1.2.1"


def test_what_trails_the_pixels_is_cut() -> None:
    assert read_layout(RAW + b"anything at all").part10 == RAW


@pytest.mark.parametrize(
    "body",
    [
        MODALITY,
        SEQUENCE + ITEM + MODALITY + ITEM_END + SEQUENCE_END,
        SEQUENCE + SEQUENCE_END,
        SEQUENCE + ITEM + SEQUENCE + SEQUENCE_END + ITEM_END + SEQUENCE_END + MODALITY,
        UNKNOWN_SEQUENCE + ITEM + IMPLICIT_MODALITY + ITEM_END + SEQUENCE_END + MODALITY,
    ],
)
def test_a_well_formed_data_set_is_walked_to_its_end(body: bytes) -> None:
    assert read_layout(EXPLICIT + body).pixels_at == len(EXPLICIT + body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (MODALITY[:-1], "truncated"),
        (MODALITY[:5], "truncated"),
        (SEQUENCE, "truncated"),
        (SEQUENCE + ITEM + MODALITY, "truncated"),
        (SEQUENCE + ITEM + MODALITY + ITEM_END, "truncated"),
        (SEQUENCE + MODALITY, "malformed"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0x7FFFFFFE), "truncated"),
        (struct.pack("<HH2sH", 0x0008, 0x0060, b"!!", 0), "malformed"),
        ((SEQUENCE + ITEM) * 40, "too-large"),
    ],
)
def test_a_broken_data_set_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read_layout(EXPLICIT + body)


def test_a_file_of_endless_items_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MAX_ELEMENTS", 50)
    with pytest.raises(RefusedError, match="too-large"):
        read_layout(EXPLICIT + SEQUENCE + (ITEM + ITEM_END) * 60 + SEQUENCE_END)


def test_a_file_without_a_transfer_syntax_is_refused() -> None:
    other = struct.pack("<HH2sH2s", 2, 0x16, b"AE", 2, b"AB")
    with pytest.raises(RefusedError, match="unsupported-transfer-syntax"):
        read_layout(PREFIX + other + MODALITY)
