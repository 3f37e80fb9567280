from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import Profile, RefusedError, deidentify
from stream_processors.deidentification.identity import Identity, matcher
from stream_processors.deidentification.verify import Expected, verify
from tests.support.dicoms import ct_slice, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
INSTITUTION = Profile(frozenset({"113112"}))

SPELT = [
    ("ISO_IR 100", "Zörgiebel^Émile", "Praxis ZÖRGIEBEL", "latin-1"),
    ("ISO_IR 100", "ZÖRGIEBEL^ÉMILE", "Praxis Zörgiebel", "latin-1"),
    ("ISO_IR 144", "Горбунков^Семён", "Клиника Горбунков", "iso8859-5"),
    ("ISO_IR 192", "Горбунков^Семён", "Клиника Горбунков", "utf-8"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ﾔﾏﾀﾞｲｲﾝ", "shift_jis"),
    ("GB18030", "王小东", "王小东诊所", "gb18030"),
    ("ISO_IR 192", "สมชาย^ใจดี", "คลินิกสมชาย", "utf-8"),
]


@pytest.mark.parametrize(("character_set", "name", "text", "codec"), SPELT)
def test_a_name_in_any_script_is_found_in_any_case_and_within_words(
    character_set: str, name: str, text: str, codec: str
) -> None:
    identity = Identity()
    identity.note(0x00100010, "PN", name.encode(codec))
    assert identity.found_in([text.encode(codec)])
    assert not identity.found_in(["Klinik am Zoo".encode(codec)])
    assert matcher(identity.sought()).search(text.encode(codec).decode("latin-1"))


@pytest.mark.parametrize(("character_set", "name", "text", "codec"), SPELT)
def test_no_option_keeps_a_text_that_holds_a_name_in_any_script(
    character_set: str, name: str, text: str, codec: str
) -> None:
    source = ct_slice()
    source.SpecificCharacterSet = character_set
    source.PatientName, source.InstitutionName, source.SoftwareVersions = "{NAME}", "{TEXT}", "{CODE}"
    raw = to_bytes(source)
    for mark, new in ((b"{NAME}", name), (b"{TEXT}", text), (b"{CODE}", text)):
        raw = _filled(raw, mark, new.encode(codec))
    clean = deidentify(raw, NAMES, INSTITUTION).data
    assert text.encode(codec) not in clean
    kept = _filled(to_bytes(source), b"{TEXT}", "Klinik am Zoo".encode(codec))
    assert b"Klinik am Zoo" in deidentify(kept, NAMES, INSTITUTION).data


def test_a_version_that_is_not_ascii_goes() -> None:
    source = ct_slice()
    source.SoftwareVersions = "{CODE}"
    for new, stays in (("VB42 Zörg", False), ("VB42 Zorg", True)):
        raw = _filled(to_bytes(source), b"{CODE}", new.encode("latin-1"))
        assert (new.encode("latin-1") in deidentify(raw, NAMES).data) == stays


@pytest.mark.parametrize(
    ("name", "text", "stays"),
    [
        ("Wu^Li", "CT of Wu Li with contrast", "CT of with contrast"),
        ("WU^LI", "Li, Wu chest", "chest"),
        ("Ng^Al^Jo", "chest ng-jo", "chest"),
        ("Wu^Li", "Li chest Wu", "Li chest Wu"),
        ("A^B", "A B chest", "A B chest"),
    ],
)
def test_a_name_of_two_letters_is_found_beside_the_other(name: str, text: str, stays: str) -> None:
    source = ct_slice()
    source.PatientName, source.StudyDescription = name, text
    clean = pydicom.dcmread(BytesIO(deidentify(to_bytes(source), NAMES).data))
    assert clean.StudyDescription == stays


def test_the_verifier_finds_a_name_in_another_case_than_it_was_noted() -> None:
    source = ct_slice()
    source.InstitutionName = "{TEXT}"
    made = deidentify(to_bytes(source), NAMES, INSTITUTION)
    leaking = _filled(made.data, b"{TEXT}", "ZÖRGIEBEL".encode("latin-1"))
    identity = Identity()
    expected = Expected(identity, 0, False, INSTITUTION.codes)
    verify(leaking, INSTITUTION, expected)
    identity.note(0x00100010, "PN", "Zörgiebel".encode("latin-1"))
    with pytest.raises(RefusedError, match="verification-failed"):
        verify(leaking, INSTITUTION, expected)


def _filled(raw: bytes, mark: bytes, value: bytes) -> bytes:
    """Write the bytes of a value, padded, in place of a mark, and its length: an explicit element of 16 bits of length."""
    at = raw.index(mark)
    value += b" " * (len(value) % 2)
    before = int.from_bytes(raw[at - 2 : at], "little")
    return raw[: at - 2] + len(value).to_bytes(2, "little") + value + raw[at + before :]
