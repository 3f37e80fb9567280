"""How a result got here: the events of a study with their times from receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal_api.identity import Person
from portal_api.services.access import MissingError
from portal_api.storage import studies as storage
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from schemas.rows import TraceHopRow

STAGES = {
    "InstanceReceived": "received",
    "InstanceDeidentified": "de-identified",
    "StudyState": "assembled",
    "InferenceRequested": "routed",
    "InferenceSkipped": "no model",
    "InferenceCompleted": "inferred",
    "Findings": "findings",
    "RiskScored": "scored",
    "AlertState": "alerted",
    "AlertDelivery": "delivered",
    "ReviewState": "reviewed",
}
"""What a person calls the stage that an event ends; events not named here are in the whole trace only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HopView:
    """One event of the study; `at` is UTC microseconds, `after_s` seconds from receipt."""

    stage: str
    event: str
    topic: str
    producer: str
    revision: int
    at: int
    after_s: float
    event_id: str
    causation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceView:
    """Every event of a study, oldest first."""

    study: str
    received_at: int | None
    hops: tuple[HopView, ...]


def read_trace(connections: Connections, person: Person, study: str) -> TraceView:
    """Read the whole trace of a study of the person's site; raises MissingError."""
    rows = storage.hops(connections.tables, person.site, study)
    if not rows:
        raise MissingError("study")
    row = storage.study(connections.tables, person.site, study)
    received_at = row.received_at if row is not None else None
    return TraceView(study=study, received_at=received_at, hops=hop_views(rows, received_at))


def hop_views(rows: Sequence[TraceHopRow], received_at: int | None) -> tuple[HopView, ...]:
    """Turn rows into hops, oldest first, timed from receipt or, while that is unknown, from the first hop."""
    ordered = sorted(rows, key=lambda row: (row.recorded_at or 0, row.event_id))
    start = received_at if received_at is not None else ((ordered[0].recorded_at or 0) if ordered else 0)
    return tuple(
        HopView(
            stage=STAGES.get(row.event or "", row.event or ""),
            event=row.event or "",
            topic=row.topic or "",
            producer=row.producer or "",
            revision=row.revision or 0,
            at=row.recorded_at or 0,
            after_s=round(((row.recorded_at or 0) - start) / MICROSECONDS, 3),
            event_id=row.event_id,
            causation_id=row.causation_id or "",
        )
        for row in ordered
    )


def stages(rows: Sequence[TraceHopRow], received_at: int | None) -> tuple[HopView, ...]:
    """Return the first hop of each stage: the way of the first result."""
    first: dict[str, HopView] = {}
    for hop in hop_views(rows, received_at):
        if hop.event in STAGES:
            first.setdefault(hop.stage, hop)
    return tuple(first.values())
