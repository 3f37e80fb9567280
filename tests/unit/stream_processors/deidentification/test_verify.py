from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, RefusedError, deidentify, kinds, plan, rules, walker
from stream_processors.deidentification.identity import Identity
from stream_processors.deidentification.profile import METHOD
from stream_processors.deidentification.table import MEANINGS
from stream_processors.deidentification.verify import Expected, verify
from tests.support.dicoms import Options, ct_slice, to_bytes, ultrasound

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
SOURCE = ct_slice("a", Options(nested=True, patient_id="48151623"))
CLEAN = deidentify(to_bytes(SOURCE), NAMES).data


def read() -> FileDataset:
    return pydicom.dcmread(BytesIO(CLEAN))


def expected(pixels_withheld: bool = False) -> Expected:
    days = NAMES.date_shift_days(NAMES.patient("", "48151623"))
    return Expected(collected(), days, pixels_withheld, DEFAULT.codes)


def collected() -> Identity:
    raw = to_bytes(SOURCE)
    return plan(raw, len(raw), NAMES).identity


def put(tag: int, vr: str, value: object) -> Callable[[FileDataset], None]:
    return lambda output: output.add_new(tag, vr, value)


def nest(tag: int, vr: str, value: object) -> Callable[[FileDataset], None]:
    def change(output: FileDataset) -> None:
        item = Dataset()
        item.add_new(tag, vr, value)
        output.SharedFunctionalGroupsSequence = Sequence([item])

    return change


def meta(tag: int, vr: str, value: object) -> Callable[[FileDataset], None]:
    return lambda output: output.file_meta.add_new(tag, vr, value)


def promise(code: str) -> Dataset:
    """One item of what was done."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", MEANINGS[code]
    return item


LEAKS = {
    "a name restored": put(0x00100010, "PN", "ANYONE"),
    "a description": put(0x00081030, "LO", "any Smithy"),
    "an empty attribute that had to go": put(0x00081040, "LO", ""),
    "a nested name": nest(0x00100010, "PN", "ANYONE"),
    "a nested description": nest(0x00081030, "LO", "any Smithy"),
    "a name in a kept text": put(0x00181210, "SH", "zqfamily"),
    "a name in a code": nest(0x00080104, "LO", "of ZQGiven"),
    "an id in a kept number": put(0x00200011, "IS", "48151623"),
    "an original UID": put(0x00200052, "UI", SOURCE.FrameOfReferenceUID),
    "an original UID in a text": put(0x00080104, "LO", f"as {SOURCE.FrameOfReferenceUID}"),
    "a UID of unknown origin": put(0x00200052, "UI", "1.2.3.4"),
    "an original date": put(0x00080020, "DA", SOURCE.StudyDate),
    "a date that nobody shifted": put(0x00080020, "DA", "20010101"),
    "an original date in a text": put(0x00181210, "SH", SOURCE.StudyDate),
    "a time of day": put(0x00080030, "TM", "101112"),
    "free text beyond the table": put(0x00187006, "LT", "any Smithy"),
    "an age over 89": put(0x00101010, "AS", "093Y"),
    "a private element": put(0x00290010, "LO", "ACME"),
    "an unknown element": put(0x00089999, "LO", "text"),
    "an overlay": put(0x60003000, "OW", b"12"),
    "pixels in an item": nest(0x7FE00010, "OW", b"12"),
    "a key of an archive": put(0x0008041B, "OB", b"12"),
    "an identifier as bytes": put(0x0040A074, "OB", b"12"),
    "a document's title": put(0x00420010, "ST", "keep"),
    "a foreign patient id": put(0x00100020, "LO", "someone"),
    "a real institution": put(0x00080080, "LO", "St. Elsewhere"),
    "a sequence that had to be a dummy": put(0x00080082, "SQ", Sequence([Dataset(), Dataset()])),
    "a sender's title": meta(0x00020016, "AE", "SENDER"),
    "an unmarked file": put(0x00120062, "CS", "NO"),
    "a promise not kept": lambda output: output.DeidentificationMethodCodeSequence.append(promise("113101")),
    "a promise missing": lambda output: output.DeidentificationMethodCodeSequence.pop(),
    "a promise of other words": lambda output: setattr(
        output.DeidentificationMethodCodeSequence[-1], "CodeMeaning", "Clean Pixel Data Option"
    ),
    "no class": lambda output: delattr(output, "SOPClassUID"),
    "an earlier method with a name": put(0x00120063, "LO", ["by Smithy", METHOD]),
    "a method that is not ours alone at the end": put(0x00120063, "LO", [METHOD, "keep"]),
    "an unnamed edition": put(0x00120063, "LO", "by hand"),
    "a preamble": lambda output: setattr(output, "preamble", b"II*\0".ljust(128, b"\0")),
}


@pytest.mark.parametrize("name", sorted(LEAKS))
def test_a_leak_put_into_clean_output_is_found(name: str) -> None:
    output = read()
    LEAKS[name](output)
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(to_bytes(output), DEFAULT, expected())


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
@pytest.mark.parametrize("times", [1, 2])
def test_an_output_of_two_names_is_found(keyword: str, times: int) -> None:
    uid = read()[keyword].value.encode()
    other = uid[:-1] + bytes([uid[-1] ^ 1])
    changed = CLEAN.replace(uid, other, 1)
    changed = changed if times == 1 else changed.replace(uid, b"", 1)
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(changed, DEFAULT, expected())


@pytest.mark.parametrize(("vr", "found"), [(b"PN", True), (b"LO", True), (b"CS", False)])
@pytest.mark.parametrize("emptied", [True, False])
def test_a_character_set_that_a_damaged_vr_makes_another_text_is_found(
    vr: bytes, found: bool, emptied: bool
) -> None:
    at = CLEAN.index(b"\x08\0\x05\0CS")
    value = CLEAN[at + 8 : at + 8 + int.from_bytes(CLEAN[at + 6 : at + 8], "little")]
    kept = b"" if emptied else value
    changed = vr + len(kept).to_bytes(2, "little") + kept
    output = CLEAN[: at + 4] + changed + CLEAN[at + 8 + len(value) :]
    with pytest.raises(RefusedError, match="verification-failed") if found else nullcontext():
        verify(output, DEFAULT, expected())


def test_clean_output_passes() -> None:
    verify(CLEAN, DEFAULT, expected())


def test_bytes_after_the_data_set_are_found() -> None:
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(CLEAN + b"more", DEFAULT, expected())


def test_an_output_cut_short_is_no_fault_of_the_source() -> None:
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(CLEAN[:-1], DEFAULT, expected())


def test_pixels_that_had_to_be_withheld_are_found() -> None:
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(CLEAN, DEFAULT, expected(pixels_withheld=True))
    withheld = ultrasound("a")
    assert withheld.PixelData not in deidentify(to_bytes(withheld), NAMES).data


def test_an_engine_that_forgets_a_step_produces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "rule", lambda profile, tag, vr: rules.PASS)
    monkeypatch.setattr(walker, "kinds", kinds.Kinds)
    with pytest.raises(RefusedError, match="verification-failed"):
        deidentify(to_bytes(SOURCE), NAMES)


def test_originals_never_print_what_they_hold() -> None:
    originals = collected()
    assert {"zqfamily", "zqgiven", "48151623", "zqacc0815"} <= originals.words
    assert "zq" not in repr(originals).lower()
    assert SOURCE.StudyInstanceUID not in repr(originals)
