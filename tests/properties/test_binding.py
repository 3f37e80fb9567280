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
from runtime.ports import Record
from schemas.codec import UndecodableError
from schemas.events import Event, InstanceReceived
from schemas.rows import DeadlineRow
from stream_processors.binding import Addressed, Binder, Surroundings
from stream_processors.inputs import Origin
from stream_processors.outcomes import Policy
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


def life(disk: Disk, failures: Failures, batch_size: int) -> None:
    """One process: it goes on from the committed offset until all is done or it dies."""

    def decode(value: bytes | None) -> Event:
        text = (value or b"").decode()
        if text.endswith("poison"):
            raise UndecodableError("corrupt")
        number, _, event_id = text.partition("/")
        return received(int(number), event_id)

    def publish(outputs: Sequence[Addressed]) -> None:
        confirmed = not (failures.of_publications and failures.of_publications.pop())
        told = [event if isinstance(event, str) else event.envelope.event_id for _, event in outputs]
        disk.published += told if confirmed else told[: len(told) // 2]
        if not confirmed:
            raise RetryError

    def dead_letter(record: Record, _site: str, _error: BaseException, _attempts: int) -> Addressed:
        return "dead", f"{record.offset}"  # type: ignore[return-value]

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        event_id = event.envelope.event_id
        disk.effects.append((int(event.envelope.study[3:], 16), event_id))
        yield event
        left = failures.of_events.get(event_id, [])
        error = left.pop() if left else None
        if error is not None:
            raise error

    async def nothing(*_: object) -> None:
        await asyncio.sleep(0)

    def context_for(_origin: Origin) -> Any:
        return _Context()

    around = Surroundings(
        decode=decode,
        publish=publish,
        dead_letter=dead_letter,
        write_deadline=lambda row: None,
        context_for=context_for,
        probe=nothing,
        metrics=Metrics("test"),
    )
    step = Step(summary="", reads=("a",), emits=(OUT,), run=run)
    binder = Binder(
        "test", step, 1, around, Policy(attempts=3, surprises=2), sleep=nothing, chance=lambda: 0.0
    )

    async def work() -> None:
        while disk.committed < len(disk.records):
            batch = disk.records[disk.committed : disk.committed + batch_size]

            def acknowledge(_done: list[DeadlineRow], until: int = batch[-1].offset + 1) -> None:
                resolved = set(disk.published)
                assert {str(record.offset) for record in disk.records[:until]} <= resolved
                disk.committed = until

            await binder.bind(batch, acknowledge)

    asyncio.run(work())


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
                    life(disk, failures, batch_size)
                except PowerCut:
                    continue
        finally:
            faults.disarm()
    assert disk.committed == len(records)
    assert set(disk.published) == {str(n) for n in range(len(records))}
    for key in set(keys):
        first_seen = list(dict.fromkeys(event_id for seen, event_id in disk.effects if seen == key))
        assert first_seen == sorted(first_seen, key=int)
