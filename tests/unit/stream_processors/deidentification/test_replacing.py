from __future__ import annotations

import hashlib

import pytest

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Profile, replacing
from stream_processors.deidentification.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from stream_processors.deidentification.replacing import Replacing, nobody, replacing_for
from stream_processors.deidentification.runs import Done

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
PATIENT = NAMES.patient_key_for("", "ZQPID", "1.2.3")
CT_CLASS = b"1.2.840.10008.5.1.4.1.1.2"
KERNEL, MODEL, NUMBER, DEVICE = 0x00181210, 0x00081090, 0x00200013, 0x00081010


def decides(character_set: bytes = b"", profile: Profile = DEFAULT) -> Replacing:
    return Replacing(NAMES, profile, PATIENT, "", character_set)


@pytest.mark.parametrize(
    ("tag", "vr", "rule", "value", "new"),
    [
        (0x00100010, "PN", "empty", b"ZQ^A", b""),
        (0x00100010, "PN", "empty", b"", None),
        (0x00080080, "LO", "dummy", b"ZQ", b"REMOVED"),
        (0x00080080, "LO", "dummy", b"", b"REMOVED"),
        (0x00420011, "OB", "dummy", b"%PDF", b""),
        (0x00080018, "UI", "new-uid", b"", None),
        (0x00080018, "UI", "new-uid", CT_CLASS, None),
        (0x00080018, "UI", "dummy", CT_CLASS, None),
        (0x00080016, "UI", "map-uid", CT_CLASS + b"\\" + CT_CLASS, None),
        (0x0008010C, "UI", "map-uid", b"1.2.3", None),
        (0x00101010, "AS", "keep", b"062Y", None),
        (0x00101010, "AS", "keep", b"093Y", b"090Y"),
        (0x00101010, "AS", "cap-age", b"093Y", b"090Y"),
        (0x00101010, "AS", "cap-age", b"other", b""),
        (0x00100040, "CS", "keep", b"F ", None),
        (0x00100040, "CS", "keep", b"FAMILY", b""),
        (NUMBER, "IS", "number", b"12\\x".replace(b"x", b"13 "), None),
        (NUMBER, "IS", "number", b"12\\no", b"12\\"),
        (NUMBER, "IS", "number", b"no", b""),
        (KERNEL, "SH", "scrub", b"HEAD ", None),
        (KERNEL, "SH", "scrub", b"HEAD\\ZQTEXT", b"HEAD\\"),
        (KERNEL, "SH", "scrub", b"ABCD", b""),
        (KERNEL, "CS", "scrub", b"ABCD", None),
        (MODEL, "LO", "model", b"Type 9840 500 70201", None),
        (MODEL, "LO", "scrub", b"Type 9840 500 70201", b""),
        (MODEL, "LO", "model", b"ZQTEXT", b""),
        (0x00080100, "SH", "code", b"123456789012", None),
        (0x00080100, "SH", "code", b"12\n34", b""),
        (DEVICE, "SH", "hold", b"ZQSTATION", None),
        (0x00081030, "LO", "clean-text", b"CHEST", None),
        (0x00081030, "LO", "clean-text", b"CHEST \0", None),
        (0x00081030, "LO", "clean-text", b"CHEST of ZQNAME", b"CHEST of"),
        (0x00081030, "LO", "clean-text", b"ZQNAME", b""),
    ],
)
def test_a_rule_gives_a_new_value_or_leaves_the_old(
    tag: int, vr: str, rule: str, value: bytes, new: bytes | None
) -> None:
    assert decides().value(tag, vr, rule, value, EXPLICIT_LITTLE) == new


def test_a_clean_text_that_has_to_be_something_is_never_empty() -> None:
    assert decides().value(0x00401400, "LT", "clean-text", b"ZQNAME", EXPLICIT_LITTLE) == b""
    for tag in (0x0018A003, 0x00321060, 0x00400555, 0x00181030):
        expected = b"REMOVED" if DEFAULT.basic(tag) == "D" else b""
        assert decides().value(tag, "ST", "clean-text", b"ZQNAME", EXPLICIT_LITTLE) == expected
    required = next(
        tag for tag, action in DEFAULT.actions.items() if action == "T" and DEFAULT.basic(tag) == "D"
    )
    assert decides().value(required, "ST", "clean-text", b"ZQNAME", EXPLICIT_LITTLE) == b"REMOVED"


def test_uids_and_dates_are_those_of_the_site_and_the_patient() -> None:
    change = decides()
    new = NAMES.uid("1.2.3").encode()
    assert change.value(0x00080018, "UI", "new-uid", b"1.2.3\0", EXPLICIT_LITTLE) == new
    assert change.value(0x00080018, "UI", "dummy", b"1.2.3", EXPLICIT_LITTLE) == new
    assert (
        change.value(0x00080016, "UI", "map-uid", b"1.2.3\\" + CT_CLASS, EXPLICIT_LITTLE)
        == new + b"\\" + CT_CLASS
    )
    shifted = change.value(0x00080020, "DA", "shift-date", b"20230405", EXPLICIT_LITTLE)
    assert shifted is not None
    assert shifted != b"20230405"
    assert len(shifted) == 8
    assert change.days == NAMES.date_shift_days(PATIENT) != 0


