"""Each row of Table E.1-1 is put into a file at three depths, and looked for in the output."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Profile, deidentify
from stream_processors.deidentification.profile import EDITION
from stream_processors.deidentification.table import (
    OPTION_MEANINGS,
    Row,
    basic_action,
    load_table,
    read_rows,
    resolve,
    safe_private,
)
from tests.support.dicoms import ct_slice, to_bytes, uid

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
HEADER, ROWS = load_table()
COMMAND_AND_META_GROUPS = ("0000", "0002")
PLAIN = [
    row
    for row in ROWS
    if row.tag != "private" and "x" not in row.tag and not row.tag.startswith(COMMAND_AND_META_GROUPS)
]
BASIC = Profile(frozenset())
NAMED = (0x0020000D, 0x0020000E, 0x00080018)
Outcome = tuple[Dataset, bytes, Profile]
KEPT_AS_THEY_ARE = {0x00101010: "044Y", 0x00101020: "1", 0x00101030: "1", 0x001021C0: "1", 0x0072005F: "044Y"}
PLANTED = {"DA": "19310203", "DT": "19310203031755.000012", "TM": "031755.12", "AS": "044Y", "DS": "1"}
READABLE = ("CS", "LO", "LT", "SH", "ST", "UC", "UT")
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
BYTES = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")


def planted(tag: int) -> object:
    """Give a value that can be recognised, valid in the VR of the tag."""
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.CodeMeaning, item.CodeValue = "ZQSEQUENCE", "for ZQSEQUENCE", "T-1"
        return Sequence([item])
    if vr in TEXTS:
        return f"ZQ{tag:08X}"
    if vr in BYTES:
        return b"ZQBYTES!"
    if vr == "UI":
        return uid(str(tag))
    return PLANTED.get(vr, 1)


def fill(data_set: Dataset, keep: tuple[int, ...] = ()) -> None:
    for row in PLAIN:
        tag = int(row.tag, 16)
        if tag not in keep:
            data_set.add_new(tag, dictionary_VR(tag).split(" or ")[0], planted(tag))


def wrapped(inner: Dataset, depth: int) -> Dataset:
    for _ in range(depth):
        outer = Dataset()
        outer.SharedFunctionalGroupsSequence = Sequence([inner])
        inner = outer
    return inner


def unwrapped(data_set: Dataset, depth: int) -> Dataset:
    for _ in range(depth):
        data_set = data_set.SharedFunctionalGroupsSequence[0]
    return data_set


EACH_OPTION = [Profile(frozenset({code})) for code in OPTION_MEANINGS if code != "113100"]
EVERY_OPTION = Profile(frozenset(OPTION_MEANINGS))
CLEANING = [DEFAULT, BASIC, Profile(frozenset({"113103", "113104", "113105", "113107", "113108"}))]


def label(case: tuple[int, Profile]) -> str:
    return f"depth {case[0]}, {'+'.join(case[1].codes)}"


@pytest.fixture(
    scope="module",
    params=[
        *((depth, profile) for depth in (0, 1, 3) for profile in CLEANING),
        *((depth, profile) for depth in (0, 2) for profile in (*EACH_OPTION, EVERY_OPTION)),
    ],
    ids=label,
)
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """The data set that held every row, after de-identification; the bytes it is in; the profile."""
    depth, profile = request.param
    source = ct_slice()
    if depth:
        inner = Dataset()
        fill(inner)
        source.SharedFunctionalGroupsSequence = wrapped(inner, depth).SharedFunctionalGroupsSequence
    else:
        fill(source, keep=NAMED)
    data = deidentify(to_bytes(source), NAMES, profile).data
    return unwrapped(pydicom.dcmread(BytesIO(data)), depth), data, profile


FRAME = [row for row in ROWS if row.tag.startswith(COMMAND_AND_META_GROUPS)]
"""Rows of commands and of file meta: in a data set they can only stand in an item."""
REPEATING = {
    "50xxxxxx": (0x50000022, 0x501E3000),
    "60xx3000": (0x60003000, 0x601E3000),
    "60xx4000": (0x60004000,),
}
"""Rows of repeating groups, and attributes that they speak of."""
OFFERED = frozenset(OPTION_MEANINGS) - {"113100"}


def test_every_row_and_every_option_column_is_exercised() -> None:
    columns = {code for row in ROWS for code in row.options}
    assert columns - OFFERED == {"113106"}  # full dates: refused, see below
    assert {*EACH_OPTION} == {Profile(frozenset({code})) for code in OFFERED}
    tags = [row.tag for rows in (PLAIN, FRAME) for row in rows] + [*REPEATING, "private"]
    assert sorted(tags) == sorted(row.tag for row in ROWS)
    entries = {(row.tag, code) for row in ROWS for code in row.options}
    planted_under = {(row.tag, code) for row in (*PLAIN, *FRAME) for code in OFFERED}
    elsewhere = {("private", "113111"), *((tag, "113103") for tag in REPEATING)}
    assert {entry for entry in entries - planted_under - elsewhere if entry[1] != "113106"} == set()
    assert len(entries) > 500


@pytest.mark.parametrize(
    "profile", [*CLEANING, *EACH_OPTION, EVERY_OPTION], ids=lambda each: "+".join(each.codes)
)
def test_rows_of_commands_meta_and_repeating_groups_go_under_every_option(profile: Profile) -> None:
    item = Dataset()
    for row in FRAME:
        item.add_new(int(row.tag, 16), dictionary_VR(int(row.tag, 16)), uid(row.tag))
    for tag in (tag for tags in REPEATING.values() for tag in tags):
        item.add_new(tag, "LO", "ZQREPEATING")
    item.add_new(0x00290010, "LO", "ZQCREATOR")
    item.add_new(0x00291001, "LO", "ZQPRIVATE")
    source = ct_slice()
    source.SharedFunctionalGroupsSequence = Sequence([item])
    data = deidentify(to_bytes(source), NAMES, profile).data
    output = pydicom.dcmread(BytesIO(data)).SharedFunctionalGroupsSequence[0]
    assert len(output) == 0
    assert [word for word in (b"ZQREPEATING", b"ZQCREATOR", b"ZQPRIVATE") if word in data] == []


def test_nothing_planted_under_any_row_survives(outcome: Outcome) -> None:
    output, data, profile = outcome
    if profile not in CLEANING:
        held = {row.tag for row in PLAIN if resolve(row, profile.options) == "K"}
        assert held or profile.options & {"113103", "113104", "113105", "113107", "113111"}
        return
    uids = [uid(str(int(row.tag, 16))) for row in PLAIN]
    leaked = [value for value in ("ZQ", "19310203", "031755", *uids) if value.encode() in data]
    assert leaked == []
    assert len(output) > 20


def test_each_row_ends_in_the_state_that_its_action_asks(outcome: Outcome) -> None:
    output, _, profile = outcome
    wrong = [(row.tag, row.keyword) for row in PLAIN if not _state_is_right(output, row, profile)]
    assert wrong == []


def _state_is_right(output: Dataset, row: Row, profile: Profile) -> bool:  # noqa: C901, PLR0911 - a table of states
    tag, action = int(row.tag, 16), resolve(row, profile.options)
    vr = dictionary_VR(tag)
    if (action == "T" and vr not in ("SQ", *READABLE)) or (action == "C" and vr not in ("DA", "DT")):
        action = basic_action(row)
    if action == "X" or vr == "UN":  # a value of unknown kind goes, whatever its row asks
        return tag not in output
    if tag not in output:
        return False
    element = output[tag]
    if action == "Z":
        return not element.value
    if action == "T":
        return "ZQ" not in str(element.value)
    if tag == 0x00420011:  # a document goes whole; a dummy would be no document
        return not element.value
    if action == "K" and (row.tag.startswith("0010") or tag in KEPT_AS_THEY_ARE):
        return str(element.value or "") == KEPT_AS_THEY_ARE.get(tag, "")
    if action == "K" and vr != "SQ":
        return tag in NAMED or element.value == planted(tag)
    if action == "K":
        return len(element.value) == 1 and "ZQ" not in str(element.value)
    if action == "C":
        return str(element.value).startswith("19") and len(element.value) == 8 and element.value < "19310203"
    if element.VR == "SQ":
        return len(element.value) == 1 and "ZQ" not in str(element.value)
    return element.value not in (None, "", b"") and element.value != planted(tag)


def test_the_table_is_whole_and_names_its_edition() -> None:
    assert f"edition {EDITION}" in HEADER
    assert len(ROWS) == len({row.tag for row in ROWS}) == 621
    assert sum(row.basic == "X" for row in ROWS) == 384
    assert {row.tag for row in ROWS if "x" in row.tag} == {"50xxxxxx", "60xx3000", "60xx4000"}


def test_each_row_names_an_attribute_of_the_dictionary() -> None:
    odd = [row.tag for row in ROWS if row.tag.isalnum() and "x" not in row.tag and row.tag != "private"]
    assert [tag for tag in odd if not dictionary_has_tag(int(tag, 16))] == []
    assert [row.tag for row in PLAIN if keyword_for_tag(int(row.tag, 16)) != row.keyword] == []


@pytest.mark.parametrize(
    ("tag", "basic", "default"),
    [
        ("00100010", "Z", "Z"),
        ("00100020", "D", "D"),
        ("00101010", "X", "K"),
        ("00080020", "Z", "C"),
        ("00080030", "Z", "Z"),
        ("00080021", "D", "C"),
        ("00081030", "X", "T"),
        ("00080080", "D", "D"),
        ("00081140", "U", "U"),
        ("0020000d", "U", "U"),
        ("00080201", "X", "X"),
        ("00102110", "X", "T"),
    ],
)
def test_a_compound_action_takes_its_rightmost_and_an_option_only_what_it_can_do(
    tag: str, basic: str, default: str
) -> None:
    row = next(row for row in ROWS if row.tag == tag)
    assert (resolve(row, BASIC.options), resolve(row, DEFAULT.options)) == (basic, default)


@pytest.mark.parametrize(
    "tag", [0x00290010, 0x00091001, 0x50000022, 0x50FE3000, 0x60000022, 0x60023000, 0x601E1500]
)
def test_private_curve_and_overlay_groups_go_whole(tag: int) -> None:
    assert DEFAULT.action(tag) == "X"


def test_what_the_table_does_not_list_has_no_action() -> None:
    assert [DEFAULT.action(tag) for tag in (0x00280010, 0x00080060, 0x52009229)] == ["", "", ""]


@pytest.mark.parametrize("code", ["113102", "113106", "nonsense"])
def test_an_option_that_is_not_carried_out_is_not_offered(code: str) -> None:
    with pytest.raises(ValueError, match=code):
        Profile(frozenset({code}))


COMING = """# DICOM PS3.15 Table E.1-1, edition 2031a
tag,keyword,basic,113110,113105,113107
00091234,StillPrivate,X,,,
00109990,SecretName,X,,,
00109991,SecretNumber,Z,,,
00109992,SecretLabel,D,,,
00109993,SecretUID,U,K,,
00109994,SecretDay,X,,,C
00109995,SecretRemark,X,,C,
0070xx99,SecretGroup,X,,,
"""


@pytest.mark.parametrize("depth", [0, 2])
def test_rows_of_a_coming_edition_work_with_no_change_of_code(depth: int) -> None:
    profile = Profile(DEFAULT.options, rows=(*ROWS, *read_rows(COMING)[1]))
    inner = Dataset()
    planted_rows = {
        0x00109990: ("PN", "ZQNAME"),
        0x00109991: ("SH", "ZQNUMBER"),
        0x00109992: ("LO", "ZQLABEL"),
        0x00109993: ("UI", uid("secret")),
        0x00109994: ("DA", "20230405"),
        0x00109995: ("LT", "CHEST of ZQREMARK"),
        0x00701299: ("LO", "ZQGROUP"),
    }
    for tag, (vr, value) in planted_rows.items():
        inner.add_new(tag, vr, value)
    source = ct_slice()
    for element in wrapped(inner, depth):
        source.add(element)
    data = deidentify(to_bytes(source), NAMES, profile).data
    output = unwrapped(pydicom.dcmread(BytesIO(data)), depth)
    assert b"ZQ" not in data
    assert {tag for tag in planted_rows if tag in output} == set(range(0x00109991, 0x00109996))
    assert output[0x00109991].value in ("", None)
    assert output[0x00109992].value == "REMOVED"
    assert output[0x00109993].value == NAMES.uid(uid("secret"))
    assert output[0x00109994].value < "20230405"
    assert output[0x00109995].value.startswith("CHEST")


def test_every_safe_private_attribute_survives_with_the_option_and_none_without() -> None:
    profile = Profile(frozenset({"113111"}))
    creators = sorted({creator for creator, _, _ in safe_private()})
    for creator in creators:
        rows = {key: vr for key, vr in safe_private().items() if key[0] == creator}
        source = ct_slice()
        for (name, group, element), vr in rows.items():
            block = source.private_block(group, name, create=True)
            kind = vr.split("/")[0] or "UN"
            value = (
                Sequence([Dataset()])
                if kind == "SQ"
                else b"12345678"
                if kind in BYTES
                else PRIVATE.get(kind, 1)
            )
            block.add_new(element, kind, value)
            block.add_new(0xFE, "LO", "ZQNOTLISTED")
        raw = to_bytes(source)
        output = pydicom.dcmread(BytesIO(deidentify(raw, NAMES, profile).data))
        lost = [key for key in rows if not _has(output, key)]
        assert (creator, lost) == (creator, [])
        assert "ZQ" not in str(output)
        assert not any(
            element.tag.is_private for element in pydicom.dcmread(BytesIO(deidentify(raw, NAMES).data))
        )


PRIVATE = {
    "CS": "A",
    "LO": "HEAD",
    "SH": "HEAD",
    "ST": "HEAD",
    "LT": "HEAD",
    "UI": "1.2.3.4.5",
    "DS": "1",
    "IS": "1",
}


def _has(output: Dataset, key: tuple[str, int, int]) -> bool:
    creator, group, element = key
    return element in output.private_block(group, creator)
