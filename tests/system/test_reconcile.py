"""`radstream reconcile` finds nothing wrong where nothing is, and each thing that is."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cli.runs import Run
from runtime import buckets
from runtime.connections import connect
from runtime.embedded.records import first_id
from runtime.ports import Record
from schemas.codec import decode
from schemas.events import AlertState, Findings, InstanceDeidentified, InstanceReceived
from schemas.identifiers import deterministic_uuid
from schemas.rows import (
    AlertDeliveryRow,
    ReceivedInstanceRow,
    ResultImageRow,
    StudyInstanceRow,
    StudyRow,
    WorklistItemRow,
)
from schemas.tables import WORKLIST_SHARDS
from sinks.tables import shard_of
from tests.support.processes import WAIT_S
from tests.support.readers import come_to_rest
from tests.support.senders import Department, Ledger, Sent, ct, xray
from tests.support.system import System, system
from tests.support.verdict import gather, judge

SITE = "north"
LATE = 2**61
"""Logical time of what a test writes or deletes: after everything that the run wrote."""


def studies() -> list[Sent]:
    """Eight studies: four X-rays, two of which alert, and four CT series."""
    return [
        *(xray(number, SITE, alerting=number % 2 == 0) for number in range(4)),
        *(ct(number, SITE, slices=2, requests=1) for number in range(4)),
    ]


@dataclass(frozen=True)
class Clean:
    """A small run that went well, stopped."""

    system: System
    ledger: Ledger


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clean]:
    with system(tmp_path_factory.mktemp("clean"), sites=(SITE,), triton=False, quiet_window_s=1.0) as running:
        department = Department(running.stow, {SITE: running.token(SITE)}, 2)
        for study in studies():
            department.send(study)
        department.finish()

        come_to_rest(running)
        running.stop()
        yield Clean(running, department.ledger)


@pytest.fixture
def copy(clean: Clean, tmp_path: Path) -> Iterator[System]:
    """A copy of that run, to be damaged."""
    run = Run(tmp_path / "run")
    shutil.copytree(clean.system.run.path, run.path)
    settings = clean.system.settings.model_copy(update={"data": run.data})
    settings.write(run.settings_file)
    connections = connect(settings, "cli")
    yield System(run, settings, clean.system.plan, connections)
    connections.close()


def reconcile(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of the command."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "reconcile", "--json", "--run", run.name, *arguments],
        env=os.environ | {"RADSTREAM_HOME": str(run.path.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode in (0, 1), done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, answer


# --- ways to damage a run; each returns the study it concerns


def first_received(system: System) -> tuple[ReceivedInstanceRow, str]:
    event = system.events("instance.received.v1", InstanceReceived)[0]
    return system.rows(ReceivedInstanceRow, site=SITE, study=event.envelope.study)[0], event.envelope.study


def delete_raw_object(system: System) -> str:
    row, study = first_received(system)
    system.connections.objects.delete(row.bucket or "", row.object_key or "")
    return study


def alter_raw_object(system: System) -> str:
    row, study = first_received(system)
    data = bytearray(system.connections.objects.get(row.bucket or "", row.object_key or ""))
    data[-1] ^= 1
    system.connections.objects.put(row.bucket or "", row.object_key or "", bytes(data))
    return study


def swap_raw_objects(system: System) -> str:
    """Put another instance's encrypted bytes in the place of the first one's."""
    row, study = first_received(system)
    other = next(key for key in sorted(system.keys(buckets.RAW)) if key != row.object_key)
    system.connections.objects.put(
        row.bucket or "", row.object_key or "", system.connections.objects.get(buckets.RAW, other)
    )
    return study


def miscount(system: System) -> str:
    study = first_received(system)[1]
    system.connections.tables.write(StudyRow(site=SITE, study=study, instance_count=7), at=LATE)
    return study


def drop(system: System, topic: str, wanted: Callable[[Any], bool]) -> str:
    """Take the first such event out of the log's file, as if it had never been written."""
    record, event = next(
        (record, event)
        for record in system.records(topic)
        if wanted(event := decode(record.value, system.connections.registry))
    )
    _remove(system, record)
    return event.envelope.study


def _remove(system: System, record: Record) -> None:
    with sqlite3.connect(system.run.data / "log" / "log.db") as file:
        (partition,) = file.execute(
            "SELECT id FROM partitions WHERE topic = ? AND number = ?", (record.topic, record.partition)
        ).fetchone()
        gone = file.execute("DELETE FROM records WHERE id = ?", (first_id(partition) + record.offset,))
        assert gone.rowcount == 1
    file.close()


def drop_received_event(system: System) -> str:
    return drop(system, "instance.received.v1", lambda event: isinstance(event, InstanceReceived))


def drop_deidentified_event(system: System) -> str:
    return drop(system, "instance.deidentified.v1", lambda event: isinstance(event, InstanceDeidentified))


def drop_result(system: System) -> str:
    return drop(system, "findings.v1", lambda event: isinstance(event, Findings))


def drop_alert(system: System) -> str:
    return drop(system, "alerts.v1", lambda event: isinstance(event, AlertState))


def repeat_under_another_id(system: System, topic: str, wanted: type[Any]) -> str:
    """Publish an event again as if it were another one."""
    event = next(event for event in system.events(topic, wanted))
    envelope = replace(event.envelope, event_id=deterministic_uuid("another", event.envelope.event_id))
    system.connections.publisher.publish([(topic, replace(event, envelope=envelope))])
    study: str = event.envelope.study
    return study


def double_received_event(system: System) -> str:
    return repeat_under_another_id(system, "instance.received.v1", InstanceReceived)


def double_result(system: System) -> str:
    return repeat_under_another_id(system, "findings.v1", Findings)


