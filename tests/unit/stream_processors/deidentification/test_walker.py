from __future__ import annotations

import hashlib
import struct
from io import BytesIO

import pydicom
import pytest

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    MoreNeededError,
    RefusedError,
    budget,
    deidentify,
    plan,
)
from stream_processors.deidentification.output import Range
from tests.support.dicoms import Options, ct_slice, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
RAW = to_bytes(ct_slice("a", Options(nested=True, private=True)))
PIXELS_AT = RAW.index(b"\xe0\x7f\x10\x00OW")
PREFIX = bytes(128) + b"DICM"
META = struct.pack("<HHBBH20s", 2, 0x10, 85, 73, 20, b"1.2.840.10008.1.2.1")
CLASS = struct.pack("<HH2sH26s", 0x0008, 0x0016, b"UI", 26, b"1.2.840.10008.5.1.4.1.1.2")
INSTANCE = struct.pack("<HH2sH4s", 0x0008, 0x0018, b"UI", 4, b"1.23")
EXPLICIT = PREFIX + META + CLASS + INSTANCE
SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
MODALITY = struct.pack("<HH2sH2s", 0x0008, 0x0060, b"CS", 2, b"CT")
IMPLICIT_MODALITY = struct.pack("<HHI2s", 0x0008, 0x0060, 2, b"CT")
IMPLICIT_NAME = struct.pack("<HHI6s", 0x0010, 0x0010, 6, b"ZQNAME")
UNKNOWN_SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"UN", 0, 0xFFFFFFFF)
PRIVATE_SEQUENCE = struct.pack("<HH2sHI", 0x0009, 0x1040, b"UN", 0, 0xFFFFFFFF)


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def sequence(content: bytes, vr: bytes = b"SQ") -> bytes:
    return struct.pack("<HH2sHI", 0x0008, 0x1140, vr, 0, len(content)) + content


NAME = struct.pack("<HH2sH6s", 0x0010, 0x0010, b"PN", 6, b"ZQNAME")


@pytest.mark.parametrize(
    "body",
    [
        MODALITY,
        SEQUENCE + ITEM + MODALITY + ITEM_END + SEQUENCE_END,
        SEQUENCE + SEQUENCE_END,
        SEQUENCE + ITEM + NAME + SEQUENCE_END[:0] + ITEM_END + SEQUENCE_END + MODALITY[:0],
        SEQUENCE + item(MODALITY + NAME) + item(NAME) + SEQUENCE_END,
        sequence(item(MODALITY) + item(NAME + MODALITY[:0])),
        sequence(ITEM + NAME + ITEM_END + item(NAME)),
        sequence(item(IMPLICIT_MODALITY + IMPLICIT_NAME), b"UN"),
        UNKNOWN_SEQUENCE + ITEM + IMPLICIT_MODALITY + IMPLICIT_NAME + ITEM_END + SEQUENCE_END,
        PRIVATE_SEQUENCE + ITEM + IMPLICIT_NAME + ITEM_END + SEQUENCE_END,
    ],
)
def test_a_well_formed_data_set_is_walked_to_its_end_and_its_lengths_follow(body: bytes) -> None:
    data = deidentify(EXPLICIT + body, NAMES).data
    assert b"ZQNAME" not in data
    output = pydicom.dcmread(BytesIO(data))
    names = [each.get("PatientName") for each in output.get("ReferencedImageSequence", [])]
    assert all(name is None or not str(name) for name in names)
    assert ("Modality" in str(output)) == (b"CT" in body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (MODALITY[:-1], "truncated"),
        (MODALITY[:5], "truncated"),
        (SEQUENCE, "truncated"),
        (SEQUENCE + ITEM + MODALITY, "truncated"),
        (SEQUENCE + ITEM + MODALITY + ITEM_END, "truncated"),
        (SEQUENCE + MODALITY, "malformed"),
        (sequence(item(MODALITY))[:-1], "truncated"),
        (sequence(item(MODALITY) + ITEM[:7]), "truncated"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0x7FFFFFFE), "truncated"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + item(b"ab"), "truncated"),
        (struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + MODALITY, "malformed"),
        (struct.pack("<HH2sH", 0x0008, 0x0060, b"!!", 0), "malformed"),
        ((SEQUENCE + ITEM) * 40, "too-large"),
    ],
)
def test_a_broken_data_set_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        deidentify(EXPLICIT + body, NAMES)


PIXELS = struct.pack("<HH2sHI2s", 0x7FE0, 0x10, b"OW", 0, 2, b"ZQ")
FRAGMENTS = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + item(b"ZQ") + SEQUENCE_END
ICON = struct.pack("<HH2sHI", 0x0088, 0x0200, b"SQ", 0, 0xFFFFFFFF)


