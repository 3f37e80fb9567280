from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from portal_api.app import SUBJECTS
from portal_api.services.access import Permission
from schemas.codec import decode
from schemas.events import AuditEvent
from tests.support.portal import (
    CASES,
    OTHER_SITE,
    Case,
    instance_id,
    seed_alert,
    seed_case,
    seed_operations,
    study_id,
)

OPEN = {("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}
STUDY = f"/studies/{study_id(1)}"
API_STUDY = f"/api{STUDY}"
PAGES = ["/", STUDY, "/alerts", "/operations"]


def permissions_of(route):
    return [each.call.permission for each in route.dependant.dependencies if hasattr(each.call, "permission")]


def routes():
    return [route for subject in SUBJECTS for route in subject.router.routes if isinstance(route, APIRoute)]


def audit(system):
    log = system.connections.log
    return [
        decode(record.value, system.connections.registry)
        for partition, end in log.end_offsets("audit.v1").items()
        for record in (log.read("audit.v1", partition, 0, 100) if end else [])
    ]


def test_every_route_but_signing_in_and_out_asks_for_one_permission():
    unguarded = {
        (method, route.path) for route in routes() if not permissions_of(route) for method in route.methods
    }
    assert unguarded == OPEN
    assert all(len(permissions_of(route)) <= 1 for route in routes())


def test_every_permission_guards_something():
    assert {permission for route in routes() for permission in permissions_of(route)} == set(Permission)


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_sent_to_the_login_page(anonymous, path):
    answer = anonymous.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    "path",
    ["/api/worklist", API_STUDY, f"{API_STUDY}/trace", "/api/alerts", "/api/operations", "/api/openapi.json"],
)
def test_the_api_tells_nobody_to_sign_in(anonymous, path):
    answer = anonymous.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(("role", "status"), [("gateway", 401), ("service", 403)])
def test_a_token_of_a_machine_opens_no_session(anonymous, system, role, status):
    answer = anonymous.post(
        "/login", data={"token": system.token(role)}, headers={"Origin": "http://portal.test"}
    )
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert (
        anonymous.get("/api/worklist", headers={"Authorization": f"Bearer {system.token(role)}"}).status_code
        == status
    )


def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(anonymous, system):
    answer = anonymous.post(
        "/login", data={"token": system.token()}, headers={"Origin": "http://portal.test"}
    )
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert answer.headers["location"] == "/"


def test_a_login_form_of_another_page_is_refused(anonymous, system):
    answer = anonymous.post("/login", data={"token": system.token()}, headers={"Origin": "http://evil.test"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_signing_out_ends_the_session(reader):
    answer = reader.post("/logout", data={"csrf": reader.headers["x-csrf-token"]})
    assert answer.headers["location"] == "/login"
    assert reader.get("/").headers["location"] == "/login"


def test_signing_out_from_another_page_does_not_work(reader):
    assert reader.post("/logout", data={"csrf": "guess"}).status_code == 403
    assert reader.get("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", STUDY, "/alerts", "/api/worklist", API_STUDY, f"{API_STUDY}/images/{instance_id(1)}"]
)
def test_an_operator_sees_no_patient_and_the_attempt_is_on_record(seeded, sign_in, path):
    answer = sign_in("operator", "op.one").get(path)
    assert answer.status_code == 403
    assert "DOE" not in answer.text
    (event,) = audit(seeded)
    assert isinstance(event, AuditEvent)
    assert (event.actor, event.outcome, event.envelope.site) == ("op.one", "denied", "north")


def test_a_reader_sees_no_operations(reader):
    answer = reader.get("/operations")
    assert (answer.status_code, "Not for this role" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "path", [*PAGES[:3], "/login", "/api/worklist", "/no/such/page", "/static/portal.css"]
)
def test_every_answer_carries_the_security_headers(reader, path):
    headers = reader.get(path).headers
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == (
        "public, max-age=31536000, immutable" if "/static/" in path else "no-store"
    )


@pytest.mark.parametrize("path", [*PAGES[:3], "/login"])
def test_no_page_has_anything_inline_or_from_elsewhere(reader, path):
    html = reader.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    assert not re.findall(r"""\s(?:src|href|action)=["'](?!/)[^"']""", html)


def test_a_page_escapes_what_a_sender_wrote(system, sign_in):
    seed_case(
        system,
        Case(number=1, name="<script>alert(1)</script>^X", description='"><img src=x>', claimed_by="dr.<b>"),
    )
    client = sign_in()
    for path in ("/", STUDY):
        assert "<script>alert" not in client.get(path).text
        assert "<img src=x>" not in client.get(path).text


def test_another_sites_study_does_not_exist(seeded, sign_in):
    stranger = sign_in(site=OTHER_SITE)
    for path in (
        STUDY,
        API_STUDY,
        f"{API_STUDY}/trace",
        f"{API_STUDY}/images/{instance_id(1)}",
        f"{API_STUDY}/images/{instance_id(1)}/overlay",
    ):
        assert stranger.get(path).status_code == 404
    body = {"action": "sign", "revision_seen": 1, "version_seen": 0}
    assert stranger.post(f"{API_STUDY}/reviews", json=body).status_code == 404


def test_another_sites_alert_does_not_exist(seeded, sign_in):
    alert = seed_alert(seeded, CASES[0])
    stranger = sign_in(site=OTHER_SITE)
    answer = stranger.post(f"/api/alerts/{alert}/acknowledge", json={"study": study_id(1), "version_seen": 1})
    assert answer.status_code == 404
    assert stranger.get("/api/alerts").json()["alerts"] == []


def test_a_bearer_token_reads_the_api_and_no_page(anonymous, seeded):
    headers = {"Authorization": f"Bearer {seeded.token()}"}
    assert anonymous.get("/api/worklist", headers=headers).json()["rows"][0]["patient"]["name"] == "DOE, Jane"
    assert anonymous.get("/", headers=headers).status_code == 303


def test_an_unchanged_worklist_is_not_sent_and_reads_no_name(reader, seeded):
    etag = reader.get("/api/worklist").headers["etag"]
    before = len(audit(seeded))
    answer = reader.get("/api/worklist", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert len(audit(seeded)) == before


def test_the_worklist_page_says_what_the_api_says(reader):
    rows = reader.get("/api/worklist").json()["rows"]
    html = reader.get("/").text
    assert re.findall(r'<tr data-study="([^"]+)"', html) == [row["study"] for row in rows]
    assert [row["urgency"] for row in rows] == [
        "critical",
        "high",
        "undetermined",
        "not-analysed",
        "pending",
        "not-analysed",
        "routine",
    ]


def test_a_routine_row_says_its_finding_where_a_rule_on_one_decided(system, sign_in):
    findings = (("nodule", 0.71, None),)
    seed_case(
        system, Case(number=1, name="DOE^Jane", findings=findings, decided=True, rule="R8", reason="a nodule")
    )
    seed_case(
        system, Case(number=2, name="ROE^Max", rule="ordered", reason="no finding reached its threshold")
    )
    html = sign_in().get("/").text
    assert "Nodule <b" in html
    assert "No finding reached its threshold" in html


def test_a_filter_without_rows_says_so(reader):
    assert "Nothing in this view" in reader.get("/?view=mine").text


def test_an_empty_worklist_says_so(sign_in):
    assert "Nothing waits to be read" in sign_in().get("/").text


def test_a_study_tells_its_result_and_its_way(reader):
    study = reader.get(API_STUDY).json()
    assert (study["result"]["status"], study["result"]["demonstration"]) == ("analysed", True)
    assert [finding["finding"] for finding in study["findings"]][:2] == ["pneumothorax", "effusion"]
    assert [stage["stage"] for stage in study["stages"]] == [
        "received",
        "de-identified",
        "assembled",
        "routed",
        "inferred",
        "findings",
        "scored",
    ]


@pytest.mark.parametrize(
    ("number", "said"), [(3, "No model for CT"), (5, "No result yet"), (6, "Undetermined")]
)
def test_a_study_without_findings_says_why(reader, number, said):
    assert said in reader.get(f"/studies/{study_id(number)}").text


def test_an_unchanged_study_is_not_sent(reader):
    etag = reader.get(API_STUDY).headers["etag"]
    assert reader.get(API_STUDY, headers={"If-None-Match": etag}).status_code == 304


def test_an_image_and_its_overlay_are_pictures(reader):
    image = reader.get(f"{API_STUDY}/images/{instance_id(1)}")
    assert (image.headers["content-type"], image.content[:2]) == ("image/jpeg", b"\xff\xd8")
    small = reader.get(f"{API_STUDY}/images/{instance_id(1)}?size=thumbnail")
    assert len(small.content) < len(image.content)
    overlay = reader.get(f"{API_STUDY}/images/{instance_id(1)}/overlay")
    assert (overlay.headers["content-type"], overlay.content[:4]) == ("image/png", b"\x89PNG")


@pytest.mark.parametrize(("number", "reason"), [(3, "cannot be decoded"), (7, "ultrasound")])
def test_an_image_that_cannot_be_shown_says_why(reader, number, reason):
    answer = reader.get(f"/api/studies/{study_id(number)}/images/{instance_id(number)}")
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/studies/st-0",
        "/api/studies/st-0",
        f"{API_STUDY}/images/in-0",
        f"{API_STUDY}/images/in-0/overlay",
        "/nothing",
        "/api/nothing",
    ],
)
def test_what_does_not_exist_is_told_plainly(reader, path):
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "There is no such" in answer.text


def test_operators_see_what_was_refused_and_who_read_names(seeded, sign_in):
    seed_operations(seeded)
    client = sign_in("operator", "op.one")
    found = client.get("/api/operations").json()
    assert [(each["reason"], each["count"]) for each in found["quarantined"]] == [
        ("not-dicom", 2),
        ("missing-uids", 1),
    ]
    assert [(each["actor"], each["subjects"]) for each in found["audit"]] == [("dr.reader", 2)]
    assert "Quarantine today" in client.get("/operations").text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete", "revision_seen": 1, "version_seen": 0},
        {"action": "accept", "revision_seen": 1, "version_seen": 0},
        {"action": "sign", "finding": "nodule", "revision_seen": 1, "version_seen": 0},
        {"action": "sign", "revision_seen": -1, "version_seen": 0},
        {"action": "sign", "revision_seen": 1, "version_seen": 0, "actor": "dr.second"},
    ],
)
def test_a_command_that_makes_no_sense_is_not_published(reader, seeded, body):
    answer = reader.post(f"{API_STUDY}/reviews", json=body)
    assert answer.status_code == 422
    assert sum(seeded.connections.log.end_offsets("review.commands.v1").values()) == 0