def double_worklist_row(system: System) -> str:
    row = next(
        row
        for shard in range(WORKLIST_SHARDS)
        for row in system.rows(WorklistItemRow, site=SITE, shard=shard)
    )
    other = (shard_of(row.study) + 1) % WORKLIST_SHARDS
    system.connections.tables.write(replace(row, shard=other), at=LATE)
    return row.study


def delete_worklist_row(system: System) -> str:
    row = next(
        row
        for shard in range(WORKLIST_SHARDS)
        for row in system.rows(WorklistItemRow, site=SITE, shard=shard)
    )
    system.connections.tables.delete(WorklistItemRow, at=LATE, site=SITE, shard=row.shard, study=row.study)
    return row.study


def delete_study_row(system: System) -> str:
    study = first_received(system)[1]
    system.connections.tables.delete(StudyRow, at=LATE, site=SITE, study=study)
    return study


def delete_instance_row(system: System) -> str:
    study = first_received(system)[1]
    row = system.rows(StudyInstanceRow, site=SITE, study=study)[0]
    system.connections.tables.delete(
        StudyInstanceRow, at=LATE, site=SITE, study=study, instance=row.instance, digest=row.digest
    )
    return study


def delete_clean_object(system: System) -> str:
    study = first_received(system)[1]
    row = system.rows(StudyInstanceRow, site=SITE, study=study)[0]
    system.connections.objects.delete(row.bucket or "", row.object_key or "")
    return study


def delete_overlay(system: System) -> str:
    key = next(key for key in sorted(system.keys(buckets.RESULTS)) if "/overlay-" in key)
    system.connections.objects.delete(buckets.RESULTS, key)
    return key.split("/")[1]


def delete_overlay_row(system: System) -> str:
    key = next(key for key in sorted(system.keys(buckets.RESULTS)) if "/overlay-" in key)
    study = key.split("/")[1]
    (row,) = system.rows(ResultImageRow, site=SITE, study=study)
    system.connections.tables.delete(
        ResultImageRow, at=LATE, site=SITE, study=study, revision=row.revision, instance=row.instance
    )
    return study


def delete_result_record(system: System) -> str:
    key = next(key for key in sorted(system.keys(buckets.RESULTS)) if "/result-" in key)
    system.connections.objects.delete(buckets.RESULTS, key)
    return key.split("/")[1]


def delete_delivery(system: System) -> str:
    event = system.events("alerts.v1", AlertState)[0]
    system.connections.tables.delete(
        AlertDeliveryRow, at=LATE, site=SITE, alert_id=event.alert_id, channel="webhook"
    )
    return event.envelope.study


DAMAGE: list[tuple[Callable[[System], str], str, str]] = [
    (delete_raw_object, "lost", "raw-object-missing"),
    (alter_raw_object, "lost", "raw-object-unreadable"),
    (swap_raw_objects, "lost", "raw-object-unreadable"),
    (drop_received_event, "lost", "received-event-missing"),
    (drop_deidentified_event, "lost", "deidentified-event-missing"),
    (drop_result, "lost", "result-missing"),
    (drop_alert, "lost", "alert-not-raised"),
    (double_received_event, "doubled", "received-event-twice"),
    (double_result, "doubled", "result-twice"),
    (double_worklist_row, "doubled", "worklist-row-twice"),
    (delete_worklist_row, "lost", "worklist-row-missing"),
    (delete_study_row, "lost", "study-row-missing"),
    (miscount, "lost", "study-row-behind"),
    (delete_instance_row, "lost", "instance-row-missing"),
    (delete_clean_object, "lost", "clean-object-missing"),
    (delete_overlay, "lost", "overlay-missing"),
    (delete_overlay_row, "lost", "overlay-missing"),
    (delete_result_record, "lost", "result-record-missing"),
    (delete_delivery, "lost", "alert-not-delivered"),
]


def test_a_run_that_went_well_has_nothing_lost_or_doubled(clean: Clean) -> None:
    assert judge(gather(clean.system, clean.ledger)) == []
    status, answer = reconcile(clean.system.run, "--grace", "0", "--verify")
    assert answer["problems"] == []
    assert (answer["studies"], answer["instances"]) == (8, 12)
    assert status == 0


@pytest.mark.parametrize(
    ("damage", "kind", "what"), DAMAGE, ids=lambda value: getattr(value, "__name__", None)
)
def test_each_damage_is_found_where_it_is(
    copy: System, damage: Callable[[System], str], kind: str, what: str
) -> None:
    study = damage(copy)
    status, answer = reconcile(copy.run, "--grace", "0", "--verify")
    found = {
        (problem["kind"], problem["what"], problem["site"], problem["study"])
        for problem in answer["problems"]
    }
    assert found == {(kind, what, SITE, study)}
    assert status == 1


@pytest.mark.parametrize("damage", [damage for damage, *_ in DAMAGE], ids=lambda value: value.__name__)
def test_the_verdict_of_the_kill_test_sees_each_damage_too(
    copy: System, clean: Clean, damage: Callable[[System], str]
) -> None:
    damage(copy)
    assert judge(gather(copy, clean.ledger))


def test_what_is_young_is_pending_and_no_fault(copy: System) -> None:
    delete_worklist_row(copy)
    status, answer = reconcile(copy.run, "--grace", "86400")
    assert {problem["kind"] for problem in answer["problems"]} == {"pending"}
    assert status == 0


def test_a_day_with_nothing_has_nothing_to_compare(copy: System) -> None:
    status, answer = reconcile(copy.run, "--days", "0")
    assert (answer["studies"], answer["instances"], answer["problems"], status) == (0, 0, [], 0)
