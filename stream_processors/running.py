"""What every engine does alike with a step: set it up, go turn by turn, split batches, say how far behind it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from runtime import receiving
from runtime.audit import AUDIT_TOPIC
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.errors import RetryError
from runtime.outcomes import Policy
from runtime.ports import Partition, Record
from runtime.prepare import require_topics
from runtime.process import Stop
from schemas.events import Event
from schemas.topics import dead_letter_topic
from stream_processors.binding import Binder, Surroundings
from stream_processors.context import Inference, Workbench, workbench
from stream_processors.deadlines import Deadlines
from stream_processors.inputs import DueInput, Input
from stream_processors.step import Step

MAX_RECORDS = 256
"""Records of one batch: enough to make one confirmation per batch cheap."""
MAX_RECORDS_INFERRING = 16
"""Records of one batch of a step that infers: an urgent one waits for at most one batch of others."""
POLL_S = 0.2
"""Seconds that an idle poll waits: how late a deadline can be."""
LAG_S = 2.0
"""Seconds between two looks at the lag."""
DRAIN_S = 8.0
"""Seconds that the batch in work gets when the process is asked to end: less than the process itself gets."""


@dataclass
class Bound:
    """A step that is ready to take batches, whichever engine brings them.

    Parameters
    ----------
    name, step, connections
        What runs, and with what.
    binder
        Resolves batches.
    deadlines
        Its timers.
    """

    name: str
    step: Step
    connections: Connections
    binder: Binder
    deadlines: Deadlines
    measured_at: float = field(default=float("-inf"))
    measuring: asyncio.Future[None] | None = None

    @property
    def batch_records(self) -> int:
        """Records of one batch at the most."""
        return MAX_RECORDS_INFERRING if self.step.uses_inference else MAX_RECORDS

    async def due(self, owned: frozenset[Partition]) -> list[DueInput]:
        """Deadlines that are due on the partitions of the first topic: whoever owns a key there has its deadlines.

        None where the step sets none, or while the tables do not answer.
        """
        if not self.step.sets_deadlines:
            return []
        shards = sorted(number for topic, number in owned if topic == self.step.reads[0])
        try:
            return await asyncio.to_thread(self.deadlines.due, shards)
        except RetryError:
            return []

    def tell(self, records: Sequence[Record]) -> None:
        """Say how old the oldest of these records is."""
        now = self.connections.clock.now()
        oldest = min((record.timestamp for record in records), default=now)
        self.connections.metrics.set("radstream_lag_seconds", max(now - oldest, 0) / MICROSECONDS)

    def measure(self, owned: frozenset[Partition]) -> None:
        """Find out every now and then, beside the work, how many records are left: a log that is away answers late."""
        if time.monotonic() - self.measured_at < LAG_S or (self.measuring and not self.measuring.done()):
            return
        self.measured_at = time.monotonic()
        self.measuring = asyncio.ensure_future(self._measure(owned))

    async def _measure(self, owned: frozenset[Partition]) -> None:
        try:
            behind = await asyncio.to_thread(lag, self.connections, self.name, owned)
        except RetryError:
            return
        self.connections.metrics.set("radstream_lag_events", behind)


@contextmanager
def bound(
    name: str, step: Step, connections: Connections, inference: Inference | None, policy: Policy | None
) -> Iterator[Bound]:
    """Set a step up, and let go of it at the end.

    Raises
    ------
    StopError
        A topic is missing.
    """
    require_topics(connections, (*step.reads, *step.emits, dead_letter_topic(name), AUDIT_TOPIC))
    bench = workbench(connections, inference)
    deadlines = Deadlines(connections.tables, name, connections.clock)
    around = surroundings(connections, name, bench, deadlines)
    partitions = connections.log.topics()[step.reads[0]]
    try:
        yield Bound(
            name, step, connections, Binder(name, step, partitions, around, policy or Policy()), deadlines
        )
    finally:
        bench.close()


class Runner(Protocol):
    """What takes a step forward."""

    async def turn(self) -> None:
        """Take what is there and resolve it."""
        ...


async def until_asked(runner: Runner, stop: Stop) -> None:
    """Turn after turn; the one in work when asked to stop may end, or is given back undone."""
    asked = asyncio.ensure_future(stop.wait())
    try:
        while not stop.requested:
            turn = asyncio.ensure_future(runner.turn())
            await asyncio.wait({turn, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                await asyncio.wait({turn}, timeout=DRAIN_S)
            if not turn.done():
                turn.cancel()
                await asyncio.wait({turn})
                return
            turn.result()
    finally:
        asked.cancel()


def surroundings(connections: Connections, name: str, bench: Workbench, deadlines: Deadlines) -> Surroundings:
    """What the binder reaches for, out of a process's connections."""

    def dead_letter(record: Record, site: str, error: BaseException, attempts: int) -> tuple[str, Event]:
        return connections.dead_letters.stored(
            record, consumer=name, error=error, attempts=attempts, site=site
        )

    async def probe() -> None:
        await asyncio.to_thread(receiving.probe, connections)
        if bench.inference is not None:
            await bench.inference.probe()

    return Surroundings(
        decode=partial(receiving.understood, connections),
        publish=connections.publisher.publish,
        dead_letter=dead_letter,
        write_deadline=deadlines.write,
        context_for=bench.context_for,
        probe=probe,
        metrics=connections.metrics,
    )


def batches(records: Sequence[Record], due: Sequence[DueInput], reads: Sequence[str]) -> list[list[Input]]:
    """Split what came by topic, in the order of `reads`, which is that of urgency; deadlines go with the first.

    Each batch is acknowledged by itself, so that what an urgent record leads to waits for no other.
    """
    by_topic: list[list[Input]] = [[each for each in records if each.topic == topic] for topic in reads]
    found = [batch for batch in by_topic if batch]
    if due:
        found = [[*(found[0] if found else ()), *due], *found[1:]]
    return found


def lag(connections: Connections, group: str, owned: frozenset[Partition]) -> int:
    """Records of these partitions behind the group's committed offsets (blocking)."""
    log = connections.log
    ends = {topic: log.end_offsets(topic) for topic in {topic for topic, _ in owned}}
    return sum(
        ends[topic].get(part, 0) - offset for (topic, part), offset in log.committed(group, owned).items()
    )
