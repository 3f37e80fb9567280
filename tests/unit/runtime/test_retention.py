"""What is older than it is kept goes; what is younger, and what nobody describes, stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime.clock import SystemClock
from runtime.connections import Connections
from runtime.retention import DELETIONS_KEPT_HOURS, HOUR, Removed, limits, main, tidy
from schemas.rows import DeadlineRow
from schemas.topics import DEAD_LETTER_RETENTION_HOURS, catalogue, dead_letter_topic
from tests.support.installation import connections, received, settings

TOPIC = "instance.received.v1"
KEPT = catalogue()[TOPIC].retention_hours * HOUR


class Later:
    """A clock ahead of the log's."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead

    def now(self) -> int:
        """UTC microseconds."""
        return SystemClock().now() + self._ahead

    def monotonic(self) -> float:
        """Seconds."""
        return SystemClock().monotonic()


def later(made: Connections, microseconds: int) -> Connections:
    """The same connections some time later."""
    return replace(made, clock=Later(microseconds))


def test_each_topic_has_its_own_limit_and_an_unknown_one_has_none() -> None:
    now = 10**16
    letters = dead_letter_topic("infer")
    told = limits([TOPIC, "audit.v1", letters, "somebody.s.v1"], now)
    assert told == {
        TOPIC: now - KEPT,
        "audit.v1": now - catalogue()["audit.v1"].retention_hours * HOUR,
        letters: now - DEAD_LETTER_RETENTION_HOURS * HOUR,
    }


@pytest.mark.parametrize(("ahead", "removed"), [(0, 0), (KEPT - HOUR, 0), (KEPT + HOUR, 3)])
def test_records_go_when_their_topic_s_time_is_over(tmp_path: Path, ahead: int, removed: int) -> None:
    made = connections(tmp_path, "test")
    made.publisher.publish([(TOPIC, received(number, f"e{number}")) for number in range(3)])
    assert tidy(later(made, ahead)) == Removed(removed, 0)
    assert sum(made.log.end_offsets(TOPIC).values()) == 3
    made.close()


@pytest.mark.parametrize(("ahead_hours", "removed"), [(1, 0), (DELETIONS_KEPT_HOURS + 1, 1)])
def test_deletions_of_a_queue_are_forgotten_after_anything_could_come_again(
    tmp_path: Path, ahead_hours: int, removed: int
) -> None:
    made = connections(tmp_path, "test")
    now = made.clock.now()
    key = {"consumer": "c", "shard": 0, "due_at": now, "site": "north", "study": "st-1", "name": "n"}
    for name in ("n", "stays"):
        made.tables.write(DeadlineRow(**(key | {"name": name}), payload="{}"), at=now)  # type: ignore[arg-type]
    made.tables.delete(DeadlineRow, at=now, **key)
    assert tidy(later(made, ahead_hours * HOUR)).deletions == removed
    assert [row.name for row in made.tables.select(DeadlineRow, consumer="c", shard=0)] == ["stays"]
    made.close()


def test_one_pass_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections(tmp_path, "test").close()
    settings(tmp_path).write(tmp_path / "settings.toml")
    monkeypatch.setenv("RADSTREAM_SETTINGS", str(tmp_path / "settings.toml"))
    assert main() == 0


def test_a_pass_that_cannot_begin_is_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADSTREAM_SETTINGS", "nowhere.toml")
    assert main() == 1
