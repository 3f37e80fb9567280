"""Reads the partitions that a member of a group owns."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.embedded.database import Database
from runtime.embedded.groups import LEASE_S, Groups, Owned, Standing
from runtime.embedded.records import SELECT_RECORDS, first_id, record
from runtime.errors import RetryError
from runtime.ports import Partition, Record

RENEWAL_S = LEASE_S / 5
"""Seconds between renewals: four may fail before the lease is lost."""
LOOK_S = 0.2
"""Seconds between looks at the group: how long a dead owner's partitions lie idle."""
HAND_OVER_S = 10.0
"""Seconds that a partition due to another member waits for the commit of what was delivered; Kafka waits for the next poll."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.03
"""Seconds between looks for records: short after the last one came, long when idle, so that idle processes cost nothing."""
MAX_POLL_BYTES = 50 * 1_048_576
"""Bytes that one poll returns at most, give or take a record; Kafka's `fetch.max.bytes`."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What tests switch on."""

    redeliver: bool
    cuts: random.Random | None


@dataclass(slots=True)
class _Cursor:
    """Where the reading of one owned partition stands."""

    identifier: int
    """Id of the partition in the log's file."""
    generation: int
    position: int
    """Offset to deliver next."""
    delivered: int
    """Offset after the last one delivered at least once."""
    settled: int
    """Offset up to which commits count: all that was delivered, or that was delivered twice where faults redeliver."""
    committed: int
    leaving_since: float | None = None
    """When another member's claim to the partition was seen (monotonic seconds)."""


