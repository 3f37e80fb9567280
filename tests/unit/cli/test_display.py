"""What people read in the terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from cli import display
from cli.demo import Demonstration, summarise
from cli.demo_studies import Sent
from cli.outcome import StudyOutcome
from cli.reconcile import Problem, Report
from cli.runs import Run
from cli.trace import TracedHop
from schemas.rows import AlertRow, FindingRow, StudyRow, TraceHopRow
from tests.support.context import START
from tests.support.installation import settings

XRAY = Sent("Chest X-ray, generated: pneumothorax", "synthetic", "north", "1.2", (b"",))
CT = Sent("CT, uncompressed", "public", "north", "1.3", (b"",))
DAMAGED = Sent("Damaged on purpose", "damaged", "north", "", (b"",))


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=140, file=None, force_terminal=False, quiet=False)


def analysed() -> StudyOutcome:
    row = StudyRow(
        site="north", study="st-1", received_at=START, result_status="analysed", urgency="critical", backend="triton"
    )  # fmt: skip
    findings = tuple(
        FindingRow(
            site="north", study="st-1", revision=1, finding=name, probability=probability, threshold=0.5
        )
        for name, probability in (("nodule", 0.1), ("pneumothorax", 0.944))
    )
    scored = TraceHopRow(
        site="north", study="st-1", event_id="e", recorded_at=START + 1_500_000, topic="risk.scored.v1"
    )
    alert = AlertRow(site="north", study="st-1", alert_id="a")
    return StudyOutcome("north", "st-1", row, findings, (alert,), (scored,), 1)


def skipped() -> StudyOutcome:
    row = StudyRow(
        site="north", study="st-2", received_at=START, result_status="not-analysed", result_reason="no model for CT",
        urgency="not-analysed",
    )  # fmt: skip
    return StudyOutcome("north", "st-2", row, (), (), (), 4)


def demonstration(folder: Path, portal_url: str) -> Demonstration:
    sent, outcomes = (CT, DAMAGED, XRAY), (skipped(), analysed())
    summary = summarise(sent, outcomes, Counter(truncated=1), {"k"}, seconds=21.04, portal_url=portal_url)
    return Demonstration(Run(folder), settings(folder), sent, outcomes, summary, "the-token")


def test_the_summary_counts_the_two_kinds_apart(tmp_path: Path) -> None:
    told = demonstration(tmp_path, "").summary
    assert (told.studies, told.public_studies, told.synthetic_studies, told.instances) == (2, 1, 1, 5)
    assert (told.findings, told.alerts_delivered, told.inference_backend) == (1, 1, "triton")
    assert (told.not_analysed, told.quarantined) == ({"no model for CT": 1}, {"truncated": 1})
    assert (told.hops, told.seconds) == ({"risk.scored.v1": 1.5}, 21.0)


def test_a_demonstration_shows_each_study_its_result_and_where_to_look(
    console: Console, tmp_path: Path
) -> None:
    display.demonstration(console, demonstration(tmp_path, "http://127.0.0.1:1/"))
    text = console.export_text()
    ct, xray = (next(line for line in text.splitlines() if title in line) for title in (CT.title, XRAY.title))
    assert "not analysed" in ct
    assert "no model for CT" in ct
    assert "paged" not in ct
    assert all(word in xray for word in ("critical", "pneumothorax 0.94", "paged", "1.5 s"))
    assert "nodule" not in xray
    assert DAMAGED.title not in text
    assert "1 file quarantined: truncated" in text
    assert "triton (demonstration model, not for clinical use)" in text
    assert "http://127.0.0.1:1/" in text
    assert "the-token" in text


def test_a_demonstration_that_was_stopped_shows_no_address_and_no_token(
    console: Console, tmp_path: Path
) -> None:
    display.demonstration(console, demonstration(tmp_path, ""))
    text = console.export_text()
    assert "Portal" not in text
    assert "the-token" not in text


def test_status_shows_lag_where_there_is_one(console: Console) -> None:
    process = {"name": "infer", "state": "ready", "pid": 7, "starts": 2, "lag": 5, "health": "http://h"}
    gateway = process | {"name": "stow", "lag": None, "pid": 0, "state": "down"}
    display.status(console, "up", {"portal": "http://p", "stow": "http://s", "processes": [process, gateway]})
    lines = console.export_text().splitlines()
    infer = next(line for line in lines if "infer" in line)
    assert [cell.strip() for cell in infer.strip("│ ").split("│")] == [
        "infer",
        "ready",
        "7",
        "2",
        "5",
        "http://h",
    ]
    stow = next(line for line in lines if "down" in line)
    assert [cell.strip() for cell in stow.strip("│ ").split("│")][2:5] == ["", "2", ""]


def test_a_trace_and_a_reconciliation_are_shown_line_by_line(console: Console) -> None:
    display.trace(console, [TracedHop(0.25, "findings.v1", "Findings", "publish_findings", 1)])
    problem = Problem("lost", "raw-object-missing", "north", "st-1", "in-1")
    display.reconciliation(console, Report(3, 9, (problem,)))
    text = console.export_text()
    assert "0.250 s" in text
    assert "raw-object-missing" in text
    assert "3 studies, 9 instances acknowledged: 1 lost, 0 doubled, 0 pending" in text
