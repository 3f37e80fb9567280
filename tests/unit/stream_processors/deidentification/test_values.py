from __future__ import annotations

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset

from stream_processors.deidentification.values import (
    DUMMIES,
    age_in_years,
    capped_age,
    dummy_sequence,
    is_number,
    kept,
    shift_date,
)


@pytest.mark.parametrize(
    ("value", "days", "shifted"),
    [
        ("20240301", -1, "20240229"),
        ("20230101", -31, "20221201"),
        ("2023.01.01", -1, "20221231"),
        ("20230101 ", 0, "20230101"),
        ("20230101101112.131415+0100", -1, "20221231"),
        ("", -1, ""),
        ("2023", -1, ""),
        ("202313", -1, ""),
        ("20231399", -1, ""),
        ("00010101", -31, ""),
        ("09990101", -1, ""),
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
        ("999M", "999M"),
        ("007D", "007D"),
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
    ],
)
def test_what_an_option_keeps_is_a_code_a_number_or_an_age(tag: int, vr: str, value: str, stays: str) -> None:
    assert kept(tag, vr, value) == stays


def test_every_vr_of_the_dictionary_has_a_dummy() -> None:
    vrs = {vr for row in DicomDictionary.values() for vr in row[0].split(" or ")} - {"SQ", "UI", "NONE", ""}
    assert sorted(vrs - DUMMIES.keys() - {"OB_OW"}) == []


def test_a_dummy_sequence_has_one_item_and_a_code_where_codes_belong() -> None:
    assert list(dummy_sequence(0x0040A073)) == [Dataset()]
    assert dummy_sequence(0x00401101)[0].CodeValue == "REMOVED"


@pytest.mark.parametrize(
    ("text", "number"), [("1", True), ("-1.5e3 ", True), ("1\\2", True), ("1 Smith", False)]
)
def test_a_number_holds_no_letters_but_an_exponent(text: str, number: bool) -> None:
    assert is_number(text) is number
