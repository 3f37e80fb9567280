"""A study's events with their times."""

from __future__ import annotations

from pathlib import Path

from cli.trace import TracedHop, hops_of, trace
from runtime.embedded.tables import EmbeddedTables
from schemas.rows import ROW_TYPES, StudyRow, TraceHopRow
from tests.support.context import START

STUDY = "st-" + "1" * 32


def row(event_id: str, seconds: float, *, site: str = "south", revision: int = 1) -> TraceHopRow:
    at = START + round(seconds * 1e6)
    return TraceHopRow(
        site=site, study=STUDY, event_id=event_id, recorded_at=at, topic="t.v1", event="E", producer="p",
        revision=revision,
    )  # fmt: skip


def test_hops_are_ordered_and_counted_from_the_receipt() -> None:
    assert hops_of([row("b", 2.0004, revision=2), row("a", 0.5)], START) == [
        TracedHop(0.5, "t.v1", "E", "p", 1),
        TracedHop(2.0, "t.v1", "E", "p", 2),
    ]


def test_a_row_that_says_nothing_is_shown_as_such() -> None:
    bare = TraceHopRow(site="south", study=STUDY, event_id="a")
    assert hops_of([bare], 0) == [TracedHop(0.0, "", "", "", 0)]


def test_a_study_is_found_at_the_site_that_has_it_and_nowhere_else(tmp_path: Path) -> None:
    tables = EmbeddedTables(tmp_path)
    tables.create(ROW_TYPES)
    tables.write(row("a", 1.0), at=1)
    assert [hop.after_s for hop in trace(tables, ["north", "south"], STUDY)] == [0.0]
    tables.write(StudyRow(site="south", study=STUDY, received_at=START), at=1)
    assert [hop.after_s for hop in trace(tables, ["north", "south"], STUDY)] == [1.0]
    assert trace(tables, ["north"], STUDY) == []