@pytest.mark.parametrize("pixels", [PIXELS, FRAGMENTS])
def test_pixels_in_an_item_are_no_icon_s_and_nobody_looks_at_them(pixels: bytes) -> None:
    with pytest.raises(RefusedError, match="unsupported-content"):
        deidentify(EXPLICIT + SEQUENCE + ITEM + MODALITY + pixels + ITEM_END + SEQUENCE_END, NAMES)


@pytest.mark.parametrize("pixels", [PIXELS, FRAGMENTS])
def test_an_icon_goes_with_its_pixels(pixels: bytes) -> None:
    assert b"ZQ" not in deidentify(EXPLICIT + ICON + ITEM + pixels + ITEM_END + SEQUENCE_END, NAMES).data


def test_a_file_without_a_data_set_is_refused() -> None:
    with pytest.raises(RefusedError, match="truncated"):
        deidentify(PREFIX + META, NAMES)


def test_a_file_of_endless_items_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_ITEMS", 50)
    with pytest.raises(RefusedError, match="too-large"):
        deidentify(EXPLICIT + SEQUENCE + (ITEM + ITEM_END) * 60 + SEQUENCE_END, NAMES)


def test_a_walk_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_SECONDS", -1.0)
    with pytest.raises(RefusedError, match="deadline"):
        deidentify(EXPLICIT + SEQUENCE + (ITEM + ITEM_END) * budget.ITEMS_BETWEEN_LOOKS + SEQUENCE_END, NAMES)


@pytest.mark.parametrize(
    ("around", "tag", "vr"),
    [
        (b"", 0x00080060, b"CS"),
        (b"", 0x00091001, b"CS"),
        (b"", 0x00280010, b"US"),
        (SEQUENCE + ITEM, 0x00091001, b"CS"),
    ],
)
def test_a_file_of_endless_elements_is_refused(
    monkeypatch: pytest.MonkeyPatch, around: bytes, tag: int, vr: bytes
) -> None:
    monkeypatch.setattr(budget, "MAX_ITEMS", 500)
    one = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, 0)
    with pytest.raises(RefusedError, match="too-large"):
        deidentify(EXPLICIT + around + one * 20_000, NAMES)


@pytest.mark.parametrize("around", [b"", SEQUENCE + ITEM], ids=["top", "item"])
def test_a_walk_over_endless_elements_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, around: bytes
) -> None:
    monkeypatch.setattr(budget, "MAX_SECONDS", -1.0)
    with pytest.raises(RefusedError, match="deadline"):
        deidentify(EXPLICIT + around + MODALITY * 20_000, NAMES)


def test_a_file_without_a_transfer_syntax_is_refused() -> None:
    other = struct.pack("<HH2sH2s", 2, 0x16, b"AE", 2, b"AB")
    with pytest.raises(RefusedError, match="unsupported-transfer-syntax"):
        deidentify(PREFIX + other + MODALITY, NAMES)


@pytest.mark.parametrize("given", [PIXELS_AT + 12, PIXELS_AT + 40, len(RAW)])
def test_a_head_up_to_the_pixels_is_enough_and_they_are_only_named(given: int) -> None:
    made = plan(RAW[:given], len(RAW), NAMES)
    assert made.pieces[-1] == Range(PIXELS_AT + 12, len(RAW))
    assert b"".join(made.buffers(RAW)) == deidentify(RAW, NAMES).data
    assert made.header_size == sum(len(each) for each in made.pieces[:-1] if isinstance(each, bytes))


@pytest.mark.parametrize("given", [*range(132, PIXELS_AT + 12, 7)])
def test_a_head_that_is_too_short_says_so_and_is_never_taken_for_the_whole(given: int) -> None:
    with pytest.raises(MoreNeededError) as needed:
        plan(RAW[:given], len(RAW), NAMES)
    assert given < needed.value.size <= len(RAW)


def test_pixels_are_the_very_bytes_of_the_source() -> None:
    made = plan(RAW, len(RAW), NAMES, DEFAULT)
    last = list(made.buffers(RAW))[-1]
    assert isinstance(last, memoryview)
    assert last.obj is RAW


def test_a_head_that_ends_where_a_shorter_run_is_known_asks_for_more() -> None:
    latin = struct.pack("<HH2sH10s", 0x0008, 0x0005, b"CS", 10, b"ISO_IR 100")
    greek = latin.replace(b"100", b"126")
    long = PREFIX + META + latin + CLASS + INSTANCE
    with pytest.raises(RefusedError, match="missing-uids"):
        deidentify(PREFIX + META + latin + NAME, NAMES)  # after which the short run is known,
    for character_set in (greek, latin):  # and after which a longer one is the last that began so
        deidentify(PREFIX + META + character_set + CLASS + INSTANCE, NAMES)
    with pytest.raises(MoreNeededError):
        plan(long[: -len(CLASS + INSTANCE)], len(long), NAMES)
