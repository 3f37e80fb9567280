"""What goes into one event together: pure."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.buckets import RAW
from schemas.events import ReceivedInstance
from schemas.identifiers import event_id
from schemas.rows import ReceivedInstanceRow


def chunk_id(site: str, study: str, rows: Iterable[ReceivedInstanceRow]) -> str:
    """Id of an `InstanceReceived` event: what it is about and nothing else, so a repetition has the same."""
    members = sorted((row.instance, row.raw_digest) for row in rows)
    return event_id("InstanceReceived", site, study, *(part for member in members for part in member))


def strictest(priorities: Iterable[str]) -> str:
    """`stat` before `unknown` before `routine`: a chunk is read as its most urgent member."""
    return min(priorities, key=("stat", "unknown", "routine").index)


def reference(row: ReceivedInstanceRow) -> ReceivedInstance:
    """Say what an event says of a received instance: where it is, never what it holds."""
    return ReceivedInstance(
        series=row.series or "",
        instance=row.instance,
        bucket=row.bucket or RAW,
        object_key=row.object_key or "",
        size=row.size or 0,
        raw_digest=row.raw_digest,
        sop_class_uid=row.sop_class_uid or "",
        transfer_syntax_uid=row.transfer_syntax_uid or "",
    )
