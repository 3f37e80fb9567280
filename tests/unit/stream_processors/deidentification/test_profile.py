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
from stream_processors.deidentification.profile import EDITION, Row, load_table, resolve
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
Outcome = tuple[Dataset, bytes, Profile]
KEPT_AS_THEY_ARE = {0x00101010: "044Y", 0x00101020: "1", 0x00101030: "1", 0x001021C0: "1", 0x0072005F: "044Y"}
PLANTED = {"DA": "19310203", "DT": "19310203031755.000012", "TM": "031755.12", "AS": "044Y", "DS": "1"}
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
        return "ZQTEXT"
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


@pytest.fixture(scope="module", params=[(0, DEFAULT), (1, DEFAULT), (3, DEFAULT), (0, BASIC), (3, BASIC)])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """The data set that held every row, after de-identification; the bytes it is in; the profile."""
    depth, profile = request.param
    source = ct_slice()
    if depth:
        inner = Dataset()
        fill(inner)
        source.SharedFunctionalGroupsSequence = wrapped(inner, depth).SharedFunctionalGroupsSequence
    else:
        fill(source, keep=(0x0020000D, 0x0020000E, 0x00080018))
    data = deidentify(to_bytes(source), NAMES, profile).data
    return unwrapped(pydicom.dcmread(BytesIO(data)), depth), data, profile


def test_nothing_planted_under_any_row_survives(outcome: Outcome) -> None:
    output, data, _ = outcome
    uids = [uid(str(int(row.tag, 16))) for row in PLAIN]
    leaked = [value for value in ("ZQ", "19310203", "031755", *uids) if value.encode() in data]
    assert leaked == []
    assert len(output) > 20


def test_each_row_ends_in_the_state_that_its_action_asks(outcome: Outcome) -> None:
    output, _, profile = outcome
    wrong = [(row.tag, row.keyword) for row in PLAIN if not _state_is_right(output, row, profile)]
    assert wrong == []


def _state_is_right(output: Dataset, row: Row, profile: Profile) -> bool:
    tag, action = int(row.tag, 16), resolve(row, profile.options)
    if action == "X" or dictionary_VR(tag) == "UN":  # a value of unknown kind goes, whatever its row asks
        return tag not in output
    if tag not in output:
        return False
    element = output[tag]
    if action == "Z":
        return not element.value
    if action == "K":
        return str(element.value or "") == KEPT_AS_THEY_ARE.get(tag, "")
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
        ("00081030", "X", "X"),
        ("00080080", "D", "D"),
        ("00081140", "U", "U"),
        ("0020000d", "U", "U"),
        ("00080201", "X", "X"),
        ("00102110", "X", "X"),
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


@pytest.mark.parametrize("code", ["113101", "113105", "113106", "113111", "nonsense"])
def test_an_option_that_is_not_carried_out_is_not_offered(code: str) -> None:
    with pytest.raises(ValueError, match=code):
        Profile(frozenset({code}))
