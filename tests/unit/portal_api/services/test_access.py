from __future__ import annotations

import pytest

from portal_api.services.access import GRANTS, HOMES, Permission, allows, home, is_known, may_sign_in

TREATING = {
    Permission.READ_WORKLIST,
    Permission.READ_STUDY,
    Permission.READ_IMAGE,
    Permission.REVIEW_STUDY,
    Permission.READ_ALERTS,
    Permission.ACKNOWLEDGE_ALERT,
}
SHARED = {Permission.READ_TRACE, Permission.READ_API}
OPERATING = {Permission.READ_OPERATIONS}
SERVING = {Permission.RESOLVE_STUDIES}


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize(
    ("role", "granted"),
    [
        ("radiologist", TREATING | SHARED),
        ("operator", OPERATING | SHARED),
        ("gateway", set()),
        ("service", SERVING),
        ("", set()),
        ("Radiologist", set()),
        ("nobody-we-know", set()),
    ],
)
def test_a_role_holds_exactly_what_the_table_grants_it(role, granted, permission):
    assert allows(role, permission) is (permission in granted)


@pytest.mark.parametrize(
    ("role", "may"), [("radiologist", True), ("operator", True), ("gateway", False), ("service", False)]
)
def test_only_people_open_sessions(role, may):
    assert may_sign_in(role) is may


def test_every_role_that_may_sign_in_has_a_first_page():
    assert {role for role in GRANTS if may_sign_in(role)} == set(HOMES)
    assert home("gateway") == "/login"


@pytest.mark.parametrize(("role", "known"), [("service", True), ("radiologist", True), ("gateway", False)])
def test_a_gateway_has_nothing_to_do_here(role, known):
    assert is_known(role) is known
