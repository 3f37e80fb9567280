from __future__ import annotations

from types import MappingProxyType

import pytest
from pydicom.sr.codedict import codes

from stream_processors.deidentification.profile import EDITION
from stream_processors.deidentification.table import (
    DEFACING,
    MEANINGS,
    OPTION_MEANINGS,
    Row,
    basic_action,
    load_table,
    read_rows,
    resolve,
    safe_private,
)


def row(tag: str, basic: str = "X", **options: str) -> Row:
    """A row; options as `o113107="C"`."""
    return Row(
        tag, "Keyword", basic, MappingProxyType({code[1:]: action for code, action in options.items()})
    )


def test_codes_mean_what_ps3_16_cid_7050_says() -> None:
    context_group = {code.value: code.meaning for code in codes.cid7050.concepts.values()}
    assert {
        **MEANINGS,
        DEFACING: "Clean Recognizable Visual Features Option",
    }.items() <= context_group.items()
    assert MEANINGS.keys() - OPTION_MEANINGS.keys() == {"113101"}
    # 113106, full dates, is refused, and is the only other one.
    assert context_group.keys() - MEANINGS.keys() == {DEFACING, "113106"}


@pytest.mark.parametrize(
    ("pattern", "spoken_of", "others"),
    [
        ("private", [0x00090010, 0x7FE11001, 0x00010001], [0x00080010, 0x7FE00010, 0x00100010]),
        ("60xx3000", [0x60003000, 0x601E3000, 0x60FF3000], [0x60003001, 0x50003000, 0x61003000]),
        ("50xxxxxx", [0x50000005, 0x501E3000, 0x50FFFFFF], [0x51000005, 0x60000005, 0x05000000]),
        ("00080018", [0x00080018], [0x00080019, 0x80018000]),
    ],
)
def test_a_row_speaks_of_the_tags_of_its_pattern(
    pattern: str, spoken_of: list[int], others: list[int]
) -> None:
    assert [row(pattern).matches(tag) for tag in spoken_of] == [True] * len(spoken_of)
    assert [row(pattern).matches(tag) for tag in others] == [False] * len(others)
    assert row(pattern).is_pattern == (pattern != "00080018")


def test_an_empty_cell_is_no_option_and_a_column_of_words_is_none_either() -> None:
    header, rows = read_rows(
        "# edition 2030a\ntag,keyword,basic,remark,113107,113110\n001000AB,Name,X/Z,seen,C,\n"
    )
    assert header == "# edition 2030a"
    assert rows == (Row("001000ab", "Name", "X/Z", MappingProxyType({"113107": "C"})),)


def test_the_table_at_hand_is_whole() -> None:
    header, rows = load_table()
    assert f"edition {EDITION}" in header
    assert len(rows) == len({each.tag for each in rows}) == 621
    assert {action for each in rows for action in each.options.values()} == {"K", "C"}
    assert {code for each in rows for code in each.options} == (
        MEANINGS.keys() - {"113100", "113101"} | {"113106"}
    )
    assert [each.tag for each in rows if each.is_pattern] == ["50xxxxxx", "60xx3000", "60xx4000", "private"]
    assert load_table() is load_table()


def test_safe_private_attributes_are_known_by_creator_group_and_element() -> None:
    known = safe_private()
    assert len(known) == 479
    assert known["Philips Imaging DD 001", 0x2001, 0x03] == "FL"
    assert all(group % 2 and element <= 0xFF for _, group, element in known)
    assert safe_private() is known


@pytest.mark.parametrize(
    ("basic", "action"),
    [("X", "X"), ("Z", "Z"), ("X/Z", "Z"), ("X/D", "D"), ("X/Z/D", "D"), ("X/Z/U*", "U"), ("U", "U")],
)
def test_of_a_compound_the_rightmost_keeps_every_object_valid(basic: str, action: str) -> None:
    assert basic_action(row("00100010", basic)) == action
    assert resolve(row("00100010", basic), frozenset({"113107"})) == action


@pytest.mark.parametrize(
    ("tag", "options", "asked", "action"),
    [
        ("00080020", {"o113107": "C"}, {"113107"}, "C"),  # a date
        ("0008002a", {"o113107": "C"}, {"113107"}, "C"),  # a date and time
        ("00080030", {"o113107": "C"}, {"113107"}, "Z"),  # a time of day: no shift by days changes it
        ("00080020", {"o113107": "C"}, {"113108"}, "Z"),
        ("60xx3000", {"o113107": "C"}, {"113107"}, "C"),
        ("00080020", {"o113107": "C", "o113109": "K"}, {"113107", "113109"}, "C"),
        ("00080030", {"o113107": "C", "o113109": "K"}, {"113107", "113109"}, "K"),
        ("00081030", {"o113105": "C", "o113112": "K"}, {"113105", "113112"}, "K"),
        ("00081030", {"o113105": "C"}, {"113105"}, "T"),
        ("00102160", {"o113108": "C"}, {"113108"}, "T"),
        ("0040a730", {"o113104": "C"}, {"113104"}, "T"),
        ("00700001", {"o113103": "C"}, {"113103"}, "T"),
        ("00181000", {"o113109": "C"}, {"113109"}, "Z"),  # what only a device's name would be read for
        ("60xx3000", {"o113103": "C"}, {"113103"}, "Z"),  # a whole group has no text to clean
    ],
)
def test_the_options_that_were_asked_for_decide(
    tag: str, options: dict[str, str], asked: set[str], action: str
) -> None:
    assert resolve(row(tag, "X/Z", **options), frozenset(asked)) == action
