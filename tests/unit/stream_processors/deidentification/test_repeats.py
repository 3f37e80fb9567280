"""What is done again with a run that was met before, whose it is, and what it says of the patient."""

from __future__ import annotations

import pytest

from stream_processors.deidentification import DEFAULT, RefusedError
from stream_processors.deidentification.edits import spliced
from stream_processors.deidentification.encoding import EXPLICIT_LITTLE
from stream_processors.deidentification.repeats import walk_by_runs
from stream_processors.deidentification.replacing import replacing_for
from stream_processors.deidentification.walker import Walker
from tests.support.elements import NAMES, element, item, look, read

DATE = element(0x00080020, "DA", b"20200102")
NAME = element(0x00100010, "PN", b"ZQNAME^GIVEN")
DEVICE = element(0x00181000, "LO", b"4711")
NUMBER = element(0x00200013, "IS", b"1 ")
KERNELS = element(0x00181210, "SH", b"HEAD") + element(0x00181250, "SH", b"NECK")


pytestmark = pytest.mark.usefixtures("cold")


def rules(raw: bytes, patient: str = "ZQPID") -> list[str]:
    """By which rule each change was made; `run` where it was done again, or found out on its own."""
    return [edit[5] for edit in read(raw, patient)[1].edits]


def plain(raw: bytes, patient: str = "ZQPID") -> Walker:
    """The same file, walked element by element."""
    walker = Walker(raw, len(raw), DEFAULT, replacing_for(NAMES, DEFAULT, "", patient, "1.2.3", b""))
    walker.data_set(EXPLICIT_LITTLE, 0, len(raw))
    return walker


def test_what_becomes_of_nobodys_run_is_known_for_the_next_patient() -> None:
    assert [rules(DEVICE) for _ in range(3)] == [["dummy"], ["run"], ["run"]]
    assert rules(DEVICE, "ZQOTHER") == ["run"]


@pytest.mark.parametrize(
    ("raw", "rule"),
    [(DATE, "shift-date"), (NAME, "empty"), (element(0x00100020, "LO", b"ZQPID "), "dummy")],
)
def test_a_run_that_names_somebody_is_found_out_anew_for_the_next_patient(raw: bytes, rule: str) -> None:
    """The second patient's file may be the only one that has it: it is worth a walk of its own at the second sight."""
    assert [rules(raw) for _ in range(4)] == [[rule], ["run"], ["run"], ["run"]]
    assert [rules(raw, "ZQOTHER") for _ in range(4)] == [[rule], ["run"], ["run"], ["run"]]


def test_a_date_is_moved_by_the_days_of_the_patient_whose_file_it_is() -> None:
    for _ in range(3):
        moved = []
        for patient in ("ZQPID", "ZQOTHER"):
            done = read(DATE, patient)[1]
            moved.append(spliced(DATE, 0, len(DATE), done.edits))
            assert moved[-1] == spliced(DATE, 0, len(DATE), plain(DATE, patient).edits)
        assert len({*moved, DATE}) == 3


def test_a_change_of_a_run_says_what_was_done_to_each_element() -> None:
    raw = NAME + element(0x00100021, "LO", b"ZQ") + NUMBER + DEVICE
    read(raw)
    done = read(raw)[1]
    head = len(raw) - len(NUMBER + DEVICE)
    assert done.edits == [
        (0, head, element(0x00100010, "PN", b""), ((0x00100010, "empty"), (0x00100021, "remove")), 0, "run"),
        (
            len(raw) - len(DEVICE),
            len(raw),
            element(0x00181000, "LO", b"REMOVED "),
            ((0x00181000, "dummy"),),
            0,
            "run",
        ),
    ]


def test_what_stays_in_a_run_stays_around_what_changes() -> None:
    thickness, kernel = element(0x00180050, "DS", b"1 "), element(0x00181210, "SH", b"HEAD")
    raw = thickness + DEVICE + kernel
    for _ in range(3):
        changed = spliced(raw, 0, len(raw), read(raw)[1].edits)
        assert changed == thickness + element(0x00181000, "LO", b"REMOVED ") + kernel


