"""What is decided once for each kind of element."""

from __future__ import annotations

import struct

import pytest

from stream_processors.deidentification import DEFAULT, Profile, RefusedError, kinds, rules
from stream_processors.deidentification.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from stream_processors.deidentification.kinds import (
    CHANGE,
    FIXED,
    ITEMS,
    NO_ENTRY,
    PASS,
    PIXEL_DATA,
    PRIVATE,
    REMOVE,
    Kinds,
    as_safe,
)

SAFE = Profile(DEFAULT.options | {"113111"})


def key(encoding: Encoding, tag: int, vr: str) -> bytes:
    """The bytes by which a kind of element is known."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    return head + vr.encode() if encoding.explicit else head


@pytest.mark.parametrize(
    ("coded", "listed", "vr", "rule"),
    [
        ("DS", "LO", "DS", rules.HOLD),  # what the file says, where it says something
        ("UN", "DS", "DS", rules.HOLD),
        ("", "DS", "DS", rules.HOLD),
        ("UN", "US/SS", "US", rules.PASS),
        ("UN", "", "LO", rules.HOLD),
        ("UN", "UI", "UI", rules.MAP_UID),
        ("UN", "SQ", "SQ", rules.CLEAN_ITEMS),
        ("UN", "OB", "OB", rules.PASS),
        ("SH", "FL", "SH", rules.HOLD),
        ("SL", "UL", "SL", rules.PASS),
        ("OB", "", "OB", rules.PASS),
        ("OB", "LO", "OB", rules.REMOVE),
        ("OB", "SQ", "OB", rules.REMOVE),
        ("OW", "OW/OB", "OW", rules.PASS),
        ("OB", "OW/OB", "OB", rules.PASS),
        ("DA", "LO", "DA", rules.REMOVE),
        ("DT", "", "DT", rules.REMOVE),
        ("PN", "LO", "PN", rules.REMOVE),
        ("AE", "SH", "AE", rules.REMOVE),
        ("AS", "LO", "AS", rules.REMOVE),
        ("TM", "SH", "TM", rules.REMOVE),
        ("UR", "UT", "UR", rules.REMOVE),
    ],
)
def test_a_safe_private_attribute_is_what_the_file_says_or_what_the_list_says(
    coded: str, listed: str, vr: str, rule: str
) -> None:
    entry = NO_ENTRY._replace(vr=coded)
    safe = as_safe(entry, listed, EXPLICIT_LITTLE)
    assert (safe.vr, safe.rule) == (vr, rule)
    assert safe.code == {rules.CLEAN_ITEMS: ITEMS, rules.PASS: PASS, rules.REMOVE: REMOVE}.get(rule, CHANGE)
    implicit = as_safe(entry._replace(vr="XX"), listed, IMPLICIT_LITTLE)
    assert implicit.vr == (listed.split("/", maxsplit=1)[0] or "LO")


@pytest.mark.parametrize(
    ("tag", "vr", "code", "plain"),
    [
        (0x00080060, "CS", None, True),
        (0x00080018, "UI", CHANGE, False),  # differs between slices: in no run
        (0x00080013, "TM", FIXED, False),
        (0x00080031, "TM", FIXED, True),
        (0x00280010, "US", PASS, True),
        (0x00091001, "LO", REMOVE, True),
        (0x00101002, "SQ", CHANGE, True),  # goes, and is read for names
        (0x00081140, "SQ", ITEMS, False),
        (0x7FE00010, "OW", PIXEL_DATA, False),
        (0x7FE00008, "OF", PIXEL_DATA, False),
        (0x7FE00009, "OD", PIXEL_DATA, False),
    ],
)
def test_a_kind_says_what_is_done_and_whether_it_may_stand_in_a_run(
    tag: int, vr: str, code: int | None, plain: bool
) -> None:
    entry = Kinds(DEFAULT, EXPLICIT_LITTLE).learn(key(EXPLICIT_LITTLE, tag, vr))
    assert code is None or entry.code == code
    assert entry.plain == plain
    assert entry.tag == tag
    assert entry.length_at == (8 if vr in ("SQ", "OW", "OF", "OD") else 6)


def test_private_attributes_are_looked_at_only_under_their_option() -> None:
    given = key(EXPLICIT_LITTLE, 0x00191023, "DS")
    assert Kinds(DEFAULT, EXPLICIT_LITTLE).learn(given).code == REMOVE
    assert Kinds(SAFE, EXPLICIT_LITTLE).learn(given).code == PRIVATE


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_an_item_outside_a_sequence_and_a_vr_that_is_none_are_malformed(encoding: Encoding) -> None:
    with pytest.raises(RefusedError, match="malformed"):
        Kinds(DEFAULT, encoding).learn(key(encoding, 0xFFFEE000, "\0\0"))
    with pytest.raises(RefusedError, match="malformed"):
        Kinds(DEFAULT, EXPLICIT_LITTLE).learn(key(EXPLICIT_LITTLE, 0x00080060, "ZZ"))


def test_what_is_known_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MAX_KEYS", 2)
    made = Kinds(DEFAULT, EXPLICIT_LITTLE)
    for tag in (0x00080060, 0x00280010, 0x00280011):
        given = key(EXPLICIT_LITTLE, tag, "US")
        entry = made.learn(given)
        made.meet(given + b"\2\0", entry)
    assert [len(made.known), len(made.met)] == [2, 1]
