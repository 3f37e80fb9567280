"""Who may do what: one table. What is not in it is denied."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """Everything that can be done through the portal."""

    READ_WORKLIST = "worklist.read"
    READ_STUDY = "study.read"
    READ_IMAGE = "image.read"
    READ_TRACE = "trace.read"
    REVIEW_STUDY = "study.review"
    READ_ALERTS = "alerts.read"
    ACKNOWLEDGE_ALERT = "alert.acknowledge"
    READ_OPERATIONS = "operations.read"
    READ_API = "api.read"
    """The description of the API itself."""
    RESOLVE_STUDIES = "study.resolve"
    """Accession numbers behind study keys, for a system that acts on findings."""


RADIOLOGIST = "radiologist"
OPERATOR = "operator"
SERVICE = "service"

GRANTS: Mapping[str, frozenset[Permission]] = {
    RADIOLOGIST: frozenset(
        {
            Permission.READ_WORKLIST,
            Permission.READ_STUDY,
            Permission.READ_IMAGE,
            Permission.READ_TRACE,
            Permission.REVIEW_STUDY,
            Permission.READ_ALERTS,
            Permission.ACKNOWLEDGE_ALERT,
            Permission.READ_API,
        }
    ),
    OPERATOR: frozenset({Permission.READ_OPERATIONS, Permission.READ_TRACE, Permission.READ_API}),
    SERVICE: frozenset({Permission.RESOLVE_STUDIES}),
}
"""An operator treats nobody: no names, no images, no findings; a trace holds pseudonyms and times only. A service reads findings
from the log, so here it finds the one thing that the log cannot hold."""

HOMES: Mapping[str, str] = {RADIOLOGIST: "/", OPERATOR: "/operations"}
"""Where a role begins; roles of machines begin nowhere."""


class ForbiddenError(Exception):
    """The person is known and may not do this."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission.value)
        self.permission = permission


class UnauthenticatedError(Exception):
    """Nobody is signed in, or the session has ended."""


class MissingError(Exception):
    """There is no such thing at the person's site. What belongs to another site is missing too, not forbidden."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def allows(role: str, permission: Permission) -> bool:
    """Whether a role holds a permission; an unknown role holds none."""
    return permission in GRANTS.get(role, frozenset())


def may_sign_in(role: str) -> bool:
    """Whether the role belongs to a person; credentials of gateways and services open no page."""
    return role in HOMES


def is_known(role: str) -> bool:
    """Whether the role has anything to do here; the credential of a gateway is nobody's."""
    return role in GRANTS


def home(role: str) -> str:
    """Path of the first page of a role."""
    return HOMES.get(role, "/login")