class EmbeddedConsumer:
    """A member of a consumer group; `EmbeddedLog.consumer` makes it."""

    def __init__(
        self,
        database: Database,
        groups: Groups,
        name: tuple[str, str],
        partitions: Sequence[Partition],
        faults: Faults,
    ) -> None:
        self._database = database
        self._groups = groups
        self._group, self._member = name
        self._partitions = partitions
        self._faults = faults
        self._cursors: dict[Partition, _Cursor] = {}
        self._handed: dict[Partition, int] = {}
        """Committed offset of partitions handed over, so that repeating that commit is no error."""
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._seen_version = -1
        self._turn = 0
        found = database.rows("SELECT topic, number, id FROM partitions")
        self._identifiers = {(topic, number): identifier for topic, number, identifier in found}
        self._incarnation = groups.join(self._group, self._member, partitions)
        self._closed = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name=f"lease of {self._group}", daemon=True)
        self._renewing.start()

    def assignment(self) -> frozenset[Partition]:
        """Partitions owned since the last poll."""
        with self._lock:
            return frozenset(self._cursors)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records, waiting up to `timeout_s` seconds for the first.

        Raises
        ------
        StopError
            Another process runs under this member's name.
        """
        deadline = time.monotonic() + timeout_s
        pause = SHORTEST_PAUSE_S
        while True:
            with self._lock:
                self._look()
                records = self._read(max_records)
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            self._closed.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Record the next offset of each partition.

        Raises
        ------
        StopError
            A partition has another owner now; nothing is recorded.
        """
        with self._lock:
            held = {part: cursor.generation for part, cursor in self._cursors.items()}
            settled = {
                part: self._settled(part, offset)
                for part, offset in offsets.items()
                if offset > self._handed.get(part, -1)
            }
            self._groups.commit(self._group, self._member, held, settled)
            for part, offset in settled.items():
                self._cursors[part].committed = max(self._cursors[part].committed, offset)

    def close(self) -> None:
        """Leave the group; harmless the second time."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._renewing.join()
        with self._lock:
            self._cursors.clear()
            self._groups.leave(self._group, self._member, self._incarnation)
            self._groups.close()
            self._database.close()

    def _settled(self, partition: Partition, offset: int) -> int:
        """Offset that a commit may record: faults hold back what was delivered once only."""
        cursor = self._cursors.get(partition)
        return min(offset, cursor.settled) if cursor and self._faults.redeliver else offset

    def _renew(self) -> None:
        """Keep the lease while the process runs, also while it is busy with a batch."""
        while not self._closed.wait(RENEWAL_S):
            try:
                self._groups.renew(self._group, self._member, self._incarnation)
            except RetryError:
                continue

    def _look(self) -> None:
        """Look at the group if it is time, and follow what changed."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S and not any(c.leaving_since for c in self._cursors.values()):
            return
        held = {part: cursor.generation for part, cursor in self._cursors.items()}
        standing = self._groups.stand(self._group, self._member, self._incarnation, self._partitions, held)
        self._looked_at = now
        self._follow(standing, now)

    def _follow(self, standing: Standing, now: float) -> None:
        """Take up what was gained, forget what was lost, hand over what is due to others and has nothing in flight."""
        for part in self._cursors.keys() - standing.owned.keys():
            del self._cursors[part]
        for part, owned in standing.gained.items():
            self._cursors[part] = self._cursor(part, owned)
            self._handed.pop(part, None)
            self._seen_version = -1
        handed: dict[Partition, int] = {}
        for part, cursor in self._cursors.items():
            if part not in standing.surplus:
                if cursor.leaving_since:
                    cursor.leaving_since = None
                    self._seen_version = -1
                continue
            cursor.leaving_since = cursor.leaving_since or now
            if cursor.committed >= cursor.delivered or now - cursor.leaving_since > HAND_OVER_S:
                handed[part] = cursor.generation
        if handed:
            self._groups.release(self._group, self._member, handed)
            for part in handed:
                self._handed[part] = self._cursors.pop(part).committed

    def _cursor(self, partition: Partition, owned: Owned) -> _Cursor:
        start = owned.start
        return _Cursor(self._identifiers[partition], owned.generation, start, start, start, start)

    def _read(self, max_records: int) -> list[Record]:
        """Read what is there, a different partition first each time, so that a busy one starves none."""
        version = self._database.version()
        if version == self._seen_version or max_records < 1:
            return []
        limit = self._cut(max_records)
        ends = dict(self._database.rows("SELECT id, next_offset FROM partitions"))
        order = sorted(self._cursors)
        self._turn += 1
        turn = self._turn % max(len(order), 1)
        records: list[Record] = []
        room = MAX_POLL_BYTES
        for part in order[turn:] + order[:turn]:
            cursor = self._cursors[part]
            if cursor.position < ends[cursor.identifier] and len(records) < limit and room > 0:
                found = self._read_partition(part, cursor, limit - len(records), room)
                room -= sum(len(one.value or b"") for one in found)
                records += found
        if not records:
            self._seen_version = version
        return records

    def _read_partition(self, partition: Partition, cursor: _Cursor, limit: int, room: int) -> list[Record]:
        """Read one partition from its cursor, and move the cursor."""
        again = cursor.position < cursor.delivered
        if cursor.leaving_since and not again:
            return []
        first = first_id(cursor.identifier)
        last = first + cursor.delivered if again else first_id(cursor.identifier + 1)
        rows = self._database.rows(SELECT_RECORDS, (first + cursor.position, last, limit))
        records = []
        for row in rows:
            records.append(record(partition, row))
            room -= len(row[2] or b"")
            if room <= 0:
                break
        if records:
            self._advance(cursor, records[-1].offset + 1, again=again)
        elif again:  # Retention has removed them between their two deliveries.
            self._advance(cursor, cursor.delivered, again=True)
        return records

    def _advance(self, cursor: _Cursor, end: int, *, again: bool) -> None:
        """Note a delivery up to `end`. Where faults redeliver, the first one is rewound to where it began."""
        cursor.delivered = max(cursor.delivered, end)
        if self._faults.redeliver and not again:
            return
        cursor.position = end
        cursor.settled = end

    def _cut(self, max_records: int) -> int:
        """Size of the next batch."""
        cuts = self._faults.cuts
        return max_records if cuts is None else cuts.randint(1, cuts.choice((2, max_records, max_records)))
