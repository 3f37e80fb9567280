"""What each event changes in the tables, and that late repetitions change nothing."""

from __future__ import annotations

import dataclasses
import json
import random
from importlib import resources
from pathlib import Path

import pytest

from runtime.embedded.tables import EmbeddedTables
from schemas import events
from schemas.codec import file_stem, from_record
from schemas.events import EVENT_TYPES, Event
from schemas.rows import (
    ROW_TYPES,
    ClosedStudyRow,
    FindingRow,
    OpenAlertRow,
    StudyRow,
    TraceHopRow,
    WorklistItemRow,
)
from schemas.topics import catalogue
from sinks.tables import SPEC, TablesSink, changes, shard_of, trace_hop

SITE, STUDY = "north", "st-" + "1" * 32


def example(name: str, **fields: object) -> Event:
    """Return the schema's typical example with other values."""
    text = resources.files("schemas").joinpath("examples", file_stem(name), "typical.json").read_text("utf-8")
    event = from_record(EVENT_TYPES[name], json.loads(text))
    envelope = dataclasses.replace(
        event.envelope, site=SITE, study=STUDY, event_id=f"{name}-{sorted(fields.items())!r}"
    )
    return dataclasses.replace(event, envelope=envelope, **fields)  # type: ignore[arg-type]


def later(event: Event, seconds: int) -> Event:
    """Return the event as published again."""
    envelope = event.envelope
    again = dataclasses.replace(envelope, recorded_at=envelope.recorded_at + seconds * 1_000_000)
    return dataclasses.replace(event, envelope=again)


@pytest.fixture
def tables(tmp_path: Path) -> EmbeddedTables:
    """Embedded tables, created."""
    made = EmbeddedTables(tmp_path)
    made.create(ROW_TYPES)
    return made


def worklist(tables: EmbeddedTables) -> WorklistItemRow | None:
    """Return the study's open worklist row."""
    return tables.get(WorklistItemRow, site=SITE, shard=shard_of(STUDY), study=STUDY)


def test_a_study_is_on_the_worklist_before_any_result(tables: EmbeddedTables) -> None:
    sink = TablesSink(tables)
    sink.write("study.state.v1", example("StudyState", revision=1, status="provisional", instance_count=3))
    item = worklist(tables)
    assert item is not None
    assert (item.instance_count, item.status, item.urgency) == (3, "provisional", None)


STORY = (
    ("study.state.v1", example("StudyState", revision=1, status="provisional", instance_count=1)),
    ("findings.v1", example("Findings", revision=1, status="analysed")),
    ("risk.scored.v1", example("RiskScored", revision=1, urgency="critical")),
    (
        "reviews.v1",
        example("ReviewState", revision=1, version=1, status="open", claimed_by="r1", signed_at=None),
    ),
    ("study.state.v1", example("StudyState", revision=1, status="complete", instance_count=1)),
    (
        "reviews.v1",
        example("ReviewState", revision=1, version=2, status="signed", signed_by="r1", signed_at=5),
    ),
)
LATE_IMAGE = (
    ("study.state.v1", example("StudyState", revision=2, status="revised", instance_count=2)),
    ("risk.scored.v1", example("RiskScored", revision=2, urgency="high")),
)


def test_a_signature_takes_the_study_off_the_worklist_and_files_it_under_its_day(
    tables: EmbeddedTables,
) -> None:
    sink = TablesSink(tables)
    for topic, event in STORY:
        sink.write(topic, event)
    assert worklist(tables) is None
    closed = tables.select(ClosedStudyRow, site=SITE, day="1970-01-01")
    assert [row.study for row in closed] == [STUDY]


def test_a_late_image_brings_a_signed_study_back_unclaimed(tables: EmbeddedTables) -> None:
    sink = TablesSink(tables)
    for topic, event in STORY + LATE_IMAGE:
        sink.write(topic, event)
    item = worklist(tables)
    assert item is not None
    assert (item.revision, item.urgency, item.claimed_by) == (2, "high", None)


@pytest.mark.parametrize("seed", range(5))
def test_repetitions_in_any_order_end_in_the_same_rows(
    tables: EmbeddedTables, tmp_path: Path, seed: int
) -> None:
    sink = TablesSink(tables)
    for topic, event in STORY + LATE_IMAGE:
        sink.write(topic, event)
    expected = worklist(tables), tables.get(StudyRow, site=SITE, study=STUDY)
    again = list(STORY + LATE_IMAGE) * 2
    random.Random(seed).shuffle(again)
    for number, (topic, event) in enumerate(again):
        sink.write(topic, later(event, number))
    assert (worklist(tables), tables.get(StudyRow, site=SITE, study=STUDY)) == expected


def test_findings_of_each_revision_stay(tables: EmbeddedTables) -> None:
    sink = TablesSink(tables)
    for revision in (1, 2):
        sink.write("findings.v1", example("Findings", revision=revision))
    rows = tables.select(FindingRow, site=SITE, study=STUDY)
    assert sorted({row.revision for row in rows}) == [1, 2]


def test_an_acknowledged_alert_is_open_no_more_even_if_its_first_state_comes_again(
    tables: EmbeddedTables,
) -> None:
    sink = TablesSink(tables)
    raised = example("AlertState", state="raised", version=1, alert_id="a", acknowledged_at=None)
    acknowledged = example("AlertState", state="acknowledged", version=2, alert_id="a", acknowledged_at=9)
    for event in (raised, acknowledged, raised):
        sink.write("alerts.v1", event)
    assert tables.get(OpenAlertRow, site=SITE, shard=shard_of("a"), alert_id="a") is None


def test_a_trace_row_keeps_the_time_of_the_first_publication(tables: EmbeddedTables) -> None:
    sink = TablesSink(tables)
    event = example("Findings", revision=1)
    for seconds in (0, 30):
        sink.write("findings.v1", later(event, seconds))
    (row,) = tables.select(TraceHopRow, site=SITE, study=STUDY)
    assert row.recorded_at == event.envelope.recorded_at


@pytest.mark.parametrize("name", sorted({topic.event for topic in catalogue().values()}))
def test_every_event_that_can_arrive_is_taken(tables: EmbeddedTables, name: str) -> None:
    event = example(name)
    written = [*changes(event), *trace_hop("a-topic", event)]
    assert written, "an event of a study leaves at least its trace"
    assert TablesSink(tables).write("a-topic", event) == ()


def test_an_event_without_a_study_leaves_no_trace_row() -> None:
    event = example("AuditEvent")
    unbound = dataclasses.replace(event, envelope=dataclasses.replace(event.envelope, study=""))
    assert list(trace_hop("audit.v1", unbound)) == []


def test_the_sink_reads_every_topic_of_the_catalogue() -> None:
    assert set(SPEC.reads) == set(catalogue())
    assert isinstance(example("RiskScored"), events.RiskScored)
