from __future__ import annotations

import pytest
from pydicom._dicom_dict import DicomDictionary

from stream_processors.deidentification.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE
from stream_processors.deidentification.values import (
    DUMMIES,
    age_in_years,
    capped_age,
    dummy,
    is_number,
    kept,
    original_date,
    shift_date,
)


@pytest.mark.parametrize(
    ("value", "days", "shifted"),
    [
        ("20240301", -1, "20240229"),
        ("20230101", -31, "20221201"),
        ("2023.01.01", -1, "20221231"),
        ("20230101 ", 0, "20230101"),
        (" 20230101\0", 0, "20230101"),
        ("20230101101112.131415+0100", -1, "20221231"),
        ("", -1, ""),
        ("2023", -1, ""),
        ("202313", -1, ""),
        ("20231399", -1, ""),
        ("00010101", -31, ""),
        ("09990101", -1, ""),
        ("10000101", 0, "10000101"),
        ("10000101", -1, ""),
        ("2023.01.01\0", 0, "20230101"),
        ("2023.01.01 and", 0, ""),
        ("99991231", 1, ""),
        ("ZQDATE", -1, ""),
    ],
)
def test_a_date_is_shifted_by_whole_days_and_what_is_none_goes(value: str, days: int, shifted: str) -> None:
    assert shift_date(value, days) == shifted


@pytest.mark.parametrize(
    ("value", "capped"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("120Y", "090Y"),
        ("091Y", "090Y"),
        ("999M", "999M"),
        ("007D", "007D"),
        (" 062Y\0", "062Y"),
        ("0062Y", ""),
        ("089Y and", ""),
        ("90", ""),
        ("", ""),
    ],
)
def test_an_age_is_capped_at_90_years(value: str, capped: str) -> None:
    assert capped_age(value) == capped


def test_ages_of_every_unit_are_years() -> None:
    assert [round(age_in_years(text) or 0, 2) for text in ("018Y", "006M", "026W", "365D")] == [
        18,
        0.5,
        0.5,
        1,
    ]
    assert age_in_years("18") is None


@pytest.mark.parametrize(
    ("tag", "vr", "value", "stays"),
    [
        (0x00100040, "CS", "F", "F"),
        (0x00100040, "CS", "FAMILY", ""),
        (0x001021A0, "CS", "UNKNOWN", "UNKNOWN"),
        (0x00101030, "DS", "72.5", "72.5"),
        (0x00101030, "DS", "heavy", ""),
        (0x00102160, "SH", "any text", ""),
        (0x001021C0, "US", "4", "4"),
        (0x00101010, "AS", "090Y", "090Y"),
        (0x00720022, "IS", "12 ", "12 "),
        (0x00720022, "IS", "twelve", ""),
        (0x00720022, "FD", "12", ""),
    ],
)
def test_what_an_option_keeps_is_a_code_a_number_or_an_age(tag: int, vr: str, value: str, stays: str) -> None:
    assert kept(tag, vr, value) == stays


def test_every_vr_of_the_dictionary_has_a_dummy() -> None:
    vrs = {vr for row in DicomDictionary.values() for vr in row[0].split(" or ")} - {"SQ", "UI", "NONE", ""}
    assert sorted(vrs - DUMMIES.keys() - {"OB_OW"}) == []


def test_a_dummy_sequence_has_one_item_and_a_code_where_codes_belong() -> None:
    assert dummy(0x0040A073, "SQ", EXPLICIT_LITTLE) == EXPLICIT_LITTLE.item(b"")
    assert b"REMOVED " in dummy(0x00401101, "SQ", EXPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1\0", True),
        ("\0", True),
        ("", True),
        ("1\n2", False),
        ("1", True),
        ("-1.5e3 ", True),
        ("1\\2", True),
        ("1 Smith", False),
    ],
)
def test_a_number_holds_no_letters_but_an_exponent(text: str, number: bool) -> None:
    assert is_number(text) is number


def test_dummies_are_valid_and_say_nothing() -> None:
    texts = {vr: value for vr, value in DUMMIES.items() if isinstance(value, str)}
    assert texts == {
        **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
        "AS": "000Y", "DA": "19000101", "DS": "0", "DT": "19000101", "IS": "0", "TM": "000000", "UR": "urn:removed",
    }  # fmt: skip
    encodings = (EXPLICIT_LITTLE, EXPLICIT_BIG)
    assert {
        dummy(0, vr, each) for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") for each in encodings
    } == {bytes(8)}
    sizes = {"SS": 2, "US": 2, "FL": 4, "SL": 4, "UL": 4, "AT": 4, "FD": 8, "SV": 8, "UV": 8}
    assert {vr: dummy(0, vr, EXPLICIT_BIG) for vr in sizes} == {vr: bytes(size) for vr, size in sizes.items()}
    assert dummy(0, "DS", EXPLICIT_LITTLE) == b"0"


@pytest.mark.parametrize("tag", [0x00080082, 0x00401101, 0x0040A088])
def test_a_dummy_code_says_that_the_code_was_removed(tag: int) -> None:
    content = (
        EXPLICIT_LITTLE.element(0x00080100, "SH", b"REMOVED")
        + EXPLICIT_LITTLE.element(0x00080102, "SH", b"99RADSTREAM")
        + EXPLICIT_LITTLE.element(0x00080104, "LO", b"Removed")
    )
    assert dummy(tag, "SQ", EXPLICIT_LITTLE) == EXPLICIT_LITTLE.item(content)


def test_an_original_date_is_its_eight_digits() -> None:
    assert [original_date(text) for text in ("20230405", "2023.04.05", "20230405101112", "2023", "")] == [
        "20230405", "20230405", "20230405", "", "",
    ]  # fmt: skip