@pytest.mark.parametrize(
    ("value", "pseudonym"),
    [
        (b"ZQPID ", NAMES.patient_id("", "ZQPID")),
        (b"ZQPID\0", NAMES.patient_id("", "ZQPID")),
        (b"", NAMES.patient_id("", PATIENT)),
        (b"0", NAMES.patient_id("", PATIENT)),
    ],
)
def test_a_patient_id_becomes_a_pseudonym_and_a_placeholder_that_of_the_study(
    value: bytes, pseudonym: str
) -> None:
    assert decides().value(0x00100020, "LO", "dummy", value, EXPLICIT_LITTLE) == pseudonym.encode()


def test_a_patient_id_is_read_in_its_character_set_and_under_its_issuer() -> None:
    greek = "ΑΒΓ4711"
    change = decides(b"ISO_IR 126")
    new = change.value(0x00100020, "LO", "dummy", greek.encode("iso8859_7"), EXPLICIT_LITTLE)
    assert new == NAMES.patient_id("", greek).encode()
    issued = Replacing(NAMES, DEFAULT, PATIENT, "ISSUER", b"")
    assert (
        issued.value(0x00100020, "LO", "dummy", b"1234", EXPLICIT_LITTLE)
        == NAMES.patient_id("ISSUER", "1234").encode()
    )


@pytest.mark.parametrize(
    ("rule", "vr", "value", "new"),
    [
        ("scrub", "SH", b"CHEST\\HEAD", b"\\HEAD"),
        ("scrub", "SH", b"HEAD", None),
        ("model", "LO", b"Chest 12", b""),
        ("hold", "SH", b"ZQ chest ZQ", b""),
        ("hold", "SH", b"ZQchest", None),
        ("code", "SH", b"A-CHEST-1", b""),
        ("clean-text", "LT", b"HEAD of CHEST and NECK", b"HEAD of and NECK"),
        ("clean-text", "LT", b"HEAD  and NECK", None),
        ("number", "IS", b"471108", b""),
        ("number", "IS", b"4711081", None),
        ("number", "IS", b"4711", None),
    ],
)
def test_a_word_of_the_patient_goes_from_whatever_would_stay(
    rule: str, vr: str, value: bytes, new: bytes | None
) -> None:
    seeking = decides().seeking(frozenset({"chest", "471108", "4711"}))
    assert seeking.value(KERNEL, vr, rule, value, EXPLICIT_LITTLE) == new


def test_what_is_sought_is_remembered_for_its_words_and_not_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = decides()
    one, other = frozenset({"chest"}), frozenset({"head"})
    assert plain.seeking(one) is plain.seeking(one) is not plain.seeking(other)
    assert plain.value(KERNEL, "SH", "scrub", b"CHEST", EXPLICIT_LITTLE) is None
    assert plain.seeking(one).value(KERNEL, "SH", "scrub", b"CHEST", EXPLICIT_LITTLE) == b""
    assert plain.seeking(other).value(KERNEL, "SH", "scrub", b"CHEST", EXPLICIT_LITTLE) is None
    monkeypatch.setattr(replacing, "MAX_WORDS", 2)
    assert set(plain.with_words) == {one, other}
    third = plain.seeking(frozenset({"neck"}))
    assert list(plain.with_words.values()) == [third]


