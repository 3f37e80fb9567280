"""Ways to damage a run that went well, each another study's; each says what `reconcile` must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from confluent_kafka import TopicPartition

from runtime import buckets
from schemas.codec import decode
from schemas.events import InstanceReceived
from schemas.identifiers import deterministic_uuid
from schemas.rows import ReceivedInstanceRow, StudyInstanceRow, WorklistItemRow
from schemas.tables import WORKLIST_SHARDS
from sinks.tables import shard_of
from tests.support.raw import administer
from tests.support.senders import Ledger
from tests.support.system import System

LATE = 2**61
"""Logical time of what is written or deleted: after everything that the run wrote."""
Study = tuple[str, str]
"""Site and key."""
Problem = tuple[str, str, str, str]
"""Kind, class, site and study."""


def inject(system: System, ledger: Ledger) -> set[Problem]:
    """Damage one study after the other, each in its own way."""
    dropped = _drop_received_event(system) if system.engines else None
    studies = (study for study in _xrays(system, ledger) if study != dropped)
    ways: tuple[tuple[Callable[[System, Study], None], str, str], ...] = (
        (_delete_raw_object, "lost", "raw-object-missing"),
        (_delete_clean_object, "lost", "clean-object-missing"),
        (_delete_result_record, "lost", "result-record-missing"),
        (_delete_worklist_row, "lost", "worklist-row-missing"),
        (_double_worklist_row, "doubled", "worklist-row-twice"),
        (_double_received_event, "doubled", "received-event-twice"),
    )
    found: set[Problem] = set()
    for damage, kind, what in ways:
        study = next(studies)
        damage(system, study)
        found.add((kind, what, *study))
    if dropped is not None:
        found.add(("lost", "received-event-missing", *dropped))
    return found


def _xrays(system: System, ledger: Ledger) -> Iterator[Study]:
    """Studies of one image and one revision."""
    for sent in ledger.sent:
        if sent.kind == "xray":
            yield sent.site, system.study_key(sent.site, sent.study_uid)


def _delete_raw_object(system: System, study: Study) -> None:
    (row,) = system.rows(ReceivedInstanceRow, site=study[0], study=study[1])
    system.connections.objects.delete(row.bucket or "", row.object_key or "")


def _delete_clean_object(system: System, study: Study) -> None:
    (row,) = system.rows(StudyInstanceRow, site=study[0], study=study[1])
    system.connections.objects.delete(row.bucket or "", row.object_key or "")


def _delete_result_record(system: System, study: Study) -> None:
    (key,) = (key for key in system.keys(buckets.RESULTS, "/".join(study)) if "/result-" in key)
    system.connections.objects.delete(buckets.RESULTS, key)


def _listed(system: System, study: Study) -> WorklistItemRow:
    site, key = study
    rows = (
        row
        for shard in range(WORKLIST_SHARDS)
        for row in system.rows(WorklistItemRow, site=site, shard=shard)
    )
    return next(row for row in rows if row.study == key)


def _delete_worklist_row(system: System, study: Study) -> None:
    row = _listed(system, study)
    key = {"site": row.site, "shard": row.shard, "study": row.study}
    system.connections.tables.delete(WorklistItemRow, at=LATE, **key)


def _double_worklist_row(system: System, study: Study) -> None:
    other = (shard_of(study[1]) + 1) % WORKLIST_SHARDS
    system.connections.tables.write(replace(_listed(system, study), shard=other), at=LATE)


def _double_received_event(system: System, study: Study) -> None:
    """Publish an event again as if it were another one."""
    events = system.events("instance.received.v1", InstanceReceived)
    event = next(each for each in events if (each.envelope.site, each.envelope.study) == study)
    envelope = replace(event.envelope, event_id=deterministic_uuid("another", event.envelope.event_id))
    system.connections.publisher.publish([("instance.received.v1", replace(event, envelope=envelope))])


def _drop_received_event(system: System) -> Study:
    """Have Kafka forget the first record of a partition; one that was not written twice."""
    assert system.engines is not None
    records = system.records("instance.received.v1")
    events = [decode(record.value, system.connections.registry) for record in records]
    ids = [event.envelope.event_id for event in events]
    record, event = next(
        (record, event)
        for record, event in zip(records, events, strict=True)
        if record.offset == 0 and ids.count(event.envelope.event_id) == 1
    )
    before = TopicPartition(record.topic, record.partition, record.offset + 1)
    administer(system.engines.settings.kafka.bootstrap, lambda admin: admin.delete_records([before]))
    return event.envelope.site, event.envelope.study
