from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from runtime.audit import AUDIT_TOPIC
from runtime.connections import Connections
from runtime.errors import DeadLetterError, RetryError
from runtime.vault import Identity, Vault
from schemas.codec import decode
from schemas.events import AuditEvent
from schemas.rows import VaultEntryRow
from tests.support.installation import connections

JANE = Identity(patient_name="DOE^JANE", patient_id="4711", study_description="Thorax ü")
ASKED = {"purpose": "treatment", "actor": "ann", "actor_role": "radiologist"}


@pytest.fixture
def made(tmp_path: Path) -> Connections:
    return connections(tmp_path, "portal")


def audited(made: Connections) -> list[AuditEvent]:
    records = [
        each for n in range(made.log.topics()[AUDIT_TOPIC]) for each in made.log.read(AUDIT_TOPIC, n, 0, 100)
    ]
    events = [decode(each.value, made.registry) for each in records]
    return [each for each in events if isinstance(each, AuditEvent)]


def test_an_identity_comes_back_for_a_purpose_and_leaves_one_audit_event(made: Connections) -> None:
    made.vault.store("north", "st-1", JANE, at=1)
    made.vault.store("north", "st-2", Identity(patient_name="ROE"), at=1)
    found = made.vault.read("north", ["st-1", "st-2", "st-3", "st-1"], **ASKED)
    assert found == {"st-1": JANE, "st-2": Identity(patient_name="ROE")}
    (event,) = audited(made)
    assert (event.action, event.actor, event.purpose) == ("vault.read", "ann", "treatment")
    assert event.subjects == ("st-1", "st-2", "st-3")
    made.close()


def test_another_site_has_another_vault(made: Connections) -> None:
    made.vault.store("north", "st-1", JANE, at=1)
    assert made.vault.read("south", ["st-1"], **ASKED) == {}
    made.close()


def test_the_row_shows_neither_the_identity_nor_its_length(made: Connections) -> None:
    made.vault.store("north", "st-1", JANE, at=1)
    made.vault.store("north", "st-2", Identity(), at=1)
    rows = [made.tables.get(VaultEntryRow, site="north", subject=each) for each in ("st-1", "st-2")]
    assert all(b"JANE" not in (row.ciphertext or b"") for row in rows if row)
    assert len({len(row.ciphertext or b"") // 256 for row in rows if row}) <= 2
    assert "JANE" not in repr(JANE) + str(JANE)
    made.close()


def test_a_row_moved_to_another_subject_does_not_open(made: Connections) -> None:
    made.vault.store("north", "st-1", JANE, at=1)
    row = made.tables.get(VaultEntryRow, site="north", subject="st-1")
    assert row is not None
    made.tables.write(
        VaultEntryRow(site="north", subject="st-2", key_id=row.key_id, ciphertext=row.ciphertext), at=1
    )
    with pytest.raises(DeadLetterError, match="vault-entry-corrupt"):
        made.vault.read("north", ["st-2"], **ASKED)
    made.close()


@pytest.mark.parametrize("missing", ["purpose", "actor"])
def test_without_a_purpose_or_an_actor_the_vault_stays_shut(made: Connections, missing: str) -> None:
    made.vault.store("north", "st-1", JANE, at=1)
    with pytest.raises(ValueError, match="named purpose"):
        made.vault.read("north", ["st-1"], **{**ASKED, missing: ""})
    made.close()


def test_what_cannot_be_audited_is_not_opened(made: Connections) -> None:
    class NoAudit:
        def used(self, *_arguments: object, **_named: object) -> None:
            raise RetryError

    made.vault.store("north", "st-1", JANE, at=1)
    shut = Vault(made.tables, made.vault._keys, NoAudit())  # type: ignore[arg-type]
    with pytest.raises(RetryError):
        shut.read("north", ["st-1"], **ASKED)
    made.close()


def test_every_field_of_an_identity_survives(made: Connections) -> None:
    whole = Identity(**{field.name: f"{field.name} \udcff ж" for field in fields(Identity)})
    made.vault.store("north", "st-9", whole, at=1)
    assert made.vault.read("north", ["st-9"], **ASKED)["st-9"] == whole
    made.close()
