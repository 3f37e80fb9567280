from __future__ import annotations

from pathlib import Path

import pytest

from runtime.embedded.tables import EmbeddedTables
from schemas.rows import DeadlineRow
from stream_processors.deadlines import LOOK_S, Deadlines


class SetClock:
    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1_000_000


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def tables(tmp_path: Path) -> EmbeddedTables:
    made = EmbeddedTables(tmp_path)
    made.create([DeadlineRow])
    return made


def row(due_at: int, shard: int = 0, study: str = "st-1") -> DeadlineRow:
    return DeadlineRow(
        consumer="step", shard=shard, due_at=due_at, site="north", study=study, name="quiet", payload="{}"
    )


def due(deadlines: Deadlines, *shards: int) -> list[tuple[int, str]]:
    return [(each.row.due_at, each.row.study) for each in deadlines.due(shards)]


def test_a_deadline_is_due_at_its_time_on_its_own_shard(tables: EmbeddedTables, clock: SetClock) -> None:
    deadlines = Deadlines(tables, "step", clock)
    deadlines.write(row(50))
    deadlines.write(row(40, study="st-2"))
    clock.time = 39
    assert due(deadlines, 0) == []
    clock.time = 50
    assert due(deadlines, 1) == []
    assert due(deadlines, 0, 1) == [(40, "st-2"), (50, "st-1")]


def test_one_that_is_not_acknowledged_comes_back_and_one_that_is_does_not(
    tables: EmbeddedTables, clock: SetClock
) -> None:
    deadlines = Deadlines(tables, "step", clock)
    deadlines.write(row(5))
    clock.time = 10
    assert due(deadlines, 0) == [(5, "st-1")]
    restarted = Deadlines(tables, "step", clock)
    assert due(restarted, 0) == [(5, "st-1")]
    restarted.delete(row(5))
    clock.time += int(2 * LOOK_S * 1_000_000)
    assert due(restarted, 0) == []


def test_a_redelivered_cause_does_not_bring_back_what_was_done_with(
    tables: EmbeddedTables, clock: SetClock
) -> None:
    deadlines = Deadlines(tables, "step", clock)
    deadlines.write(row(5))
    deadlines.delete(row(5))
    deadlines.write(row(5))
    clock.time = 10
    assert due(deadlines, 0) == []


def test_what_another_process_wrote_is_seen_after_a_second(tables: EmbeddedTables, clock: SetClock) -> None:
    mine, other = Deadlines(tables, "step", clock), Deadlines(tables, "step", clock)
    assert due(mine, 0) == []
    other.write(row(1))
    clock.time = 2
    assert due(mine, 0) == []
    clock.time = int(LOOK_S * 1_000_000)
    assert due(mine, 0) == [(1, "st-1")]
