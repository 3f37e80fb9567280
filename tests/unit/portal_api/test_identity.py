from __future__ import annotations

import pytest

from portal_api.identity import SESSION_LIFETIME_S, Person, Provenance, Sessions, forged, same_origin
from runtime.clock import MICROSECONDS
from runtime.credentials import Credential

READER = Credential(site="north", role="radiologist", user="dr.reader")


class Hands:
    """A clock moved by hand."""

    at = 1_795_226_400_000_000

    def now(self):
        return self.at

    def monotonic(self):
        return self.at / MICROSECONDS


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def sessions(clock):
    return Sessions(b"k" * 32, clock)


def test_a_session_says_who_and_where(sessions):
    person = sessions.read(sessions.issue(READER))
    assert (person.user, person.role, person.site) == ("dr.reader", "radiologist", "north")
    assert len(person.csrf) >= 32


def test_a_session_ends_with_the_shift(sessions, clock):
    cookie = sessions.issue(READER)
    clock.at += SESSION_LIFETIME_S * MICROSECONDS
    assert sessions.read(cookie) is None


@pytest.mark.parametrize(
    "spoil",
    [lambda c: c[:-1], lambda c: "x" + c, lambda _: "", lambda c: c.replace(".", "", 1), lambda _: "é"],
)
def test_a_changed_cookie_stands_for_nobody(sessions, spoil):
    assert sessions.read(spoil(sessions.issue(READER))) is None


def test_a_cookie_of_another_key_stands_for_nobody(sessions, clock):
    other = Sessions(b"o" * 32, clock)
    assert sessions.read(other.issue(READER)) is None
    assert other.cookie != sessions.cookie


@pytest.mark.parametrize(
    ("origin", "fetch_site", "ours"),
    [
        ("http://portal.test:80", "same-origin", False),
        ("http://portal.test", "same-origin", True),
        ("http://portal.test", "", True),
        ("http://evil.test", "cross-site", False),
        ("http://portal.test.evil.test", "", False),
        ("null", "same-origin", True),
        ("null", "cross-site", False),
        ("null", "same-site", False),
        ("null", "", False),
        ("", "", False),
        (None, "", True),
        (None, "cross-site", False),
    ],
)
def test_only_our_own_pages_count_as_ours(origin, fetch_site, ours):
    assert same_origin(Provenance(origin=origin, host="portal.test", fetch_site=fetch_site)) is ours


@pytest.mark.parametrize(
    ("token", "is_forged"), [("secret", False), ("", True), ("Secret", True), ("sécret", True)]
)
def test_a_browser_repeats_the_sessions_token(token, is_forged):
    person = Person(user="u", role="radiologist", site="north", csrf="secret")
    assert forged(person, Provenance(origin=None, host="portal.test", fetch_site=""), token) is is_forged


def test_a_bearer_token_needs_no_second_token():
    person = Person(user="u", role="radiologist", site="north", csrf="")
    assert not forged(person, Provenance(origin=None, host="portal.test", fetch_site=""), "")
