from __future__ import annotations

import hashlib
import re
import uuid

import pytest

from schemas.identifiers import (
    PseudonymKey,
    Pseudonyms,
    WeakKeyError,
    deterministic_uuid,
    event_id,
    is_placeholder_patient_id,
    site_key,
)

MASTER = PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest())
NAMES = Pseudonyms(site_key(MASTER, "north"))
UID = "1.2.840.99999.1.2.3"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"", "shorter"),
        (hashlib.sha256(b"x").digest()[:31], "shorter"),
        (b"correct horse battery staple, correct horse", "text"),
        (hashlib.sha256(b"x").hexdigest().encode(), "text"),
        (b"\x00" * 32, "few byte values"),
        (bytes([1, 200] * 32), "few byte values"),
        (hashlib.sha256(b"x").digest() * 2, "repeats itself"),
        (bytes(range(128, 168)), "counting"),
        (bytes(each * 7 % 256 for each in range(40)), "counting"),
    ],
)
def test_a_guessable_secret_is_refused_without_being_shown(secret: bytes, why: str) -> None:
    with pytest.raises(WeakKeyError, match=why) as refusal:
        PseudonymKey("epoch-1", secret)
    if len(secret) > 4:
        assert repr(secret)[2:-1] not in str(refusal.value)


def test_a_key_needs_an_id() -> None:
    with pytest.raises(WeakKeyError):
        PseudonymKey("", MASTER.secret)


def test_a_key_never_prints_its_secret() -> None:
    shown = f"{MASTER!r} {MASTER} {NAMES!r}"
    assert "epoch-1" in shown
    assert MASTER.secret.hex() not in shown
    assert repr(MASTER.secret) not in shown


def test_a_site_key_keeps_the_epoch_and_changes_with_site_and_epoch() -> None:
    north, south = site_key(MASTER, "north"), site_key(MASTER, "south")
    later = site_key(PseudonymKey("epoch-2", MASTER.secret), "north")
    assert north == site_key(MASTER, "north")
    assert (north.key_id, later.key_id) == ("epoch-1", "epoch-2")
    assert len({MASTER.secret, north.secret, south.secret, later.secret}) == 4


def test_a_site_key_needs_a_site() -> None:
    with pytest.raises(ValueError, match="site"):
        site_key(MASTER, "")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (NAMES.study("issuer", UID), r"st-[0-9a-f]{32}"),
        (NAMES.series(UID, UID + ".1"), r"se-[0-9a-f]{32}"),
        (NAMES.instance(UID), r"in-[0-9a-f]{32}"),
        (NAMES.patient("issuer", "4711"), r"pt-[0-9a-f]{32}"),
        (NAMES.patient_key_for("issuer", "", UID), r"pt-[0-9a-f]{32}"),
        (NAMES.uid(UID), r"2\.25\.[1-9][0-9]{30,38}"),
        (NAMES.accession("issuer", "A-1"), r"[A-Z2-7]{16}"),
        (NAMES.accession("issuer", " "), r""),
        (NAMES.patient_id("issuer", "4711"), r"[0-9a-f]{32}"),
        (NAMES.raw_digest(b"\x01" * 32), r"[0-9a-f]{64}"),
        (NAMES.authenticator(b"header"), r"[0-9a-f]{64}"),
    ],
)
def test_each_name_has_its_documented_form(name: str, form: str) -> None:
    assert re.fullmatch(form, name)


def test_names_are_pinned_so_that_no_refactoring_renames_a_study() -> None:
    assert NAMES.study("", UID) == "st-911aeb7819dd3dc7bad42b9442cc49b1"
    assert NAMES.uid(UID) == "2.25.109518739987748449059442137346506121556"
    assert deterministic_uuid("a", "b") == "c7424277-9512-5da8-969f-99d5f93a5855"


def test_two_sites_never_share_a_name() -> None:
    other = Pseudonyms(site_key(MASTER, "south"))
    for names in ("study", "series", "patient", "patient_id", "accession"):
        assert getattr(NAMES, names)("i", UID) != getattr(other, names)("i", UID)
    assert NAMES.uid(UID) != other.uid(UID)
    assert NAMES.instance(UID) != other.instance(UID)
    assert NAMES.raw_digest(b"x") != other.raw_digest(b"x")


def test_one_value_has_unrelated_names_in_each_domain() -> None:
    names = [
        NAMES.study("", UID)[3:],
        NAMES.series("", UID)[3:],
        NAMES.instance(UID)[3:],
        NAMES.patient("", UID)[3:],
        NAMES.patient_id("", UID),
        NAMES.raw_digest(UID.encode())[:32],
        NAMES.authenticator(UID.encode())[:32],
    ]
    assert len(set(names)) == len(names)


def test_moving_a_character_between_issuer_and_id_gives_another_name() -> None:
    assert NAMES.patient("ab", "c") != NAMES.patient("a", "bc")
    assert NAMES.study("1", "2.3") != NAMES.study("1.2", "3")
    assert deterministic_uuid("ab", "c") != deterministic_uuid("a", "bc")
    assert deterministic_uuid("a", "1:b") != deterministic_uuid("a1:b")


def test_dicom_padding_does_not_change_a_name() -> None:
    assert NAMES.uid(UID + "\0") == NAMES.uid(UID)
    assert NAMES.patient("i ", " 4711 ") == NAMES.patient("i", "4711")


def test_a_uid_is_that_of_a_valid_uuid() -> None:
    number = uuid.UUID(int=int(NAMES.uid(UID).removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


@pytest.mark.parametrize(
    "patient_id",
    [
        "",
        " ",
        "\0",
        "0",
        "0000",
        "N/A",
        "n.a.",
        "None",
        "anonymous",
        "UNKNOWN ",
        "-",
        "??",
        "XXX",
        "999999",
        "no id",
    ],
)
def test_a_placeholder_patient_id_scopes_the_patient_to_the_study(patient_id: str) -> None:
    assert is_placeholder_patient_id(patient_id)
    first = NAMES.patient_key_for("i", patient_id, UID)
    assert first == NAMES.patient_key_for("i", patient_id, UID)
    assert first != NAMES.patient_key_for("i", patient_id, UID + ".1")


@pytest.mark.parametrize("patient_id", ["4711", "1000", "A-0", "Nona", "X1", "患者7"])
def test_a_real_patient_id_is_the_same_patient_in_every_study(patient_id: str) -> None:
    assert not is_placeholder_patient_id(patient_id)
    assert NAMES.patient_key_for("i", patient_id, UID) == NAMES.patient("i", patient_id)


def test_a_date_shift_is_backwards_bounded_and_differs_between_patients() -> None:
    shifts = [NAMES.date_shift_days(NAMES.patient("", str(each))) for each in range(500)]
    assert all(-3650 <= shift <= -31 for shift in shifts)
    assert len(set(shifts)) > 400
    assert NAMES.date_shift_days("pt-1") == NAMES.date_shift_days("pt-1")


def test_an_event_id_is_a_uuid_that_depends_on_every_part() -> None:
    ids = {event_id("instance.received", "st-1", "in-1"), event_id("instance.received", "st-1", "in-2")}
    ids |= {
        event_id("instance.deidentified", "st-1", "in-1"),
        deterministic_uuid("instance.received", "st-1", "in-1"),
    }
    assert len(ids) == 4
    assert all(uuid.UUID(each).version == 5 for each in ids)
