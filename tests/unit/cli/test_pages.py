"""A rule's pages are held to what readers signed of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cli import display
from cli.pages import JudgedRule, days_back, judged_pages
from runtime.connections import Connections
from schemas.rows import AlertRow, ClosedAlertRow, ReviewRow
from tests.support.installation import connections

DAY = "2026-11-21"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Connections]:
    opened = connections(tmp_path, "cli")
    yield opened
    opened.close()


def page(
    made: Connections, number: int, rule: str, said: str, *, status: str = "signed", site: str = "north"
) -> None:
    study, alert = f"st-{number}", f"al-{number}"
    closed = ClosedAlertRow(site=site, day=DAY, acknowledged_at=number, alert_id=alert, study=study)
    made.tables.write(closed, at=1)
    made.tables.insert_if_absent(
        AlertRow(site=site, study=study, alert_id=alert, rule=rule, finding="pneumothorax")
    )
    decided = [{"finding": "pneumothorax", "decision": said, "actor": "ra", "at": 1}] if said else []
    made.tables.insert_if_absent(
        ReviewRow(site=site, study=study, status=status, decisions=json.dumps(decided))
    )


def test_pages_are_counted_by_rule_and_a_rule_that_is_seldom_right_is_proposed(made: Connections) -> None:
    for number in range(20):
        page(made, number, "R2", "accepted" if number < 3 else "rejected")
    page(made, 30, "R1", "accepted")
    page(made, 31, "R1", "")
    page(made, 32, "R1", "rejected", status="open")
    page(made, 33, "R1", "rejected", site="south")

    first, second = judged_pages(made.tables, "north", [DAY])

    assert (first.rule, first.pages, first.judged, first.right, first.worklist_only_proposed) == (
        "R1", 3, 1, 1, False,
    )  # fmt: skip
    assert (second.rule, second.judged, second.right, second.worklist_only_proposed) == ("R2", 20, 3, True)
    assert 0 < second.at_least < 0.2


def test_other_days_are_not_counted(made: Connections) -> None:
    page(made, 1, "R1", "accepted")

    assert judged_pages(made.tables, "north", ["2026-11-20"]) == []


def test_the_last_days_begin_with_today() -> None:
    assert days_back(86_400_000_000, 3) == ["1970-01-02", "1970-01-01", "1969-12-31"]


def test_a_proposal_is_shown() -> None:
    console = Console(record=True, width=120)
    display.pages(console, [JudgedRule("R2", 20, 20, 3, 0.05, True), JudgedRule("R1", 2, 0, 0, 0.0, False)])

    shown = console.export_text()
    assert "worklist only" in shown
    assert "5%" in shown
