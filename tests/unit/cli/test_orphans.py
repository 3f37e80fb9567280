"""A raw object is an orphan only when it is old and no row refers to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cli import display
from cli.orphans import Orphan, orphans
from producers.incoming import object_key
from runtime.buckets import RAW
from runtime.connections import Connections
from schemas.rows import ReceivedInstanceRow, ReceivedStudyRow
from schemas.tables import day_of
from tests.support.installation import connections

DAY = 86_400_000_000
"""Microseconds."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Connections]:
    opened = connections(tmp_path, "cli")
    yield opened
    opened.close()


def stored(
    made: Connections, name: str, days_ago: int, *, site: str = "north", referred: bool = False
) -> str:
    """A raw object, with its rows or without."""
    at = made.clock.now() - days_ago * DAY
    key = object_key(site, at, name)
    made.objects.put(RAW, key, b"sealed")
    if referred:
        made.tables.write(ReceivedStudyRow(site=site, day=day_of(at), study="st-1", received_at=at), at=at)
        row = ReceivedInstanceRow(
            site=site, study="st-1", instance=f"in-{name}", raw_digest="d", bucket=RAW, object_key=key
        )
        made.tables.insert_if_absent(row)
    return key


def test_only_old_objects_without_a_row_are_orphans(made: Connections) -> None:
    key = stored(made, "left", 3)
    stored(made, "kept", 3, referred=True)
    stored(made, "young", 0)
    stored(made, "elsewhere", 3, site="south")
    (found,) = orphans(made, ["north"])
    assert (found.site, found.object_key, found.size) == ("north", key, 6)
    assert found.day in key.replace("/", "-")
    assert len(orphans(made, ["north", "south"])) == 2


def test_an_object_stored_after_midnight_belongs_to_a_study_of_the_day_before(made: Connections) -> None:
    at = made.clock.now() - 3 * DAY
    key = object_key("north", at, "late")
    made.objects.put(RAW, key, b"sealed")
    made.tables.write(ReceivedStudyRow(site="north", day=day_of(at - DAY), study="st-1"), at=at)
    row = ReceivedInstanceRow(site="north", study="st-1", instance="in-1", raw_digest="d", object_key=key)
    made.tables.insert_if_absent(row)
    assert orphans(made, ["north"]) == []


def test_an_empty_store_has_none(made: Connections) -> None:
    assert orphans(made, ["north"]) == []


def test_orphans_are_shown_with_their_day_and_key() -> None:
    console = Console(record=True, width=100)
    display.orphans(console, [Orphan("north", "2026-11-18", "north/2026/11/18/a", 12)])
    text = console.export_text()
    assert "2026-11-18" in text
    assert "north/2026/11/18/a" in text
    assert "1 orphans" in text
