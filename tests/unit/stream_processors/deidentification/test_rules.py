from __future__ import annotations

import pytest

from stream_processors.deidentification import DEFAULT, Profile
from stream_processors.deidentification.rules import is_vocabulary_uid, rule, unlisted
from stream_processors.deidentification.table import read_rows
from stream_processors.deidentification.verify import _state

BASIC = Profile(frozenset())
UIDS = Profile(frozenset({"113110"}))
DEVICE = Profile(frozenset({"113109"}))
CONTENT = Profile(frozenset({"113104"}))
EVERY = Profile(frozenset({"113104", "113105", "113107", "113108", "113109", "113110", "113112"}))


@pytest.mark.parametrize(
    ("tag", "vr", "basic", "default"),
    [
        (0x00080000, "UL", "remove", "remove"),  # a group length
        (0x00080001, "UL", "remove", "remove"),  # Length to End
        (0x00120062, "CS", "remove", "remove"),  # what the source claims
        (0x00120063, "LO", "remove", "remove"),
        (0x00120064, "SQ", "items", "items"),
        (0x00280303, "CS", "remove", "remove"),
        (0x00420010, "ST", "remove", "remove"),  # Document Title
        (0x0008041B, "OB", "remove", "remove"),  # Record Key
        (0x0008041C, "OB", "remove", "remove"),
        (0x0040A074, "OB", "remove", "remove"),  # Object Binary Identifier
        (0x0040A089, "OB", "remove", "remove"),
        (0x00001000, "UI", "remove", "remove"),  # a command
        (0x00020010, "UI", "remove", "remove"),  # file meta
        (0x00041220, "SQ", "items", "items"),
        (0x00089999, "LO", "remove", "remove"),  # unknown
        (0x00080060, "", "remove", "remove"),
        (0x00100010, "PN", "empty", "empty"),
        (0x00100020, "LO", "dummy", "dummy"),
        (0x00100020, "UN", "dummy", "dummy"),
        (0x00100021, "LO", "remove", "remove"),
        (0x00100021, "UN", "remove", "remove"),
        (0x00100040, "CS", "empty", "keep"),
        (0x00101010, "AS", "remove", "keep"),
        (0x00101030, "DS", "remove", "keep"),
        (0x00102160, "SH", "remove", "clean-text"),
        (0x001021C0, "US", "remove", "pass"),
        (0x00102110, "LO", "remove", "clean-text"),
        (0x00102110, "AE", "remove", "remove"),  # text that cannot be cleaned takes its basic action
        (0x00080018, "UI", "new-uid", "new-uid"),
        (0x00080020, "DA", "empty", "shift-date"),
        (0x00080020, "TM", "empty", "empty"),  # a time where a date belongs: the basic action
        (0x00080020, "LO", "remove", "remove"),  # a text where a date belongs
        (0x00080021, "DA", "dummy", "shift-date"),
        (0x0008002A, "DT", "dummy", "shift-date"),
        (0x00080030, "TM", "empty", "empty"),
        (0x00080082, "SQ", "dummy", "dummy"),
        (0x00081084, "SQ", "remove", "items"),
        (0x00081110, "SQ", "empty", "empty"),
        (0x00081140, "SQ", "items", "items"),
        (0x00081030, "LO", "remove", "clean-text"),
        (0x00081030, "PN", "remove", "remove"),
        (0x00080100, "SH", "code", "code"),
        (0x00080102, "SH", "code", "code"),
        (0x00080103, "SH", "code", "code"),
        (0x00080119, "UC", "code", "code"),
        (0x00080120, "UR", "code", "code"),
        (0x00181019, "LO", "code", "code"),
        (0x00181020, "LO", "code", "code"),
        (0x00080104, "LO", "scrub", "scrub"),
        (0x00080005, "CS", "keep", "keep"),
        (0x00080060, "CS", "keep", "keep"),
        (0x00080060, "UN", "keep", "keep"),
        (0x00280004, "CS", "keep", "keep"),
        (0x00081090, "LO", "model", "model"),
        (0x00081090, "LT", "empty", "clean-text"),
        (0x00181210, "SH", "scrub", "scrub"),
        (0x00187006, "LT", "empty", "clean-text"),
        (0x00187006, "UC", "empty", "clean-text"),
        (0x00280008, "IS", "number", "number"),
        (0x00280010, "US", "pass", "pass"),
        (0x00280010, "OB", "pass", "pass"),
        (0x00280010, "SQ", "remove", "remove"),  # a sequence where a number belongs
        (0x00280010, "LO", "remove", "remove"),  # a text where a number belongs
        (0x00280030, "LO", "remove", "remove"),
        (0x00081140, "OB", "remove", "remove"),  # bytes where a sequence belongs
        (0x00081090, "US", "remove", "remove"),  # bytes where a text belongs
        (0x00200052, "UI", "new-uid", "new-uid"),
        (0x00080016, "UI", "map-uid", "map-uid"),
        (0x00189074, "DT", "dummy", "shift-date"),
        (0x00181078, "DT", "remove", "shift-date"),
        (0x00280106, "SS", "pass", "pass"),
        (0x00400032, "UT", "empty", "clean-text"),
        (0x00400032, "UR", "empty", "empty"),
        (0x00400032, "AE", "empty", "empty"),
        (0x00400032, "PN", "empty", "empty"),
        (0x00400032, "TM", "remove", "remove"),
        (0x00102203, "CS", "empty", "keep"),
        (0x7FE00010, "OW", "pass", "pass"),
        (0x60000022, "LO", "remove", "remove"),
        (0x50000022, "LO", "remove", "remove"),
        (0x00291001, "LO", "remove", "remove"),
    ],
)
def test_each_kind_of_element_has_its_rule(tag: int, vr: str, basic: str, default: str) -> None:
    assert (rule(BASIC, tag, vr), rule(DEFAULT, tag, vr)) == (basic, default)


