"""The log on SQLite: numbered partitions, one owner each, committed offsets; at least once, as Kafka.

Records live in `log.db`, groups in `groups.db`, so that a renewed lease wakes nobody who waits for records.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runtime.clock import SystemClock
from runtime.embedded.consumer import EmbeddedConsumer, Faults
from runtime.embedded.database import Database
from runtime.embedded.groups import Groups
from runtime.embedded.records import SELECT_RECORDS, first_id, pack_headers, record
from runtime.errors import DeadLetterError, StopError
from runtime.ports import MAX_RECORD_BYTES, OutgoingRecord, Partition, Record
from schemas.partitioning import partition_of

_TRIM_RECORDS = 1000
"""Records deleted in one transaction while trimming, so that writers wait for milliseconds only."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS partitions (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, number INTEGER NOT NULL, next_offset INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number));
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB, headers BLOB NOT NULL, timestamp INTEGER NOT NULL)
"""
"""`records.id` is partition and offset in one number (`records.first_id`): one tree, and a read is a range of it."""


class EmbeddedLog:
    """The log port on SQLite.

    Parameters
    ----------
    folder
        Where the two files lie.
    redeliver
        Deliver every record twice: the commit after the first delivery is held back, as if the process had died before it.
    cut_batches
        Cut batches at random points.
    seed
        Seed of the cuts.
    """

    def __init__(
        self, folder: Path, *, redeliver: bool = False, cut_batches: bool = False, seed: int = 0
    ) -> None:
        self._folder = folder
        self._redeliver = redeliver
        self._cut_batches = cut_batches
        self._seed = seed
        self._database = Database(folder / "log.db", _SCHEMA)
        self._groups = Groups(folder / "groups.db")

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet; an existing one keeps its number of partitions."""
        with self._database.transaction():
            there = self.topics()
            for topic, count in partitions.items():
                if count < 1:
                    raise ValueError(f"topic {topic} needs at least one partition")
                for number in range(0 if topic in there else count):
                    self._database.run(
                        "INSERT INTO partitions (topic, number) VALUES (?, ?)", (topic, number)
                    )

    def topics(self) -> dict[str, int]:
        """Every topic with its number of partitions."""
        return dict(
            self._database.rows("SELECT topic, count(*) FROM partitions GROUP BY topic ORDER BY topic")
        )

    def producer(self, name: str) -> EmbeddedProducer:  # noqa: ARG002 the port names it
        """Open a producer; the name is of no use here."""
        return EmbeddedProducer(Database(self._folder / "log.db"))

    def consumer(self, group: str, topics: Sequence[str], member: str) -> EmbeddedConsumer:
        """Join a consumer group.

        Raises
        ------
        StopError
            A topic does not exist.
        """
        counts = self.topics()
        missing = sorted(set(topics) - counts.keys())
        if missing:
            raise StopError(f"missing topics: {', '.join(missing)}")
        cuts = random.Random(f"{self._seed} {group} {member}") if self._cut_batches else None  # noqa: S311 no secret
        return EmbeddedConsumer(
            Database(self._folder / "log.db"),
            Groups(self._folder / "groups.db"),
            (group, member),
            [(topic, number) for topic in sorted(set(topics)) for number in range(counts[topic])],
            Faults(redeliver=self._redeliver, cuts=cuts),
        )

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Per partition, the offset the next record will get."""
        return dict(
            self._database.rows(
                "SELECT number, next_offset FROM partitions WHERE topic = ? ORDER BY number", (topic,)
            )
        )

    def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Per partition of those asked for, the committed offset of a group; 0 where it never committed."""
        return dict.fromkeys(partitions, 0) | {
            part: offset for part, offset in self._groups.committed(group).items() if part in partitions
        }

    def read(self, topic: str, partition: int, start: int, max_records: int) -> list[Record]:
        """Read records outside any group; what retention has removed is passed over."""
        found = self._database.row(
            "SELECT id FROM partitions WHERE topic = ? AND number = ?", (topic, partition)
        )
        if found is None:
            raise StopError(f"missing partition: {topic}[{partition}]")
        rows = self._database.rows(
            SELECT_RECORDS,
            (first_id(found[0]) + max(start, 0), first_id(found[0] + 1), max_records),
        )
        return [record((topic, partition), row) for row in rows]

    def trim(self, before: Mapping[str, int]) -> int:
        """Remove, from the old end of every partition, what the log took before a time; offsets never start again.

        Parameters
        ----------
        before
            Per topic, UTC microseconds.

        Returns
        -------
        int
            Number of records removed.
        """
        removed = 0
        for topic, moment in before.items():
            for (partition,) in self._database.rows("SELECT id FROM partitions WHERE topic = ?", (topic,)):
                while count := self._trim_some(partition, moment):
                    removed += count
        return removed

    def _trim_some(self, partition: int, moment: int) -> int:
        """Remove the oldest records of a partition, at most `_TRIM_RECORDS`."""
        with self._database.transaction():
            oldest = self._database.rows(
                "SELECT id, timestamp FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                (first_id(partition), first_id(partition + 1), _TRIM_RECORDS),
            )
            kept = next((index for index, (_, taken) in enumerate(oldest) if taken >= moment), len(oldest))
            if not kept:
                return 0
            return self._database.run(
                "DELETE FROM records WHERE id >= ? AND id <= ?", (first_id(partition), oldest[kept - 1][0])
            )

    def close(self) -> None:
        """Give the files back; producers and consumers have their own."""
        self._database.close()
        self._groups.close()


class EmbeddedProducer:
    """Writes records, all of a call in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write all records, or none; committed on return.

        Raises
        ------
        RetryError
            The file is busy or the disk full.
        DeadLetterError
            `record-too-large` or `unknown-topic`; nothing is written.
        """
        packed = [(outgoing, pack_headers(outgoing.headers)) for outgoing in records]
        for outgoing, headers in packed:
            if len(outgoing.key) + len(outgoing.value or b"") + len(headers) > MAX_RECORD_BYTES:
                raise DeadLetterError("record-too-large")
        if not packed:
            return
        self._learn({outgoing.topic for outgoing in records})
        now = SystemClock().now()
        with self._database.transaction():
            for outgoing, headers in packed:
                number = partition_of(outgoing.key, self._counts[outgoing.topic])
                self._append(outgoing, number, headers, now)

    def _learn(self, topics: set[str]) -> None:
        """Know the number of partitions of each topic; it never changes."""
        with self._lock:
            if not topics <= self._counts.keys():
                self._counts = dict(
                    self._database.rows("SELECT topic, count(*) FROM partitions GROUP BY topic")
                )
            if not topics <= self._counts.keys():
                raise DeadLetterError("unknown-topic")

    def _append(self, outgoing: OutgoingRecord, number: int, headers: bytes, now: int) -> None:
        """Give the record the partition's next offset and write it."""
        partition, offset = self._database.row(
            "UPDATE partitions SET next_offset = next_offset + 1 WHERE topic = ? AND number = ?"
            " RETURNING id, next_offset - 1",
            (outgoing.topic, number),
        )
        self._database.run(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            (first_id(partition) + offset, outgoing.key, outgoing.value, headers, now),
        )

    def close(self) -> None:
        """Give the file back."""
        self._database.close()
