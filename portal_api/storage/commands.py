"""Commands out, outcomes in."""

from __future__ import annotations

import uuid

from runtime.connections import Connections
from schemas.events import AlertCommand, ReviewCommand
from schemas.rows import AlertOutcomeRow, ReviewOutcomeRow

REVIEW_COMMANDS = "review.commands.v1"
ALERT_COMMANDS = "alert.commands.v1"


def publish_review(
    connections: Connections,
    *,
    site: str,
    study: str,
    action: str,
    finding: str,
    revision_seen: int,
    version_seen: int,
    actor: str,
    actor_role: str,
) -> str:
    """Publish a review command, confirmed, and return its id."""
    command_id = str(uuid.uuid4())
    envelope = connections.publisher.envelope(site, study, command_id, correlation_id=command_id)
    command = ReviewCommand(
        envelope=envelope,
        command_id=command_id,
        action=action,
        finding=finding,
        revision_seen=revision_seen,
        version_seen=version_seen,
        actor=actor,
        actor_role=actor_role,
    )
    connections.publisher.publish([(REVIEW_COMMANDS, command)])
    return command_id


def publish_acknowledgement(
    connections: Connections,
    *,
    site: str,
    study: str,
    alert_id: str,
    version_seen: int,
    actor: str,
    actor_role: str,
) -> str:
    """Publish the acknowledgement of an alert, confirmed, and return the command's id."""
    command_id = str(uuid.uuid4())
    envelope = connections.publisher.envelope(site, study, command_id, correlation_id=command_id)
    command = AlertCommand(
        envelope=envelope,
        command_id=command_id,
        alert_id=alert_id,
        action="acknowledge",
        version_seen=version_seen,
        actor=actor,
        actor_role=actor_role,
    )
    connections.publisher.publish([(ALERT_COMMANDS, command)])
    return command_id


def review_outcome(connections: Connections, site: str, command_id: str) -> ReviewOutcomeRow | None:
    """Read what became of a review command, None while it is on its way."""
    return connections.tables.get(ReviewOutcomeRow, site=site, command_id=command_id)


def alert_outcome(connections: Connections, site: str, command_id: str) -> AlertOutcomeRow | None:
    """Read what became of an alert command, None while it is on its way."""
    return connections.tables.get(AlertOutcomeRow, site=site, command_id=command_id)
