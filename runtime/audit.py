"""Who used which power: every use becomes an event before what it opens is handed out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from runtime.publishing import Publisher
from schemas.events import AuditEvent, Envelope

AUDIT_TOPIC = "audit.v1"
"""Topic that takes every audit event."""
COMPONENT_ROLE = "component"
"""Role of a process that acts for itself, not for a person."""
RAW_READ = "raw.read"
"""Action: encrypted bytes of the raw or quarantine bucket were opened."""

Audit = Callable[[str, Sequence[str], str, str], None]
"""Called with site, subjects (pseudonyms), action and purpose before anything is opened; returns when that is safe to do."""


def audit_event(
    envelope: Envelope,
    subjects: Sequence[str],
    action: str,
    purpose: str,
    *,
    actor: str,
    actor_role: str = COMPONENT_ROLE,
    outcome: str = "allowed",
) -> AuditEvent:
    """Audit event from its parts; subjects sorted, each once."""
    return AuditEvent(
        envelope=envelope,
        action=action,
        actor=actor,
        actor_role=actor_role,
        purpose=purpose,
        subjects=tuple(sorted(set(subjects))),
        outcome=outcome,
    )


class Auditor:
    """Publishes audit events at once, for callers that are no step.

    Parameters
    ----------
    publisher
        Where they go.
    component
        Actor of what the process does for itself.
    """

    def __init__(self, publisher: Publisher, component: str) -> None:
        self._publisher = publisher
        self._component = component

    def component_used(self, site: str, subjects: Sequence[str], action: str, purpose: str) -> None:
        """Publish, confirmed, that this process used a power for itself (an `Audit`)."""
        self.used(site, subjects, action, purpose, actor=self._component, actor_role=COMPONENT_ROLE)

    def used(
        self,
        site: str,
        subjects: Sequence[str],
        action: str,
        purpose: str,
        *,
        actor: str,
        actor_role: str,
        outcome: str = "allowed",
    ) -> None:
        """Publish, confirmed, that somebody used a power, or was denied it (`outcome="denied"`).

        Raises
        ------
        RetryError
            The event is not confirmed: the caller must not go on.
        """
        event_id = str(uuid.uuid4())
        study = subjects[0] if len(set(subjects)) == 1 else ""
        envelope = self._publisher.envelope(site, study, event_id, correlation_id=event_id)
        event = audit_event(
            envelope, subjects, action, purpose, actor=actor, actor_role=actor_role, outcome=outcome
        )
        self._publisher.publish([(AUDIT_TOPIC, event)])
