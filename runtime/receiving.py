"""What everything that reads the log does alike: understand a record, know whose fault a failure is, say how far it came."""

from __future__ import annotations

from collections.abc import Iterable

from runtime import buckets
from runtime.connections import Connections
from runtime.ports import Partition, Record
from schemas.codec import UndecodableError, decode
from schemas.events import Event
from schemas.rows import DeadlineRow


def understood(connections: Connections, value: bytes | None) -> Event:
    """Decode an event of a site of this installation.

    Raises
    ------
    UndecodableError
        It is none, or of a site that is not in the settings.
    RetryError
        The registry does not answer.
    """
    event = decode(value, connections.registry)
    if event.envelope.site not in {site.name for site in connections.settings.sites}:
        raise UndecodableError("unknown-site")
    return event


def probe(connections: Connections) -> None:
    """Ask each engine something cheap; RetryError from the one that is down."""
    connections.log.topics()
    connections.tables.select(DeadlineRow, consumer="probe", shard=0, limit=1)
    connections.objects.head(buckets.CLEAN, "probe")


def next_offsets(records: Iterable[Record]) -> dict[Partition, int]:
    """Per partition, the offset after the last of these records: what to commit once all are handled."""
    offsets: dict[Partition, int] = {}
    for record in records:
        partition = (record.topic, record.partition)
        offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
    return offsets
