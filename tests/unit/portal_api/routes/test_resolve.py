from __future__ import annotations

import json

import pytest

from portal_api.routes.resolve import MOST_BYTES
from portal_api.services.resolution import MOST_STUDIES, Purpose
from runtime.errors import OutageError
from runtime.vault import Identity
from schemas.codec import decode
from schemas.rows import VaultEntryRow
from tests.support.installation import study

OURS, NAMELESS, DAMAGED, THEIRS, NOBODYS = (study(number) for number in range(1, 6))


@pytest.fixture
def service(system, anonymous):
    """Other systems' client of site north, where two studies are known and one is damaged."""
    vault = system.connections.vault
    vault.store("north", OURS, Identity(accession_number="ACC-1", patient_name="DOE^Jane"), at=1)
    vault.store("north", NAMELESS, Identity(patient_name="ROE^Max"), at=1)
    vault.store("south", THEIRS, Identity(accession_number="ACC-9"), at=1)
    system.connections.tables.write(VaultEntryRow(site="north", subject=DAMAGED, ciphertext=b"x"), at=1)
    anonymous.headers["Authorization"] = f"Bearer {system.token('service', 'ris.one')}"
    return anonymous


def events(system):
    log = system.connections.log
    return [
        decode(record.value, system.connections.registry)
        for partition, end in log.end_offsets("audit.v1").items()
        for record in (log.read("audit.v1", partition, 0, 100) if end else [])
    ]


def asked(*studies, purpose="treatment"):
    return {"purpose": purpose, "studies": list(studies)}


def test_a_service_gets_accession_numbers_of_its_site_in_the_order_asked(service):
    answer = service.post("/resolve", json=asked(NOBODYS, OURS, NAMELESS, DAMAGED, OURS))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "studies": [
            {"study": NOBODYS, "state": "unknown", "accession_number": ""},
            {"study": OURS, "state": "known", "accession_number": "ACC-1"},
            {"study": NAMELESS, "state": "known", "accession_number": ""},
            {"study": DAMAGED, "state": "unreadable", "accession_number": ""},
        ]
    }


def test_another_sites_study_is_answered_exactly_like_one_that_nobody_has(service):
    theirs, nobodys = service.post("/resolve", json=asked(THEIRS, NOBODYS)).json()["studies"]
    assert theirs | {"study": ""} == nobodys | {"study": ""}


@pytest.mark.parametrize("purpose", Purpose)
def test_each_answer_leaves_one_audit_event_with_the_purpose_and_all_studies(service, system, purpose):
    assert service.post("/resolve", json=asked(OURS, THEIRS, DAMAGED, purpose=purpose)).status_code == 200
    (event,) = events(system)
    assert (event.action, event.purpose, event.outcome) == ("vault.read", purpose.value, "allowed")
    assert (event.actor, event.actor_role, event.envelope.site) == ("ris.one", "service", "north")
    assert event.subjects == tuple(sorted([OURS, THEIRS, DAMAGED]))


def test_nothing_is_opened_while_the_audit_event_cannot_be_confirmed(service, system, monkeypatch):
    def away(*_args, **_more):
        raise OutageError("Kafka: no answer")

    opened = []
    monkeypatch.setattr(system.connections.auditor, "used", away)
    monkeypatch.setattr(type(system.connections.vault), "_opened", lambda *_: opened.append(1))
    answer = service.post("/resolve", json=asked(OURS))
    assert (answer.status_code, answer.headers["retry-after"], opened) == (503, "5", [])


@pytest.mark.parametrize("header", ["", "Bearer unknown", "Basic eDp5"])
def test_nobody_gets_nothing(service, system, header):
    answer = service.post("/resolve", json=asked(OURS), headers={"Authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert events(system) == []


def test_a_gateways_token_is_nobodys(service, system):
    token = {"Authorization": f"Bearer {system.token('gateway')}"}
    assert service.post("/resolve", json=asked(OURS), headers=token).status_code == 401


@pytest.mark.parametrize("role", ["radiologist", "operator"])
def test_a_persons_token_is_refused_and_the_attempt_is_on_record(service, system, role):
    token = {"Authorization": f"Bearer {system.token(role, 'somebody')}"}
    answer = service.post("/resolve", json=asked(OURS), headers=token)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    (event,) = events(system)
    assert (event.actor, event.action, event.outcome) == ("somebody", "portal.study.resolve", "denied")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"{"),
        (400, b"\xff\xfe"),
        (400, b'{"purpose": "treatment", "studies": ["DOE^Jane"'),
        (413, b" " * (MOST_BYTES + 1)),
        (413, json.dumps(asked(*map(study, range(MOST_STUDIES + 1)))).encode()),
        (422, b"[]"),
        (422, b"{}"),
        (422, json.dumps(asked(OURS, purpose="DOE^Jane")).encode()),
        (422, json.dumps(asked(OURS, purpose="")).encode()),
        (422, json.dumps(asked()).encode()),
        (422, json.dumps(asked(OURS, "DOE^Jane")).encode()),
        (422, json.dumps(asked(OURS + "\n")).encode()),
        (422, json.dumps(asked(OURS.upper())).encode()),
        (422, json.dumps({**asked(OURS), "DOE^Jane": 1}).encode()),
        (422, json.dumps({**asked(), "studies": {"DOE^Jane": "x"}}).encode()),
        (422, json.dumps({**asked(), "studies": "DOE^Jane"}).encode()),
    ],
)
def test_what_cannot_be_asked_is_refused_unquoted_and_opens_nothing(service, system, status, body):
    answer = service.post("/resolve", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert "DOE" not in answer.text
    assert answer.json()["detail"]
    assert events(system) == []


def test_the_most_studies_fit_in_one_request(service):
    answer = service.post("/resolve", json=asked(*map(study, range(MOST_STUDIES))))
    assert (answer.status_code, len(answer.json()["studies"])) == (200, MOST_STUDIES)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_calls_itself_something_else_is_not_read(service, kind):
    body = json.dumps(asked(OURS)).encode()
    assert service.post("/resolve", content=body, headers={"Content-Type": kind}).status_code == 400


def test_the_address_answers_nothing_but_a_post(service):
    assert service.get("/resolve").status_code == 405
