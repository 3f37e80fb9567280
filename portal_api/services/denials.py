"""A refused use of a power is on record like an allowed one."""

from __future__ import annotations

from portal_api.identity import Person
from portal_api.services.access import Permission
from runtime.connections import Connections

PURPOSE = "none: refused by role"
"""Nobody is asked for a purpose that changes nothing."""


def record(connections: Connections, person: Person, permission: Permission) -> None:
    """Leave an audit event of what a person's role did not allow."""
    connections.auditor.used(
        person.site,
        (),
        f"portal.{permission.value}",
        PURPOSE,
        actor=person.user,
        actor_role=person.role,
        outcome="denied",
    )
