"""Results as table rows, for the portal and the command line.

1. What an event changes is a pure function of the event (`changes`).
2. Write times are a logical clock made of the revision and a stage inside it, never the time of day: an event that is
   published again after a newer one changes nothing, whenever that happens.
3. Signing closes a revision: its worklist row is deleted at the end of the revision's span, and a later revision's
   writes, being younger, bring it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from typing import Any
from zlib import crc32

from runtime.connections import Connections
from runtime.ports import Tables
from schemas import events
from schemas.codec import to_record
from schemas.events import Event
from schemas.rows import (
    AlertDeliveryRow,
    AuditEntryRow,
    ClosedAlertRow,
    ClosedStudyRow,
    FindingRow,
    OpenAlertRow,
    StudyRow,
    TraceHopRow,
    WorklistItemRow,
)
from schemas.tables import WORKLIST_SHARDS, Row, day_of
from schemas.topics import catalogue
from sinks.sink import REVISION_SPAN, Outputs, SinkSpec

SPEC = SinkSpec(
    summary="Writes studies, findings, worklist, alerts, audit and trace to the tables.",
    reads=tuple(catalogue()),
)

STAGE_SIGNED = 900_000
"""Where in that span a signature closes the revision."""
FOREVER = 2**62
"""Minus a time, it makes the earliest of several write times the winner."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write a row's columns at a logical time."""

    row: Row
    at: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a row as of a logical time."""

    row_type: type[Row]
    at: int
    key: dict[str, Any]


Change = Write | Delete


def shard_of(key: str) -> int:
    """Shard of a site's worklist or open alerts that a study or an alert lives in."""
    return crc32(key.encode()) % WORKLIST_SHARDS


def _write(row: Row, at: int, *columns: str) -> Write:
    return Write(row, at, columns)


def trace_hop(topic: str, event: Event) -> Iterator[Change]:
    """One row for the event itself; of several publications the first one's time stays."""
    envelope = event.envelope
    if not envelope.study:
        return
    row = TraceHopRow(
        site=envelope.site,
        study=envelope.study,
        event_id=envelope.event_id,
        recorded_at=envelope.recorded_at,
        topic=topic,
        event=type(event).__name__,
        producer=envelope.producer,
        revision=getattr(event, "revision", 0),
        causation_id=envelope.causation_id,
    )
    columns = ("recorded_at", "topic", "event", "producer", "revision", "causation_id")
    yield _write(row, FOREVER - envelope.recorded_at, *columns)


@singledispatch
def changes(event: Any) -> Iterator[Change]:
    """Table changes an event stands for, its trace row apart; none for events that only steps need."""
    del event
    yield from ()


@changes.register
def _(event: events.StudyState) -> Iterator[Change]:
    at = event.revision * REVISION_SPAN + (event.status == "complete")
    site, study = event.envelope.site, event.envelope.study
    shared: dict[str, Any] = {
        "revision": event.revision,
        "status": event.status,
        "received_at": event.received_at,
        "ordered_priority": event.ordered_priority,
        "modality": "/".join(event.modalities),
        "body_part": event.body_part,
        "instance_count": event.instance_count,
    }
    more: dict[str, Any] = {
        "evidence": event.evidence,
        "quarantined_count": event.quarantined_count,
        "conflict_count": event.conflict_count,
    }
    yield _write(StudyRow(site=site, study=study, **shared, **more), at, *shared, *more)
    yield _write(WorklistItemRow(site=site, shard=shard_of(study), study=study, **shared), at, *shared)


@changes.register
def _(event: events.Findings) -> Iterator[Change]:
    at = event.revision * REVISION_SPAN
    site, study = event.envelope.site, event.envelope.study
    result: dict[str, Any] = {
        "result_revision": event.revision,
        "result_status": event.status,
        "result_reason": event.reason,
        "model": event.model,
        "model_version": event.model_version,
        "model_digest": event.model_digest,
        "backend": event.backend,
        "demonstration": event.demonstration,
        "synthetic": event.synthetic,
    }
    yield _write(StudyRow(site=site, study=study, **result), at, *result)
    for finding in event.findings:
        box = finding.box
        columns: dict[str, Any] = {
            "result_id": event.result_id,
            "code_value": finding.code_value,
            "coding_scheme": finding.coding_scheme,
            "code_meaning": finding.code_meaning,
            "code_verified": finding.code_verified,
            "probability": finding.probability,
            "threshold": finding.threshold,
            "certainty": finding.certainty,
            "series": finding.series,
            "instance": finding.instance,
            "box": "" if box is None else json.dumps([box.x, box.y, box.width, box.height]),
        }
        row = FindingRow(site=site, study=study, revision=event.revision, finding=finding.finding, **columns)
        yield _write(row, at, *columns)


