"""Whatever fails and wherever the process dies: every input is resolved, in order, and nothing is acknowledged too early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime import faults
from runtime.errors import DeadLetterError, OutageError, RetryError
from runtime.metrics import Metrics
from runtime.outcomes import Policy
from runtime.ports import Record
from schemas.codec import UndecodableError
from schemas.events import Event, InstanceReceived
from schemas.rows import DeadlineRow
from stream_processors.binding import Addressed, Binder, Surroundings
from stream_processors.inputs import Origin
from stream_processors.step import Output, Step
from tests.support.installation import received, study

OUT = "instance.received.v1"


class PowerCut(BaseException):
    """The process is gone; nothing after this line happens."""


@dataclass
class Disk:
    """What survives the process."""

    records: list[Record]
    published: list[str] = field(default_factory=list)
    committed: int = 0
    effects: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Failures:
    """What goes wrong, per event id, and publications that are not confirmed."""

    of_events: dict[str, list[Exception | None]]
    of_publications: list[bool]


class _Context:
    def audits(self, cause: object) -> list[Addressed]:
        return []


@dataclass
class Process:
    """One life: it goes on from the committed offset until all is done or it dies."""

    disk: Disk
    failures: Failures
    batch_size: int

    def decode(self, value: bytes | None) -> Event:
        if value is None or value == b"poison":
            raise UndecodableError("corrupt")
        number, _, event_id = value.decode().partition("/")
        return received(int(number), event_id)

    def publish(self, outputs: Sequence[Addressed]) -> None:
        """Confirm all, or let an unknown half through and say nothing."""
        confirmed = not (self.failures.of_publications and self.failures.of_publications.pop())
        told = [event.envelope.event_id for _, event in outputs]
        self.disk.published += told if confirmed else told[: len(told) // 2]
        if not confirmed:
            raise RetryError

    def dead_letter(self, record: Record, _site: str, _error: BaseException, _attempts: int) -> Addressed:
        return "dead", received(0, str(record.offset))

    async def run(self, event: InstanceReceived, _context: object) -> AsyncIterator[Output]:
        event_id = event.envelope.event_id
        self.disk.effects.append((int(event.envelope.study[3:], 16), event_id))
        yield event
        left = self.failures.of_events.get(event_id, [])
        error = left.pop() if left else None
        if error is not None:
            raise error

    def context_for(self, _origin: Origin) -> Any:
        return _Context()

    def binder(self) -> Binder:
        around = Surroundings(
            decode=self.decode,
            publish=self.publish,
            dead_letter=self.dead_letter,
            write_deadline=lambda row: None,
            context_for=self.context_for,
            probe=nothing,
            metrics=Metrics("test"),
        )
        step = Step(summary="", reads=("a",), emits=(OUT,), run=self.run)
        policy = Policy(attempts=3, surprises=2)
        return Binder("test", step, 1, around, policy, sleep=nothing, chance=lambda: 0.0)

    async def live(self) -> None:
        disk, binder = self.disk, self.binder()
        while disk.committed < len(disk.records):
            batch = disk.records[disk.committed : disk.committed + self.batch_size]

            def acknowledge(_done: list[DeadlineRow], until: int = batch[-1].offset + 1) -> None:
                assert {str(record.offset) for record in disk.records[:until]} <= set(disk.published)
                disk.committed = until

            await binder.bind(batch, acknowledge)


async def nothing(*_: object) -> None:
    await asyncio.sleep(0)


def cut() -> None:
    raise PowerCut


ERRORS = st.sampled_from(
    [None, RetryError(), OutageError(), DeadLetterError("bad"), ValueError(), KeyError()]
)
POINTS = st.sampled_from(["after-effect", "after-publish", "before-acknowledge"])


@given(
    keys=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    poison=st.sets(st.integers(0, 11), max_size=2),
    errors=st.dictionaries(st.integers(0, 11), st.lists(ERRORS, max_size=6), max_size=6),
    unconfirmed=st.lists(st.booleans(), max_size=5),
    cuts=st.lists(st.tuples(POINTS, st.integers(1, 6)), max_size=4),
    batch_size=st.integers(1, 12),
)
def test_every_input_is_resolved_whatever_fails_and_wherever_it_dies(
    keys: list[int],
    poison: set[int],
    errors: dict[int, list[Exception | None]],
    unconfirmed: list[bool],
    cuts: list[tuple[str, int]],
    batch_size: int,
) -> None:
    records = [
        Record("a", 0, n, study(key).encode(), b"poison" if n in poison else f"{key}/{n}".encode(), (), 0)
        for n, key in enumerate(keys)
    ]
    disk = Disk(records)
    failures = Failures({str(n): list(each) for n, each in errors.items()}, unconfirmed)
    with TemporaryDirectory() as folder:
        faults.configure(Path(folder), "test", cut)
        try:
            for point, count in [*cuts, ("", 0)]:
                (Path(folder) / "test").write_text(f"{point} {count}")
                try:
                    asyncio.run(Process(disk, failures, batch_size).live())
                except PowerCut:
                    continue
        finally:
            faults.disarm()
    assert disk.committed == len(records)
    assert set(disk.published) == {str(n) for n in range(len(records))}
    for key in set(keys):
        first_seen = list(dict.fromkeys(event_id for seen, event_id in disk.effects if seen == key))
        assert first_seen == sorted(first_seen, key=int)
