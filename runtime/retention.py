"""Removes what is older than it is kept: `python -m runtime.retention`, once a day by the supervisor of the embedded profile.

Kafka and Cassandra do this themselves, from the same figures: `retention_hours` in `schemas/topics/`, and the grace of a
deletion.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from runtime import logs
from runtime.clock import MICROSECONDS
from runtime.connections import Connections, connect
from runtime.embedded.log import EmbeddedLog
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import RetryError, StopError
from runtime.settings import load_settings
from schemas.rows import DeadlineRow
from schemas.topics import DEAD_LETTER_RETENTION_HOURS, catalogue

HOUR = 3600 * MICROSECONDS
"""Microseconds."""
QUEUES = (DeadlineRow,)
"""Tables whose rows come and go and are deleted with the time of day. Other tables' deletions carry a logical time and stay."""
DELETIONS_KEPT_HOURS = DEAD_LETTER_RETENTION_HOURS
"""Hours: what caused a deleted row can be delivered again as long as a dead letter is kept, and no longer."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one pass removed."""

    records: int
    deletions: int


def limits(topics: list[str], now: int) -> dict[str, int]:
    """Per topic, the time (UTC microseconds) before which its records go; a topic nobody describes is left alone."""
    hours = {name: topic.retention_hours for name, topic in catalogue().items() if topic.cleanup == "delete"}
    hours |= {name: DEAD_LETTER_RETENTION_HOURS for name in topics if name.endswith(".dead-letter.v1")}
    return {name: now - hours[name] * HOUR for name in topics if name in hours}


def tidy(connections: Connections) -> Removed:
    """Remove what is older than it is kept.

    Raises
    ------
    RetryError
        The files are busy; another pass does what is left.
    """
    now = connections.clock.now()
    records, deletions = 0, 0
    if isinstance(connections.log, EmbeddedLog):
        records = connections.log.trim(limits(sorted(connections.log.topics()), now))
    if isinstance(connections.tables, EmbeddedTables):
        deletions = connections.tables.purge(QUEUES, before=now - DELETIONS_KEPT_HOURS * HOUR)
    return Removed(records, deletions)


def main() -> int:
    """Make one pass over what the settings of this process name."""
    logs.configure("retention")
    log = logs.logger("retention")
    try:
        connections = connect(load_settings(), "retention")
        try:
            removed = tidy(connections)
        finally:
            connections.close()
    except (RetryError, StopError):
        log.exception("not done, the next pass will")
        return 1
    log.info("done", records=removed.records, deletions=removed.deletions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