@changes.register
def _(event: events.RiskScored) -> Iterator[Change]:
    at = event.revision * REVISION_SPAN
    site, study = event.envelope.site, event.envelope.study
    shared: dict[str, Any] = {
        "urgency": event.urgency,
        "weight": event.weight,
        "rule": event.rule,
        "reason": event.reason,
        "demonstration": event.demonstration,
        "synthetic": event.synthetic,
    }
    listed: dict[str, Any] = {"finding": event.finding, "probability": event.probability}
    study_only = {key: shared[key] for key in ("urgency", "weight", "rule", "reason")} | {
        "rule_version": event.rule_version
    }
    yield _write(StudyRow(site=site, study=study, **study_only), at, *study_only)
    item = WorklistItemRow(
        site=site,
        shard=shard_of(study),
        study=study,
        scored_at=event.envelope.occurred_at,
        **shared,
        **listed,
    )
    yield _write(item, at, "scored_at", *shared, *listed)


@changes.register
def _(event: events.AlertState) -> Iterator[Change]:
    site, study = event.envelope.site, event.envelope.study
    shard = shard_of(event.alert_id)
    if event.state == "acknowledged" and event.acknowledged_at is not None:
        key = {"site": site, "shard": shard, "alert_id": event.alert_id}
        yield Delete(OpenAlertRow, event.version, key)
        closed = ClosedAlertRow(
            site=site,
            day=day_of(event.acknowledged_at),
            acknowledged_at=event.acknowledged_at,
            alert_id=event.alert_id,
            study=study,
            finding=event.finding,
            acknowledged_by=event.acknowledged_by,
            raised_at=event.raised_at,
        )
        yield _write(closed, event.version, "study", "finding", "acknowledged_by", "raised_at")
        return
    columns: dict[str, Any] = {
        "study": study,
        "version": event.version,
        "alert_class": event.alert_class,
        "finding": event.finding,
        "probability": event.probability,
        "rule": event.rule,
        "reason": event.reason,
        "received_at": event.received_at,
        "raised_at": event.raised_at,
        "demonstration": event.demonstration,
        "synthetic": event.synthetic,
    }
    row = OpenAlertRow(site=site, shard=shard, alert_id=event.alert_id, **columns)
    yield _write(row, event.version, *columns)


@changes.register
def _(event: events.AlertDelivery) -> Iterator[Change]:
    columns: dict[str, Any] = {
        "study": event.envelope.study,
        "status": event.status,
        "attempts": event.attempts,
        "status_code": event.status_code,
        "idempotency_key": event.idempotency_key,
        "delivered_at": event.delivered_at,
    }
    row = AlertDeliveryRow(
        site=event.envelope.site, alert_id=event.alert_id, channel=event.channel, **columns
    )
    yield _write(row, event.delivered_at, *columns)


@changes.register
def _(event: events.ReviewState) -> Iterator[Change]:
    site, study = event.envelope.site, event.envelope.study
    base = event.revision * REVISION_SPAN
    columns: dict[str, Any] = {
        "review_status": event.status,
        "review_version": event.version,
        "claimed_by": event.claimed_by,
        "decisions": json.dumps([to_record(decision) for decision in event.decisions]),
        "signed_by": event.signed_by,
        "signed_at": event.signed_at,
    }
    yield _write(StudyRow(site=site, study=study, **columns), base + event.version, *columns)
    shard = shard_of(study)
    if event.status != "signed" or event.signed_at is None:
        item = WorklistItemRow(site=site, shard=shard, study=study, claimed_by=event.claimed_by)
        yield _write(item, base + event.version, "claimed_by")
        return
    key = {"site": site, "shard": shard, "study": study}
    yield Delete(WorklistItemRow, base + STAGE_SIGNED, key)
    closed = ClosedStudyRow(
        site=site,
        day=day_of(event.signed_at),
        signed_at=event.signed_at,
        study=study,
        signed_by=event.signed_by,
        revision=event.revision,
    )
    yield _write(closed, base + event.version, "signed_by", "revision")


@changes.register
def _(event: events.AuditEvent) -> Iterator[Change]:
    columns: dict[str, Any] = {
        "recorded_at": event.envelope.recorded_at,
        "action": event.action,
        "actor": event.actor,
        "actor_role": event.actor_role,
        "purpose": event.purpose,
        "subjects": json.dumps(event.subjects),
        "outcome": event.outcome,
    }
    row = AuditEntryRow(
        site=event.envelope.site,
        day=day_of(event.envelope.occurred_at),
        event_id=event.envelope.event_id,
        **columns,
    )
    yield _write(row, FOREVER - event.envelope.recorded_at, *columns)


def apply(tables: Tables, change: Change) -> None:
    """Bring one change to the tables."""
    if isinstance(change, Delete):
        tables.delete(change.row_type, at=change.at, **change.key)
    else:
        tables.write(change.row, at=change.at, columns=change.columns)


@dataclass(frozen=True, slots=True)
class TablesSink:
    """Applies each event's changes, in order."""

    tables: Tables

    def write(self, topic: str, event: Event) -> Outputs:
        """Write the event's rows."""
        for change in (*trace_hop(topic, event), *changes(event)):
            apply(self.tables, change)
        return ()


def open_sink(connections: Connections) -> TablesSink:
    """Open the sink on a process's connections."""
    return TablesSink(connections.tables)
