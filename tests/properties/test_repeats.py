"""What becomes of a file follows from its bytes and the key: not from what was read before, nor from how much came at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    MoreNeededError,
    Profile,
    RefusedError,
    deidentify,
    plan,
)
from stream_processors.deidentification.encoding import EXPLICIT_LITTLE
from stream_processors.deidentification.part10 import EXPLICIT, write_meta
from tests.support.memories import forget

MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
SAFE = Profile(frozenset({"113111", "113104"}))

ELEMENTS = (
    (0x00080005, "CS", b"ISO_IR 100"), (0x00080008, "CS", b"ORIGINAL"), (0x00080008, "CS", b"DERIVED"),
    (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"), (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.4"),
    (0x00080016, "UI", b"1.2.3"), (0x00080018, "UI", b"1.2.3.4"), (0x00080018, "UI", b"1.2.3.5"),
    (0x00080020, "DA", b"20200102"), (0x00080060, "CS", b"CT"), (0x00080060, "CS", b"US"), (0x0008103E, "LO", b"CHEST"),
    (0x00190010, "LO", b"GEMS_ACQU_01"), (0x0019109E, "LO", b"EFGRE3D"), (0x00100010, "PN", b"ZQNAME^A"),
    (0x00100020, "LO", b"ZQ-1"), (0x00100020, "LO", b"ZQ-2"), (0x00100021, "LO", b"HERE"), (0x00120050, "LO", b"1"),
    (0x00120063, "LO", b"BEFORE"), (0x00120071, "LO", b"SERIES"), (0x0020000D, "UI", b"1.2.9"),
    (0x00280301, "CS", b"YES"), (0x00280301, "CS", b"NO"), (0x00280302, "CS", b"YES"), (0x00280A02, "CS", b"FLUORO"),
    (0x00401001, "SH", b"ZQ"), (0x00401003, "SH", b"STAT"), (0x00401003, "SH", b"LOW"), (0x00401004, "LO", b"WALK"),
    (0x00540081, "US", b"\1\0"), (0x00880140, "UI", b"1.2.3.6"), (0x20500020, "CS", b"IDENTITY"),
    (0x00204000, "LT", b"CHEST " * 200), (0x00180020, "CS", b"SE"),
)  # fmt: skip
"""Tag, VR and value: facts and their neighbours, on both sides of the places where our own marks go; some twice."""

# A file's elements, mostly in order, some of them more than once; a class and an instance, without which there is no file.
CHOSEN = st.lists(st.integers(0, len(ELEMENTS) - 1), max_size=14).flatmap(
    lambda each: st.sampled_from([sorted(each), each])
)


def file_of(numbers: Iterable[int], *, complete: bool = True) -> bytes:
    """A file of these elements; behind its class and instance, if they are not among them."""
    first = (3, 6) if complete else ()
    elements = b"".join(EXPLICIT_LITTLE.element(*ELEMENTS[number]) for number in (*first, *numbers))
    return write_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", EXPLICIT, bytes(32)) + elements


def outcome(raw: bytes, profile: Profile) -> object:
    """All that is said of a file: its new bytes and its context, or the reason."""
    try:
        done = deidentify(raw, NAMES, profile)
    except RefusedError as refused:
        return refused.reason
    return done.data, done.context, done.pixels_at_risk


def from_a_head(raw: bytes, given_bytes: int, profile: Profile) -> object:
    """The same from the first bytes, and as many more as are asked for."""
    while True:
        try:
            made = plan(raw[:given_bytes], len(raw), NAMES, profile)
        except MoreNeededError as needed:
            given_bytes = max(given_bytes + 1, needed.size)
        except RefusedError as refused:
            return refused.reason
        else:
            return b"".join(made.buffers(raw)), made.context, made.pixels_at_risk


@MANY
@given(st.lists(CHOSEN, min_size=1, max_size=4), CHOSEN, st.booleans(), st.sampled_from([DEFAULT, SAFE]))
def test_what_was_read_before_decides_nothing(
    before: list[list[int]], numbers: list[int], complete: bool, profile: Profile
) -> None:
    raw = file_of(numbers, complete=complete)
    forget()
    cold = outcome(raw, profile)
    assert outcome(raw, profile) == cold
    forget()
    for each in before:
        outcome(file_of(each), profile)
        outcome(file_of([*each, *numbers]), profile)
    assert outcome(raw, profile) == cold


@MANY
@given(CHOSEN, st.booleans(), st.floats(0, 1))
def test_a_head_ends_as_the_whole(numbers: list[int], complete: bool, share: float) -> None:
    raw = file_of(numbers, complete=complete)
    forget()
    whole = from_a_head(raw, len(raw), DEFAULT)
    forget()
    assert from_a_head(raw, int(share * len(raw)), DEFAULT) == whole


@pytest.mark.parametrize("first", [(3, 5), (5, 3)])
def test_of_two_classes_the_first_one_counts_whenever_it_is_read(first: tuple[int, int]) -> None:
    forget()
    raw = file_of([*first, 6], complete=False)
    found = {str(outcome(raw, DEFAULT)) for _ in range(3)}
    assert len(found) == 1
    assert ("unsupported-content" in found) == (first == (5, 3))


def test_marks_stand_in_their_place_after_a_file_whose_order_is_another() -> None:
    """(0028,0303) belongs between (0028,0302) and (0028,0A02), however those were met before."""
    forget()
    raw = file_of([24, 25])
    cold = outcome(raw, DEFAULT)
    forget()
    outcome(file_of([29, 24, 25]), DEFAULT)
    assert outcome(raw, DEFAULT) == cold


def test_runs_that_are_joined_in_one_file_do_not_reach_across_a_mark_in_another() -> None:
    """Study Description and Scanning Sequence, joined where (0012,0062) stood before both, and parted by it elsewhere."""
    forget()
    raw = file_of([11, 34])
    cold = outcome(raw, DEFAULT)
    forget()
    for _ in range(4):
        outcome(file_of([29, 11, 34]), DEFAULT)
    assert outcome(raw, DEFAULT) == cold


def test_a_private_block_is_known_by_its_creator_on_both_sides_of_a_run() -> None:
    """A safe private attribute behind elements of another group, out of order: kept at every sight of them."""
    forget()
    raw = file_of([12, 10, 13])
    found = {str(from_a_head(raw, len(raw), SAFE)) for _ in range(4)}
    assert len(found) == 1
    assert "EFGRE3D" in found.pop()


def test_a_class_that_comes_late_is_waited_for() -> None:
    """What a head cuts off behind the last fact may be followed by one, out of order."""
    raw = file_of([6, 32, 3], complete=False)
    forget()
    whole = from_a_head(raw, len(raw), DEFAULT)
    assert whole != "missing-uids"
    assert from_a_head(raw, raw.index(b"IDENTITY") + 4, DEFAULT) == whole