def test_a_wrong_field_is_named_and_never_quoted(reader):
    answer = reader.post(
        f"{API_STUDY}/reviews", json={"action": "DOE^Jane", "revision_seen": 1, "version_seen": 0}
    )
    assert "action" in answer.json()["detail"]
    assert "DOE" not in answer.text


@pytest.mark.parametrize(
    "headers", [{"X-CSRF-Token": "guess"}, {"X-CSRF-Token": ""}, {"Origin": "http://evil.test"}]
)
def test_a_forged_command_is_not_published(reader, seeded, headers):
    body = {"action": "sign", "revision_seen": 1, "version_seen": 0}
    assert reader.post(f"{API_STUDY}/reviews", json=body, headers=headers).status_code == 403
    assert sum(seeded.connections.log.end_offsets("review.commands.v1").values()) == 0


def test_the_api_describes_itself_in_openapi_3_1(reader):
    described = reader.get("/api/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {
        "/api/worklist",
        "/api/studies/{study}",
        "/api/studies/{study}/trace",
        "/api/studies/{study}/images/{instance}",
        "/api/studies/{study}/images/{instance}/overlay",
        "/api/studies/{study}/reviews",
        "/api/alerts",
        "/api/alerts/{alert}/acknowledge",
        "/api/operations",
        "/resolve",
    }
