"""What the binder is given: records of the log and due deadlines, under one form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from runtime.ports import Record
from schemas.events import Event, Hop
from schemas.identifiers import deterministic_uuid
from schemas.rows import DeadlineRow
from stream_processors.step import Deadline, DeadlineReached


@dataclass(frozen=True, slots=True)
class Origin:
    """What an output inherits from the input that caused it."""

    correlation_id: str
    causation_id: str
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True, repr=False)
class DueInput:
    """A deadline that is due, as it stands in its table."""

    row: DeadlineRow

    @property
    def key(self) -> bytes:
        """Study, as bytes: the same key as the study's records have."""
        return self.row.study.encode("utf-8")

    def __repr__(self) -> str:
        """Show which kind of deadline it is, never what it holds."""
        return f"DueInput({self.row.name})"


Input = Record | DueInput
"""One thing to resolve."""


def in_key_order(inputs: Iterable[Input]) -> list[list[tuple[int, Input]]]:
    """Group inputs by key, each with its place in the batch; within a key records keep their order and deadlines follow.

    What came before a deadline was due is thereby seen before the deadline is.
    """
    groups: dict[bytes, list[tuple[int, Input]]] = {}
    for place, each in enumerate(inputs):
        groups.setdefault(each.key, []).append((place, each))
    return [sorted(group, key=lambda placed: isinstance(placed[1], DueInput)) for group in groups.values()]


def deadline_row(consumer: str, shard: int, deadline: Deadline, origin: Origin) -> DeadlineRow:
    """Row of a deadline; its payload keeps, beside the step's own, what the deadline's outputs will inherit."""
    payload = {
        "payload": deadline.payload,
        "correlation_id": origin.correlation_id,
        "causation_id": origin.causation_id,
        "hops": [asdict(hop) for hop in origin.hops],
    }
    return DeadlineRow(
        consumer=consumer,
        shard=shard,
        due_at=deadline.due_at,
        site=deadline.site,
        study=deadline.study,
        name=deadline.name,
        payload=json.dumps(payload, sort_keys=True),
    )


def reached(row: DeadlineRow) -> tuple[DeadlineReached, Origin]:
    """Return the step's input and what its outputs inherit; a row without payload stands for itself."""
    stored = json.loads(row.payload or "{}")
    event = DeadlineReached(
        site=row.site, study=row.study, name=row.name, due_at=row.due_at, payload=stored.get("payload", "")
    )
    own_id = deterministic_uuid("deadline", row.consumer, row.site, row.study, row.name, str(row.due_at))
    origin = Origin(
        correlation_id=stored.get("correlation_id", own_id),
        causation_id=stored.get("causation_id", own_id),
        hops=tuple(Hop(**hop) for hop in stored.get("hops", ())),
    )
    return event, origin


def origin_of(event: Event) -> Origin:
    """What the outputs of an event inherit."""
    envelope = event.envelope
    return Origin(envelope.correlation_id, envelope.event_id, envelope.hops)


def deadline_key(row: DeadlineRow) -> dict[str, str | int]:
    """Primary key of a deadline."""
    return {name: getattr(row, name) for name in DeadlineRow.TABLE.key}


def as_record(row: DeadlineRow) -> Record:
    """Give a deadline the form of a record, for quarantine."""
    return Record(
        topic=f"deadlines.{row.name}",
        partition=row.shard,
        offset=row.due_at,
        key=row.study.encode("utf-8"),
        value=None if row.payload is None else row.payload.encode("utf-8"),
        headers=(("site", row.site.encode("utf-8")),),
        timestamp=row.due_at,
    )
