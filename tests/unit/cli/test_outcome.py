"""What a run has come to, as the tables tell it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cli import outcome
from cli.outcome import StudyOutcome, median_hops
from runtime.embedded.tables import EmbeddedTables
from schemas.rows import ROW_TYPES, AlertRow, FindingRow, QuarantinedObjectRow, StudyRow, TraceHopRow
from tests.support.context import START

SITE, STUDY = "north", "st-" + "1" * 32


@pytest.fixture
def tables(tmp_path: Path) -> EmbeddedTables:
    made = EmbeddedTables(tmp_path)
    made.create(ROW_TYPES)
    return made


def hop(topic: str, seconds: float) -> TraceHopRow:
    at = START + round(seconds * 1e6)
    return TraceHopRow(site=SITE, study=STUDY, event_id=f"{topic} {seconds}", recorded_at=at, topic=topic)


def found(status: str, *hops: TraceHopRow) -> StudyOutcome:
    row = StudyRow(site=SITE, study=STUDY, received_at=START, result_status=status, urgency="routine")
    return StudyOutcome(SITE, STUDY, row, (), (), hops, 1)


def test_a_study_nobody_knows_is_not_finished(tables: EmbeddedTables) -> None:
    unknown = outcome.read(tables, SITE, STUDY)
    assert unknown == StudyOutcome(SITE, STUDY, None, (), (), (), 0)
    assert not unknown.finished


@pytest.mark.parametrize(
    ("status", "urgency", "finished"),
    [
        (None, None, False),
        ("analysed", None, False),
        (None, "routine", False),
        ("not-analysed", "routine", True),
    ],
)
def test_a_study_is_finished_with_a_result_and_a_place(
    tables: EmbeddedTables, status: str | None, urgency: str | None, finished: bool
) -> None:
    tables.write(StudyRow(site=SITE, study=STUDY, received_at=1, result_status=status, urgency=urgency), at=1)
    assert outcome.read(tables, SITE, STUDY).finished is finished


def test_only_findings_of_the_newest_result_count_and_only_from_their_threshold(
    tables: EmbeddedTables,
) -> None:
    tables.write(StudyRow(site=SITE, study=STUDY, result_revision=2), at=1)
    for revision, name, probability in (
        (1, "old", 0.9),
        (2, "at", 0.5),
        (2, "above", 0.6),
        (2, "below", 0.4),
    ):
        row = FindingRow(
            site=SITE, study=STUDY, revision=revision, finding=name, probability=probability, threshold=0.5
        )
        tables.write(row, at=1)
    told = outcome.read(tables, SITE, STUDY)
    assert {finding.finding for finding in told.findings} == {"at", "above", "below"}
    assert told.positive == 2


def test_hops_come_in_order_of_time_and_alerts_with_their_study(tables: EmbeddedTables) -> None:
    for each in (hop("later", 2.0), hop("sooner", 1.0)):
        tables.write(each, at=1)
    tables.insert_if_absent(AlertRow(site=SITE, study=STUDY, alert_id="a", version=1))
    told = outcome.read(tables, SITE, STUDY)
    assert [each.topic for each in told.hops] == ["sooner", "later"]
    assert [alert.alert_id for alert in told.alerts] == ["a"]


def test_refused_objects_are_counted_by_reason_over_sites_and_days(tables: EmbeddedTables) -> None:
    for number, (site, day, reason) in enumerate(
        [
            ("north", "d1", "truncated"),
            ("south", "d1", "truncated"),
            ("north", "d2", "not-dicom"),
            ("west", "d1", "x"),
        ]
    ):
        row = QuarantinedObjectRow(
            site=site, day=day, quarantined_at=number, object_id=str(number), reason=reason
        )
        tables.write(row, at=1)
    counted = outcome.quarantined(tables, ["north", "south"], ["d1", "d2"])
    assert counted == Counter({"truncated": 2, "not-dicom": 1})


def test_the_median_counts_the_first_event_of_a_kind_of_analysed_studies_only() -> None:
    studies = [
        found("analysed", hop("b", 2.0), hop("b", 9.0), hop("a", 1.0)),
        found("analysed", hop("b", 4.0)),
        found("not-analysed", hop("b", 100.0)),
    ]
    assert list(median_hops(studies).items()) == [("a", 1.0), ("b", 3.0)]


def test_without_an_analysed_study_there_is_no_median() -> None:
    assert median_hops([found("not-analysed", hop("b", 1.0))]) == {}
