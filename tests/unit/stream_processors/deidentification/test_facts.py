"""The few attributes on which decisions rest are read, and no others."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from cli.demo_studies import public_file
from stream_processors.deidentification import (
    DEFAULT,
    MoreNeededError,
    Profile,
    RefusedError,
    deidentify,
    facts,
    plan,
)
from stream_processors.deidentification.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
)
from stream_processors.deidentification.part10 import EXPLICIT, write_meta
from tests.support.elements import NAMES, element, endless, item, look

EVERY = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
ATTRIBUTES, PRIORITY = 0x00400275, 0x00401003
FRAMES, ROWS = 0x00280008, 0x00280010
MODALITY = element(0x00080060, "CS", b"CT")


pytestmark = pytest.mark.usefixtures("cold")


def test_every_fact_that_is_asked_for_is_read_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[int] = set()

    class Asked(dict[int, bytes]):
        def get(self, key: int, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

    real = facts.Facts
    monkeypatch.setattr(facts, "Facts", lambda _values, *rest: real(Asked(), *rest))
    raw = public_file("CT_small.dcm")
    for options in ((), ("113101",)):
        plan(raw, len(raw), NAMES, Profile(DEFAULT.options | set(options)))
    assert asked == facts.TAGS


@pytest.mark.parametrize(
    ("value", "character_set", "text"),
    [
        (b" CHEST \0", b"", "CHEST"),
        (b"\xc1\xc2", b"", "ÁÂ"),
        (b"\xc1\xc2", b"ISO_IR 126", "ΑΒ"),
        (b"\xc1\xc2 ", b"\\ISO 2022 IR 126 ", "ΑΒ"),
        (b"\xc3\x84", b"ISO_IR 192", "Ä"),
        (b"\xff", b"ISO_IR 192", "ÿ"),  # no UTF-8, so that each byte stands for itself
        (b"", b"ISO_IR 126", ""),
    ],
)
def test_a_text_is_read_in_the_character_set_of_its_file(
    value: bytes, character_set: bytes, text: str
) -> None:
    coded = element(0x00080005, "CS", character_set)
    assert look(coded + element(0x0008103E, "LO", value)).text(0x0008103E) == text


def test_a_text_that_is_absent_is_empty() -> None:
    assert look(MODALITY).text(0x0008103E) == ""


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (b"12", 12),
        (b" 12\0", 12),
        (b"12\\13", 12),
        (b"0 ", 0),
        (b"", 7),
        (b"-1", 7),
        (b"1.5 ", 7),
        (b"\xb2 ", 7),  # a superscript
        (b"2147483647", 2147483647),  # the largest IS (PS3.5 §6.2), and the largest count of an event
        (b"2147483648", 7),
        (b"000000000012", 12),  # no IS has more than 12 bytes
        (b"0000000000012", 7),
        (b"9" * 5000, 7),
    ],
)
@pytest.mark.parametrize("encoding", EVERY)
def test_frames_are_counted_by_a_text(encoding: Encoding, value: bytes, count: int) -> None:
    assert look(element(FRAMES, "IS", value, encoding), encoding=encoding).count(FRAMES, 7) == count


def test_a_file_of_more_frames_than_anybody_can_count_has_one() -> None:
    uids = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0") + element(0x00080018, "UI", b"1.22")
    for digits in (19, 20, 5000):
        raw = write_meta("1.2.840.10008.5.1.4.1.1.2", "1.22", EXPLICIT, bytes(32)) + uids
        done = deidentify(raw + element(FRAMES, "IS", b"9" * digits + b" " * (digits % 2)), NAMES)
        assert done.context.number_of_frames == 1


@pytest.mark.parametrize("encoding", EVERY)
@pytest.mark.parametrize(
    ("frames", "described"),
    [
        (None, 24),
        (b"", 24),
        (b"0 ", 24),
        (b"2 ", 48),
        (b"9 ", 216),
        (b"1A", 72),  # of the 80 bytes that there are
        (b"-1", 72),
    ],
)
def test_the_header_says_how_many_bytes_the_pixels_have(
    encoding: Encoding, frames: bytes | None, described: int
) -> None:
    """Bytes behind them are blanked: frames whose number cannot be read must not be."""
    numbers = ((0x00280002, 3), (ROWS, 2), (0x00280011, 2), (0x00280100, 16))
    elements = [element(tag, "US", encoding.number("US", number), encoding) for tag, number in numbers]
    if frames is not None:
        elements.insert(1, element(FRAMES, "IS", frames, encoding))

    assert look(b"".join(elements), encoding=encoding).pixel_bytes(80) == described


def test_without_a_size_nothing_is_divided_by_it() -> None:
    elements = [element(FRAMES, "IS", b"1A"), element(ROWS, "US", b"\0\0")]

    assert look(b"".join(elements)).pixel_bytes(80) == 0


@pytest.mark.parametrize("encoding", EVERY)
def test_other_counts_are_binary_and_the_first_of_several_is_read(encoding: Encoding) -> None:
    for numbers, count in (((258,), 258), ((3, 4), 3), ((), 7)):
        value = struct.pack(f"{encoding.endian}{len(numbers)}H", *numbers)
        found = look(element(ROWS, "US", value, encoding), encoding=encoding)
        assert found.count(ROWS, 7) == count
        assert found.count(0x00280011, 7) == 7
    assert look(element(ROWS, "US", b"\1", encoding), encoding=encoding).count(ROWS, 7) == 7


@pytest.mark.parametrize("encoding", EVERY)
def test_priorities_are_read_at_top_level_and_in_every_item(encoding: Encoding) -> None:
    def stated(text: bytes) -> bytes:
        return element(PRIORITY, "SH", text, encoding)

    def requests(*items: bytes) -> bytes:
        return element(ATTRIBUTES, "SQ", b"".join(items), encoding)

    key = stated(b"")[: 6 if encoding.explicit else 4]
    before = element(0x00400007, "LO", b"CHEST ", encoding)
    behind = element(0x00401400, "LT", b"LOW " * 20, encoding)
    for raw, found in (
        (b"", [""]),
        (stated(b"STAT"), ["STAT"]),
        (requests(), [""]),
        (requests(item(before, encoding)), [""]),
        (requests(item(stated(b"STAT"), encoding)), ["", "STAT"]),
        (requests(item(before + stated(b"LOW\0") + behind, encoding)), ["", "LOW"]),
        (requests(item(stated(b" LOW"), encoding)) + stated(b"STAT"), ["STAT", "LOW"]),
        (requests(item(stated(b"LOW ") + behind, encoding), item(stated(b"STAT"), encoding)), ["", "LOW", "STAT"]),
        (requests(item(stated(b""), encoding), item(b"", encoding), item(stated(b"HIGH"), encoding)), ["", "", "HIGH"]),
        (requests(item(stated(b"LOW ") + stated(b"STAT"), encoding)), ["", "LOW", "STAT"]),
        (requests(item(stated(key), encoding)), ["", key.decode().strip("\0")]),  # what a text holds is none
        (requests(stated(b"STAT")), ["", "STAT"]),  # without an item: the walk refuses the file
        (requests(item(stated(b"STAT PRIORITY STAT")[:-8], encoding)), ["", "STAT PRIOR"]),  # cut short
    ):  # fmt: skip
        assert look(raw, encoding=encoding).priorities() == found


def test_of_several_requests_the_most_urgent_counts() -> None:
    uids = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0") + element(0x00080018, "UI", b"1.22")
    requests = [item(element(PRIORITY, "SH", text)) for text in (b"LOW ", b"STAT")]
    for order in (requests, requests[::-1]):
        raw = write_meta("1.2.840.10008.5.1.4.1.1.2", "1.22", EXPLICIT, bytes(32)) + uids
        raw += element(ATTRIBUTES, "SQ", b"".join(order))
        assert deidentify(raw, NAMES).context.requested_priority == "stat"


def test_facts_are_read_at_top_level_only_and_the_first_of_two_counts() -> None:
    nested = element(0x00081140, "SQ", item(element(0x00080016, "UI", b"1.23")))
    also = endless(0x00081140, element(0x00080018, "UI", b"1.24"))
    for _ in range(3):
        found = look(nested + also + MODALITY + element(0x00080060, "CS", b"MR"))
        assert found.values == {0x00080060: b"CT"}


@pytest.mark.parametrize(
    ("tags", "method", "temporal"),
    [
        ((0x00080060, 0x00120064, 0x00280303), 2, 3),
        ((0x00080060, 0x00120065, 0x00280303), 1, 3),
        ((0x00080060, 0x00120063, 0x00280304, 0x00401003), 2, 2),
        ((0x00080060, 0x00180050, 0x00280302, 0x00280A02), 1, 3),
        ((0x00180050, 0x00280A02), 0, 1),
        ((0x00280A02, 0x00120050, 0x00401003), 0, 0),  # out of order: before the first that is beyond
        ((0x00080060, 0x00401004, 0x00401005), 1, 1),
        ((), 0, 0),
    ],
)
def test_what_was_done_is_said_behind_all_that_belongs_before_it(
    tags: tuple[int, ...], method: int, temporal: int
) -> None:
    """De-identification Method Code Sequence (0012,0064), Longitudinal Temporal Information Modified (0028,0303)."""
    raw = b"".join(element(tag, "LO", b"") for tag in tags)
    for _ in range(3):
        assert look(raw).marks[:2] == [8 * method, 8 * temporal]


@pytest.mark.parametrize(("tag", "vr"), [(0x7FE00008, "OF"), (0x7FE00009, "OF"), (0x7FE00010, "OW")])
def test_a_head_that_ends_in_the_pixels_is_enough_and_nothing_is_read_behind_them(tag: int, vr: str) -> None:
    pixels = element(tag, vr, bytes(64))
    raw = MODALITY + pixels + element(0x00080016, "UI", b"1.22")
    assert look(raw).values == {0x00080060: b"CT"}
    assert look(raw[: len(MODALITY) + 20], len(raw)).values == {0x00080060: b"CT"}


def test_a_sequence_without_a_length_behind_the_last_fact_ends_the_look() -> None:
    raw = MODALITY + endless(0x52009229, MODALITY) + element(0x00080016, "UI", b"1.22")
    assert look(raw).values == {0x00080060: b"CT"}
    assert look(raw[: len(MODALITY) + 16], len(raw)).values == {0x00080060: b"CT"}


def test_what_stands_before_the_pixels_is_read_to_its_end() -> None:
    text = element(0x54001010, "OW", bytes(64))
    with pytest.raises(MoreNeededError):
        look((MODALITY + text)[:40], len(MODALITY + text) + 100)


def test_a_head_asks_for_the_end_of_the_element_it_ends_in() -> None:
    comment = element(0x00204000, "LT", b"x" * 5000)
    whole = MODALITY + comment
    with pytest.raises(MoreNeededError) as more:
        look(whole[:100], 90_000)
    assert more.value.size == len(whole)
    with pytest.raises(MoreNeededError) as more:
        look(whole[:4000], len(whole))
    assert more.value.size == len(whole)
    with pytest.raises(MoreNeededError) as more:
        look(whole[:4000], 90_000)
    assert more.value.size == 8000
    with pytest.raises(RefusedError, match=r"^truncated$"):
        look(whole[:100], len(whole) - 1)