def test_memory_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "MAX_KNOWN", 3)
    monkeypatch.setattr(replacing, "MAX_KNOWN_BYTES", 8)
    change = decides()
    none: frozenset[str] = frozenset()
    anybodys, own = Done(b"", (), b"", none, none, none), Done(b"", (), b"", frozenset({"name"}), none, none)
    sizes = []
    for number in range(4):
        change.value(KERNEL, "SH", "scrub", b"HEAD%d" % number, EXPLICIT_LITTLE)
        change.uid(f"1.2.{number}")
        change.remember(IMPLICIT_LITTLE, b"%d" % number, anybodys, is_anybodys=True)
        change.remember(IMPLICIT_LITTLE, b"%d" % number, own, is_anybodys=False)
        sizes.append((len(change.known), len(change.uids), len(change.runs), len(change.anybodys)))
    assert sizes == [(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (1, 1, 1, 1)]
    change.value(KERNEL, "SH", "scrub", b"HEAD AND", EXPLICIT_LITTLE)
    assert len(change.known) == 2
    change.value(KERNEL, "SH", "scrub", b"HEAD AND ", EXPLICIT_LITTLE)
    assert len(change.known) == 2


def test_a_decision_is_made_once_for_a_value_and_an_encoding() -> None:
    change = decides()
    dummies = {
        change.value(0x00189074, "US", "dummy", b"ab", encoding)
        for encoding in (EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE)
    }
    assert dummies == {b"\0\0"}
    assert len(change.known) == 3
    assert change.uid("1.2.3") == change.uids["1.2.3"] == NAMES.uid("1.2.3")
    assert change.uid("") == ""


def test_a_long_value_is_decided_like_a_short_one_and_nothing_of_it_prints() -> None:
    change = decides()
    long = b"HEAD " * 40
    assert change.value(0x00187006, "LT", "clean-text", long + b"ZQNAME", EXPLICIT_LITTLE) == long.strip()
    change.value(KERNEL, "SH", "scrub", b"ZQTEXT", EXPLICIT_LITTLE)
    change.uid("1.2.3.4711")
    change.remember(
        IMPLICIT_LITTLE,
        b"ZQRUN",
        Done(b"ZQRUN", (), b"ZQRUN", frozenset(), frozenset(), frozenset()),
        is_anybodys=False,
    )
    change.seeking(frozenset({"zqname"}))
    assert "ZQ" not in repr(change).upper().replace("ZQPID", "ZQ")
    assert "4711" not in repr(change)


def test_files_of_a_patient_share_what_was_decided() -> None:
    one = replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b"")
    assert one is replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b"")
    assert one.patient == PATIENT
    assert replacing_for(NAMES, DEFAULT, "", "ZQOTHER", "1.2.3", b"").days != one.days
    assert nobody(NAMES, DEFAULT).patient == nobody(NAMES, DEFAULT).issuer == ""
    assert nobody(NAMES, DEFAULT).character_set == b""


def test_patients_share_only_what_another_would_get_too() -> None:
    one, other = (replacing_for(NAMES, DEFAULT, "", each, "1.2.3", b"") for each in ("ZQPID", "ZQOTHER"))
    none: frozenset[str] = frozenset()
    done = Done(b"", (), b"", none, none, none)
    one.remember(EXPLICIT_LITTLE, b"of nobody", done, is_anybodys=True)
    one.remember(EXPLICIT_LITTLE, b"of one", done, is_anybodys=False)
    assert other.anybodys.get((EXPLICIT_LITTLE, b"of nobody")) == done
    assert (EXPLICIT_LITTLE, b"of one") in one.runs
    assert (EXPLICIT_LITTLE, b"of one") not in other.anybodys
    assert (IMPLICIT_LITTLE, b"of nobody") not in other.anybodys
    assert not one.seeking(frozenset({"zqname"})).anybodys
    assert one.of_another.days != one.days
    assert one.of_another.patient != one.patient


@pytest.mark.parametrize(
    ("tag", "vr", "rule", "new"),
    [
        (0x00104000, "UT", "clean-text", b""),
        (0x00380500, "LO", "scrub", b""),
        (0x300A0608, "LO", "clean-text", b"REMOVED"),
        (0x00081090, "LO", "model", b""),
        (0x00181020, "LO", "code", b""),
        (0x00081010, "SH", "hold", b""),
    ],
)
def test_of_a_text_longer_than_anybody_writes_nothing_stays(tag: int, vr: str, rule: str, new: bytes) -> None:
    longest = b"arm " * (replacing.MOST_TEXT_BYTES // 4)
    assert len(longest) == replacing.MOST_TEXT_BYTES
    assert decides().value(tag, vr, rule, longest + b"arm ", EXPLICIT_LITTLE) == new
    assert decides().value(tag, vr, rule, longest, EXPLICIT_LITTLE) is None


def test_of_runs_that_name_somebody_no_more_are_noted_than_the_bound_says() -> None:
    one, none, most = decides(), frozenset[str](), replacing.MAX_KNOWN
    for each in range(most):
        one.remember(EXPLICIT_LITTLE, b"%d" % each, Done(b"", (), b"", none, none, none), is_anybodys=False)
    assert len(one.personal) == most
    assert one.is_first((EXPLICIT_LITTLE, b"0"))
    one.remember(EXPLICIT_LITTLE, b"more", Done(b"", (), b"", none, none, none), is_anybodys=False)
    assert one.personal == {(EXPLICIT_LITTLE, b"more")}
    assert not one.is_first((EXPLICIT_LITTLE, b"0"))


@pytest.mark.parametrize(
    ("tag", "vr", "rule", "padded", "bare"),
    [
        (0x00080018, "UI", "new-uid", b"1.2.3\0", b"1.2.3"),
        (0x00080018, "UI", "new-uid", b"1.2.3 \\1.2.4\0", b"1.2.3\\1.2.4"),
        (0x00100020, "LO", "dummy", b"ZQ 1 ", b"ZQ 1"),
        (0x00100020, "LO", "dummy", b"ZQ 1\0", b"ZQ 1"),
    ],
)
def test_padding_decides_nothing(tag: int, vr: str, rule: str, padded: bytes, bare: bytes) -> None:
    assert decides().value(tag, vr, rule, padded, EXPLICIT_LITTLE) == decides().value(
        tag, vr, rule, bare, EXPLICIT_LITTLE
    )