@pytest.mark.parametrize(
    ("profile", "tag", "vr", "expected"),
    [
        (UIDS, 0x00080018, "UI", "pass"),
        (UIDS, 0x00080016, "UI", "pass"),
        (UIDS, 0x00081110, "SQ", "items"),
        (UIDS, 0x00080020, "DA", "empty"),
        (DEVICE, 0x00081010, "SH", "hold"),
        (DEVICE, 0x0014407E, "DA", "pass"),
        (DEVICE, 0x00181000, "LO", "hold"),
        (DEVICE, 0x0016004E, "DS", "pass"),
        (EVERY, 0x00080082, "SQ", "items"),
        (EVERY, 0x00080080, "LO", "hold"),
        (EVERY, 0x00080080, "OB", "remove"),
        (CONTENT, 0x0040A730, "SQ", "items"),
        (BASIC, 0x0040A730, "SQ", "dummy"),
        (DEFAULT, 0x00340001, "SQ", "dummy"),
    ],
)
def test_each_option_has_its_rules(profile: Profile, tag: int, vr: str, expected: str) -> None:
    assert rule(profile, tag, vr) == expected


@pytest.mark.parametrize(
    ("vr", "default"),
    [
        ("AE", "empty"), ("PN", "empty"), ("TM", "empty"), ("UR", "empty"), ("CS", "scrub"), ("LO", "scrub"),
        ("SH", "scrub"), ("LT", "clean-text"), ("ST", "clean-text"), ("UC", "clean-text"), ("UT", "clean-text"),
        ("DS", "number"), ("IS", "number"), ("AS", "cap-age"), ("SQ", "items"), ("DA", "shift-date"),
        ("DT", "shift-date"), ("UI", "map-uid"), ("US", "pass"), ("OB", "pass"), ("FD", "pass"),
    ],
)  # fmt: skip
def test_what_the_table_does_not_list_goes_by_its_vr(vr: str, default: str) -> None:
    assert unlisted(DEFAULT, 0x00187006, vr) == default
    without = {"shift-date": "empty", "clean-text": "empty"}.get(default, default)
    assert unlisted(BASIC, 0x00187006, vr) == without


@pytest.mark.parametrize(
    "tag", [0x00080008, 0x00080116, 0x00080119, 0x00080120, 0x00187006, 0x00181210, 0x00081090, 0x00400032]
)
def test_numbers_where_a_text_belongs_go_and_another_kind_of_text_is_read(tag: int) -> None:
    assert rule(DEFAULT, tag, "US") == rule(DEFAULT, tag, "OB") == rule(DEFAULT, tag, "SQ") == "remove"
    for vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"):
        assert rule(DEFAULT, tag, vr) == unlisted(DEFAULT, tag, vr) != "remove"
    for vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"):
        assert rule(DEFAULT, 0x00280010, vr) == "remove"


def test_a_row_counts_where_the_dictionary_does_not_know_its_attribute() -> None:
    rows = read_rows("#\ntag,keyword,basic,113105\n00109991,Secret,Z,\n00109992,Secret,D,C\n")[1]
    profile = Profile(frozenset({"113105"}), rows=rows)
    assert [rule(profile, tag, "LO") for tag in (0x00109991, 0x00109992, 0x00109993)] == [
        "empty",
        "clean-text",
        "remove",
    ]
    assert rule(profile, 0x00109991, "UN") == "remove"


@pytest.mark.parametrize("tag", [0x0008010C, 0x0008010D, 0x00080117, 0x00080118, 0x00089123])
def test_uids_of_vocabularies_and_versions_name_nobody(tag: int) -> None:
    assert is_vocabulary_uid(tag) is True
    assert is_vocabulary_uid(0x00080018) is False


@pytest.mark.parametrize("tag", [0x00180080, 0x00200013, 0x0014407A, 0x0070031B, 0x40101026], ids=hex)
@pytest.mark.parametrize("vr", ["OB", "OW", "US", "FD"])
def test_what_is_coded_as_characters_does_not_pass_as_bytes(tag: int, vr: str) -> None:
    assert rule(DEFAULT, tag, vr) == "remove"
    assert _state(DEFAULT, tag, vr) == "absent"


@pytest.mark.parametrize("vr", ["SQ", "UN"])
def test_originals_that_somebody_else_encrypted_go(vr: str) -> None:
    assert rule(DEFAULT, 0x04000500, vr) == "remove"
    assert _state(DEFAULT, 0x04000500, vr) == "absent"
