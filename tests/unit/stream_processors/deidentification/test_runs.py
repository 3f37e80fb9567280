"""Where runs of elements begin and end, which are joined, and how many are remembered.

None of it decides what becomes of a file (`tests/properties/test_repeats.py`); it decides how fast the slices of a
series are read, and that no run reaches across a place where something is to be written.
"""

from __future__ import annotations

import struct

import pytest

from stream_processors.deidentification.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
)
from stream_processors.deidentification.runs import Done, Runs, bound_of
from tests.support.elements import element, endless, item, look, read

Element = tuple[int, str, bytes]
Run = tuple[Element, ...]

MODALITY: Element = (0x00080060, "CS", b"CT")
CHARACTER_SET: Element = (0x00080005, "CS", b"ISO_IR 100")
SEX: Element = (0x00100040, "CS", b"F ")
THICKNESS: Element = (0x00180050, "DS", b"1 ")
SERIES: Element = (0x00200011, "IS", b"1 ")
COMMENT: Element = (0x00204000, "LT", b"")
SAMPLES: Element = (0x00280002, "US", b"\1\0")
PADDING: Element = (0x00280120, "US", b"\0\0")
STATION: Element = (0x00401001, "SH", b"A ")


pytestmark = pytest.mark.usefixtures("cold")


def written(elements: Run) -> bytes:
    return b"".join(element(*each) for each in elements)


def placed(parts: list[tuple[bool, bytes]]) -> list[tuple[int, bytes]]:
    """The parts that are runs, each with its place among all parts."""
    found, at = [], 0
    for is_run, part in parts:
        if is_run:
            found.append((at, part))
        at += len(part)
    return found


def thick(count: int, begin: int = 0) -> Run:
    """So many elements of the acquisition's group."""
    return tuple((0x00189000 + begin + number, "DS", b"1 ") for number in range(count))


# Elements in the order of the file: a tuple of elements is one run, what stands alone is in none.
CUTS: dict[str, list[Run | Element]] = {
    "one group is one run": [(CHARACTER_SET, MODALITY)],
    "a group ends a run": [(CHARACTER_SET, MODALITY), (SEX,), (THICKNESS,)],
    "so it does where groups go down": [(THICKNESS,), (CHARACTER_SET, MODALITY)],
    "sixteen elements are the most": [thick(16)],
    "a seventeenth begins anew": [thick(16), thick(16, 16), thick(1, 32)],
    "1024 bytes are the most of an element": [((0x00204000, "LT", b"x" * 1024), SERIES)],
    "one byte more is in no run": [(SERIES,), (0x00204000, "LT", b"x" * 1025), (COMMENT,)],
    "a sequence that stays is in no run": [
        (MODALITY,),
        (0x00081140, "SQ", item(element(*MODALITY))),
        (CHARACTER_SET,),
    ],
    "a sequence that goes is": [(SEX, (0x00101002, "SQ", item(element(*SEX))))],
    "an element of the patient's is": [((0x00100010, "PN", b"ZQNAME"), SEX)],
    "a private one that goes is": [((0x00091001, "LO", b"ZQ"), (0x00091002, "LO", b"ZQ"))],
    # What is said of earlier steps ends with (0012,0064), of dates with (0028,0303): ours is written behind.
    "(0012,0063) and what stands behind the methods": [
        ((0x00120050, "LO", b""), (0x00120063, "LO", b"ZQ")),
        ((0x00120065, "CS", b"A "), (0x00120071, "LO", b"ZQ")),
    ],
    "(0028,0303) and what stands behind it": [
        ((0x00280302, "CS", b"NO"), (0x00280303, "CS", b"REMOVED ")),
        ((0x00280304, "UI", b"1.2.3\0"), (0x00280A02, "CS", b"NO")),
    ],
    "the last fact, (0040,1003), and what stands behind it": [
        (STATION, (0x00401003, "SH", b"STAT")),
        ((0x00401004, "LO", b"WALK"), (0x00401005, "LO", b"A ")),
    ],
    "what goes down stays where it is": [((0x00280303, "CS", b"NO"), SAMPLES)],
}

VARYING: dict[str, list[Run | Element]] = {
    "Instance Creation Time": [(CHARACTER_SET,), (0x00080013, "TM", b"101112"), (MODALITY,)],
    "SOP Instance UID": [(CHARACTER_SET,), (0x00080018, "UI", b"1.22"), (MODALITY,)],
    "Acquisition Time": [(CHARACTER_SET,), (0x00080032, "TM", b"101112"), (MODALITY,)],
    "Content Time": [(CHARACTER_SET,), (0x00080033, "TM", b"101112"), (MODALITY,)],
    "Acquisition Number": [(SERIES,), (0x00200012, "IS", b"1 "), (COMMENT,)],
    "Instance Number": [(SERIES,), (0x00200013, "IS", b"1 "), (COMMENT,)],
    "Image Position": [(SERIES,), (0x00200032, "DS", b"1\\1\\1 "), (COMMENT,)],
    "Slice Location": [(SERIES,), (0x00201041, "DS", b"1 "), (COMMENT,)],
    "Smallest Image Pixel Value": [(SAMPLES,), (0x00280106, "US", b"\1\0"), (PADDING,)],
    "Largest Image Pixel Value": [(SAMPLES,), (0x00280107, "US", b"\1\0"), (PADDING,)],
}


