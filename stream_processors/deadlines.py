"""Timers of a step: rows that become inputs when they are due, on whichever process owns their partition.

Written and deleted with the deadline's own time, so that a redelivered cause cannot bring back one that was done with: at equal
times a deletion wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from runtime.clock import Clock
from runtime.ports import Tables
from schemas.rows import DeadlineRow
from stream_processors.inputs import DueInput, deadline_key

LOOK_S = 1.0
"""Seconds after which a shard is looked at even if nothing is known to be due: another process may have written to it."""
AT_ONCE = 256
"""Deadlines taken from a shard at once; the next look takes the next."""
NEVER = 2**63 - 1
"""UTC microseconds that no clock reaches."""


class Deadlines:
    """The deadlines of one step, seen from one process.

    Parameters
    ----------
    tables
        Where they stand.
    consumer
        Name of the step.
    clock
        What is due is due by this clock.
    """

    def __init__(self, tables: Tables, consumer: str, clock: Clock) -> None:
        self._tables = tables
        self._consumer = consumer
        self._clock = clock
        self._next: dict[int, int] = {}
        self._looked: dict[int, float] = {}

    def write(self, row: DeadlineRow) -> None:
        """Write a deadline (blocking)."""
        self._tables.write(row, at=row.due_at)
        self._next[row.shard] = min(row.due_at, self._next.get(row.shard, NEVER))

    def delete(self, row: DeadlineRow) -> None:
        """Acknowledge a deadline (blocking)."""
        self._tables.delete(DeadlineRow, at=row.due_at, **deadline_key(row))

    def due(self, shards: Iterable[int]) -> list[DueInput]:
        """Return what is due on these shards, earliest first (blocking)."""
        found = [row for shard in shards if self._worth_a_look(shard) for row in self._look(shard)]
        return [DueInput(row) for row in sorted(found, key=lambda row: row.due_at)]

    def _worth_a_look(self, shard: int) -> bool:
        known = self._clock.now() >= self._next.get(shard, NEVER)
        return known or self._clock.monotonic() - self._looked.get(shard, float("-inf")) >= LOOK_S

    def _look(self, shard: int) -> list[DeadlineRow]:
        now = self._clock.now()
        self._looked[shard] = self._clock.monotonic()
        select = partial(self._tables.select, DeadlineRow, consumer=self._consumer, shard=shard)
        rows = select(limit=AT_ONCE)
        self._next[shard] = next((row.due_at for row in rows if row.due_at > now), NEVER)
        due = [row for row in rows if row.due_at <= now]
        if len(due) == AT_ONCE:
            self._next[shard] = now
        return due
