"""What a request handler may ask for: connections, credentials, sessions, templates; and the person behind the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from jinja2 import Environment

from portal_api.identity import Person, Sessions, forged, is_for_programs, provenance
from portal_api.services import denials
from portal_api.services.access import ForbiddenError, Permission, UnauthenticatedError, allows, is_known
from runtime.connections import Connections
from runtime.credentials import Credentials

READING_METHODS = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""


class ForgedRequestError(Exception):
    """A state-changing request did not come from a page of this portal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """Everything the application was started with."""

    connections: Connections
    credentials: Credentials
    sessions: Sessions
    templates: Environment


def portal_of(request: Request) -> Portal:
    """Return what the application was started with."""
    return cast("Portal", request.app.state.portal)


def person_of(request: Request) -> Person | None:
    """Return who asks, by session cookie or, for the API, by `Authorization: Bearer`; None where nobody known does."""
    portal = portal_of(request)
    cookie = request.cookies.get(portal.sessions.cookie)
    if cookie is not None:
        return portal.sessions.read(cookie)
    header = request.headers.get("authorization", "")
    credential = portal.credentials.verify(header) if header.startswith("Bearer ") else None
    if credential is None or not is_for_programs(request.url.path):
        return None
    return Person(user=credential.user, role=credential.role, site=credential.site, csrf="")


def requires(permission: Permission) -> Callable[[Request], Person]:
    """Dependency of a route that only a holder of the permission may call; it gives the person to the handler."""

    def check(request: Request) -> Person:
        person = person_of(request)
        if person is None or not is_known(person.role):
            raise UnauthenticatedError
        if not allows(person.role, permission):
            denials.record(portal_of(request).connections, person, permission)
            raise ForbiddenError(permission)
        token = request.headers.get("x-csrf-token", "")
        if request.method not in READING_METHODS and forged(person, provenance(request.headers), token):
            raise ForgedRequestError
        return person

    check.permission = permission  # type: ignore[attr-defined]  # read by the test that no route is left open
    return check


PortalDependency = Annotated[Portal, Depends(portal_of)]