def parts_of(file: list[Run | Element]) -> list[tuple[bool, bytes]]:
    return [(True, written(part)) if isinstance(part[0], tuple) else (False, element(*part)) for part in file]


@pytest.mark.parametrize("case", [*CUTS, *VARYING])
def test_a_run_ends_by_its_own_bytes_and_is_known_at_the_second_sight(case: str) -> None:
    parts = parts_of({**CUTS, **VARYING}[case])
    raw = b"".join(part for _, part in parts)
    assert look(raw).runs == []
    assert look(raw).runs == placed(parts)


@pytest.mark.parametrize("before", [b"", element(0x00081140, "SQ", b"")])
def test_what_stands_before_a_known_run_is_a_run_of_its_own(before: bytes) -> None:
    known, new = written((MODALITY, (0x00080070, "LO", b"ZQ"))), written((CHARACTER_SET,))
    look(known)
    raw = before + new + known
    assert look(raw).runs == [(len(before + new), known)]
    assert look(raw).runs == [(len(before), new), (len(before + new), known)]


def test_a_value_that_changed_leaves_the_other_runs_known() -> None:
    shared = written((CHARACTER_SET, MODALITY))
    look(shared + written((THICKNESS,)))
    assert look(shared + element(0x00180050, "DS", b"2 ")).runs == [(0, shared)]


def test_of_runs_that_begin_alike_the_last_one_is_looked_for() -> None:
    """The first eight bytes, tag and length, tell how long a run was; only its bytes tell whether it is the same."""
    latin, sex = written((CHARACTER_SET,)), written((SEX,))
    greek = element(0x00080005, "CS", b"ISO_IR 126") + written((MODALITY,))
    for each in (latin, greek):
        look(each + sex)
    assert look(greek + sex).runs == [(0, greek), (len(greek), sex)]
    assert look(latin + sex).runs == [(len(latin), sex)]
    assert look(latin + sex).runs == [(0, latin), (len(latin), sex)]


def test_nothing_behind_the_pixels_is_part_of_a_run() -> None:
    before, pixels = written((SAMPLES,)), element(0x7FE00010, "OW", b"\0\0")
    raw = before + pixels + written((MODALITY,))
    look(raw)
    assert look(raw).runs == [(0, before)]


def test_a_sequence_without_an_end_of_its_own_is_in_no_run_even_if_it_goes() -> None:
    sequence = endless(0x00101002, element(*SEX))
    raw = written((SEX,)) + sequence + written((SEX,))
    look(raw)
    assert look(raw).runs == [(0, written((SEX,))), (len(raw) - 10, written((SEX,)))]


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_runs_are_found_in_every_encoding(encoding: Encoding) -> None:
    groups = [
        b"".join(element(*each, encoding) for each in run) for run in ((CHARACTER_SET, MODALITY), (SEX,))
    ]
    raw = b"".join(groups)
    look(raw, encoding=encoding)
    assert look(raw, encoding=encoding).runs == [(0, groups[0]), (len(groups[0]), groups[1])]


@pytest.mark.parametrize(
    ("tag", "bound"),
    [
        (0x00080005, 0x00120064),
        (0x00120064, 0x00120064),
        (0x00120065, 0x00280303),
        (0x00280303, 0x00280303),
        (0x00280304, 0x00401003),
        (0x00401003, 0x00401003),
        (0x00401004, 0xFFFFFFFF),
        (0xFFFEE0DD, 0xFFFFFFFF),
    ],
)
def test_a_run_reaches_to_the_next_place_where_something_is_said(tag: int, bound: int) -> None:
    assert bound_of(tag) == bound


def filler(tag: int, size: int) -> Element:
    """An element of so many bytes, that goes whoever the patient is."""
    return tag, "LO", b"x" * (size - 8)