def test_a_run_that_stays_as_it_is_is_no_change() -> None:
    raw = element(0x00180050, "DS", b"1 ") + element(0x00200011, "IS", b"1 ")
    every = [read(raw) for _ in range(4)]
    assert [done.edits for _, done in every] == [[]] * 4
    assert every[-1][0].runs == [(0, raw)]


@pytest.mark.parametrize(
    ("raw", "words", "uids", "dates"),
    [
        (NAME, {"zqname", "given"}, set(), set()),
        (element(0x00080050, "SH", b"4711-A"), {"4711-a"}, set(), set()),
        (element(0x0020000D, "UI", b"1.2.9\0"), set(), {"1.2.9"}, set()),
        (DATE, set(), set(), {"20200102"}),
        (
            element(0x00080018, "UI", b"1.22") + DATE + element(0x00100010, "PN", b"ZQ^") + NAME
            + NUMBER + element(0x0020000D, "UI", b"1.2.9\0") + element(0x0020000E, "UI", b"1.2.8\0")
            + element(0x00400244, "DA", b"20200103"),
            {"", "zqname", "given"}, {"1.22", "1.2.9", "1.2.8"}, {"20200102", "20200103"},
        ),
    ],
)  # fmt: skip
def test_what_a_run_says_of_the_patient_is_known_of_every_file_that_has_it(
    raw: bytes, words: set[str], uids: set[str], dates: set[str]
) -> None:
    for patient in ("ZQPID", "ZQPID", "ZQPID", "ZQPID", "ZQOTHER", "ZQOTHER"):
        done = read(raw, patient)[1].identity
        assert (done.words, done.uids, done.dates) == (words, uids, dates)


def test_texts_and_numbers_of_a_run_are_searched_one_by_one() -> None:
    """A patient whose name is a word of the vocabulary is found, and none is made up by two neighbours."""
    raw = KERNELS + element(0x00180050, "DS", b"1.5 ")
    for _ in range(3):
        done = read(raw)[1]
        for name, found in (("neck", True), ("head", True), ("headneck", False)):
            done.identity.words = {name}
            assert done.identity.found_in(done.texts + done.numbers) is found
        searched = b"\n".join(done.texts + done.numbers).split(b"\n")
        assert searched == [b"HEAD", b"NECK", b"1.5 "]


def test_a_run_behind_one_that_is_walked_is_done_again() -> None:
    """The next patient's date is walked with what lies around it, the device behind it is known."""
    raw = DATE + NUMBER + DEVICE
    for _ in range(3):
        rules(raw)
    assert rules(raw, "ZQOTHER") == ["shift-date", "run"]


def test_a_run_that_cannot_be_walked_is_refused_for_the_same_reason_at_every_sight() -> None:
    sex, broken = (
        element(0x00100040, "CS", b"F "),
        element(0x00101002, "SQ", element(0x00100010, "PN", b"ZQ")),
    )
    raw = sex + broken
    reasons = []
    for patient in ("ZQPID", "ZQPID", "ZQPID", "ZQOTHER"):
        with pytest.raises(RefusedError) as refused:
            read(raw, patient)
        reasons.append(refused.value.reason)
    assert set(reasons) == {"malformed"}
    assert look(raw).runs == [(0, raw)]
    with pytest.raises(RefusedError, match=r"^malformed$"):
        read(raw + item(b""), "ZQPID")


def test_what_lies_between_runs_has_to_end_where_the_next_begins() -> None:
    """Pixels reach to where their length says, whatever was taken for a run within them."""
    read(DEVICE)
    read(DEVICE)
    pixels = element(0x7FE00010, "OW", DEVICE + b"\0\0")
    walker = Walker(pixels, len(pixels), DEFAULT, replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b""))
    with pytest.raises(RefusedError, match=r"^malformed$"):
        walk_by_runs(walker, EXPLICIT_LITTLE, 0, [(12, DEVICE)])
