"""Runs a step on the log port without a stream engine: poll, bind, commit, and deadlines in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from runtime import receiving
from runtime.connections import Connections
from runtime.errors import RetryError
from runtime.outcomes import Policy
from runtime.ports import Consumer, Partition, Record
from runtime.process import Stop
from schemas.rows import DeadlineRow
from stream_processors.context import Inference
from stream_processors.inputs import Input
from stream_processors.running import POLL_S, Bound, batches, bound, until_asked
from stream_processors.step import Step


@dataclass
class _Runner:
    """One step on one log."""

    bound: Bound
    consumer: Consumer

    async def turn(self) -> None:
        """Take what is there, urgent topics first, and resolve it."""
        try:
            records = await asyncio.to_thread(self.consumer.poll, self.bound.batch_records, POLL_S)
        except RetryError:
            await asyncio.sleep(POLL_S)
            return
        owned = self.consumer.assignment()
        due = await self.bound.due(owned)
        self._tell(owned)
        self.bound.tell(records)
        for batch in batches(records, due, self.bound.step.reads):
            await self.bound.binder.bind(batch, partial(self._acknowledge, batch))
        self.bound.measure(owned)

    def _acknowledge(self, batch: Sequence[Input], done: list[DeadlineRow]) -> None:
        for row in done:
            self.bound.deadlines.delete(row)
        offsets = receiving.next_offsets(each for each in batch if isinstance(each, Record))
        if offsets:
            self.consumer.commit(offsets)

    def _tell(self, owned: frozenset[Partition]) -> None:
        presence = self.bound.connections.presence
        if owned:
            presence.ready()
        else:
            presence.not_ready("no partitions: other processes of this group own them all")


async def run(
    name: str,
    step: Step,
    connections: Connections,
    stop: Stop,
    *,
    inference: Inference | None = None,
    policy: Policy | None = None,
) -> None:
    """Run a step until it is asked to stop.

    Raises
    ------
    StopError
        A topic is missing, or a partition was lost to another owner: the process ends and starts anew.
    """
    with bound(name, step, connections, inference, policy) as ready:
        consumer = connections.log.consumer(name, step.reads, connections.member)
        try:
            await until_asked(_Runner(ready, consumer), stop)
        finally:
            await asyncio.to_thread(consumer.close)
