"""Commands on a review, answered by the real step."""

from __future__ import annotations

import pytest

from portal_api.services import commands
from tests.support.portal import CASES, Steps, seed_alert, study_id

PATH = f"/api/studies/{study_id(1)}/reviews"


@pytest.fixture
def steps(seeded):
    with Steps(seeded) as running:
        yield running


def body(action, version, finding="", revision=1):
    return {"action": action, "finding": finding, "revision_seen": revision, "version_seen": version}


def test_accept_and_sign_are_done(reader, steps):
    accepted = reader.post(PATH, json=body("accept", 0, "pneumothorax"))
    assert (accepted.status_code, accepted.json()["version"]) == (200, 1)
    signed = reader.post(PATH, json=body("sign", 1))
    assert (signed.status_code, signed.json()["review"]["signed_by"]) == (200, "dr.reader")


def test_of_two_readers_one_signs_and_one_is_told_who_did(reader, steps, sign_in):
    second = sign_in(user="dr.second")
    assert reader.post(PATH, json=body("sign", 0)).status_code == 200
    told = second.post(PATH, json=body("sign", 0))
    assert (told.status_code, told.json()["state"]) == (409, "conflict")
    assert told.json()["review"]["signed_by"] == "dr.reader"


def test_an_older_revision_is_a_conflict(reader, steps):
    told = reader.post(PATH, json=body("sign", 0, revision=0))
    assert (told.status_code, "revision 1" in told.json()["detail"]) == (409, True)


def test_what_the_step_refuses_is_told_with_its_reason(reader, steps, sign_in):
    assert sign_in(user="dr.second").post(PATH, json=body("claim", 0)).status_code == 200
    told = reader.post(PATH, json=body("sign", 1))
    assert (told.status_code, told.json()["detail"]) == (422, "another reader has claimed the study")


def test_without_an_outcome_the_answer_is_accepted(reader, seeded, monkeypatch):
    monkeypatch.setattr(commands, "WAIT_S", 0.0)
    told = reader.post(PATH, json=body("claim", 0))
    assert (told.status_code, told.json()["state"]) == (202, "accepted")
    assert sum(seeded.connections.log.end_offsets("review.commands.v1").values()) == 1


def test_an_alert_is_acknowledged_once(reader, seeded, steps, sign_in):
    alert = seed_alert(seeded, CASES[0])
    path, request = f"/api/alerts/{alert}/acknowledge", {"study": study_id(1), "version_seen": 1}
    assert reader.post(path, json=request).status_code == 200
    told = sign_in(user="dr.second").post(path, json=request)
    assert (told.status_code, told.json()["state"]) == (409, "conflict")


def test_an_alert_that_is_not_there_cannot_be_acknowledged(reader):
    answer = reader.post("/api/alerts/no-such/acknowledge", json={"study": study_id(1), "version_seen": 1})
    assert answer.status_code == 404