JOINED: dict[str, tuple[Run, Run, bool]] = {
    "two that anybody's files may have": ((THICKNESS,), (SERIES,), True),
    "one with a name": (((0x00100010, "PN", b"ZQNAME"),), (THICKNESS,), False),
    "one before a name": ((CHARACTER_SET,), ((0x00100010, "PN", b"ZQNAME"),), False),
    "one with a date": ((THICKNESS,), ((0x00400244, "DA", b"20200102"),), False),
    "UIDs, which are named alike for everybody": (((0x0018100B, "UI", b"1.2.3\0"),), (SERIES,), True),
    "up to what says what was done": ((CHARACTER_SET,), ((0x00120063, "LO", b"ZQ"),), True),
    "across it": ((CHARACTER_SET,), ((0x00120065, "CS", b"A "),), False),
    "up to what says it of dates": ((SERIES,), ((0x00280303, "CS", b"NO"),), True),
    "across that": ((SERIES,), ((0x00280304, "UI", b"1.2.3\0"),), False),
    "up to the last fact": (((0x00380050, "LO", b""),), ((0x00401003, "SH", b"STAT"),), True),
    "across that, too": (((0x00380050, "LO", b""),), ((0x00401004, "LO", b"ZQ"),), False),
    "4096 bytes": (
        (filler(0x00189001, 1024), filler(0x00189002, 1024)),
        (filler(0x00209001, 1024), filler(0x00209002, 1024)),
        True,
    ),
    "one byte more": (
        (filler(0x00189001, 1024), filler(0x00189002, 1024)),
        (filler(0x00209001, 1024), filler(0x00209002, 1025)),
        False,
    ),
    "one byte more of the first": (
        (filler(0x00189001, 1025), filler(0x00189002, 1024)),
        (filler(0x00209001, 1024), filler(0x00209002, 1024)),
        False,
    ),
}


@pytest.mark.parametrize("case", JOINED)
def test_two_runs_become_one_where_both_are_anybodys_and_nothing_is_said_between(case: str) -> None:
    """Learned in the first file, walked alone in the second, joined in the third."""
    first, second, joined = JOINED[case]
    one, other = written(first), written(second)
    sights = [read(one + other)[0].runs for _ in range(4)]
    both = [(0, one), (len(one), other)]
    assert sights[:3] == [[], both, both]
    assert sights[3] == ([(0, one + other)] if joined else both)


def test_three_runs_become_one_after_the_other() -> None:
    parts = [written((each,)) for each in (THICKNESS, SERIES, SAMPLES)]
    raw = b"".join(parts)
    counts = [len(read(raw)[0].runs) for _ in range(7)]
    assert counts[0] == 0
    assert counts[1] == 3
    assert counts[-1] == 1
    assert read(raw)[0].runs == [(0, raw)]


def test_runs_with_an_element_between_them_are_not_joined() -> None:
    raw = written((THICKNESS, (0x00200013, "IS", b"1 "), (0x00204000, "LT", b"CHEST ")))
    sights = [len(read(raw)[0].runs) for _ in range(5)]
    assert sights == [0, 2, 2, 2, 2]


def test_joined_runs_hold_the_facts_of_both_and_the_first_of_two_counts() -> None:
    raw = written(((0x00180015, "CS", b"CHEST "), SERIES, (0x0020000D, "UI", b"1.22"), SAMPLES, PADDING))
    raw += written(((0x00180015, "CS", b"HEAD"),))
    every = [read(raw)[0] for _ in range(9)]
    for facts in every:
        assert facts.values == {0x00180015: b"CHEST ", 0x0020000D: b"1.22", 0x00280002: b"\1\0"}
    assert every[-1].runs == [(0, raw)]


def runs_of(count: int) -> list[bytes]:
    return [struct.pack("<HH2sH", 0x0018, number, b"DS", 0) for number in range(count)]


def test_so_many_runs_are_remembered_and_then_it_begins_anew() -> None:
    """4096, whoever sends them: what is forgotten is walked element by element, and learned again."""
    runs, each = Runs(EXPLICIT_LITTLE), runs_of(4097)
    for run in each[:4096]:
        runs.learn(b"before" + run + b"behind", 6, 14, ())
    assert list(runs.facts) == each[:4096]
    assert runs.sizes == {run: (8, 0x00180000 + number) for number, run in enumerate(each[:4096])}
    runs.learn(each[4096], 0, 8, ((0x00181000, b"a fact"),))
    assert runs.facts == {each[4096]: ((0x00181000, b"a fact"),)}
    assert runs.sizes == {each[4096]: (8, 0x00181000)}


NONE: frozenset[str] = frozenset()
SOME = frozenset({"zq"})


@pytest.mark.parametrize(
    ("words", "uids", "dates", "names_nobody"),
    [
        (NONE, NONE, NONE, True),
        (NONE, SOME, NONE, True),
        (SOME, NONE, NONE, False),
        (NONE, NONE, SOME, False),
        (SOME, SOME, SOME, False),
    ],
)
def test_words_and_dates_name_somebody(
    words: frozenset[str], uids: frozenset[str], dates: frozenset[str], names_nobody: bool
) -> None:
    assert Done(b"", (), b"", words, uids, dates).names_nobody is names_nobody
