"""What the engines must offer: log, objects, tables, registry. Kafka, S3, Cassandra and the embedded profile all do.

Rules that hold for every implementation, and that one conformance suite per port checks:

1. Calls block; asynchronous callers run them in threads. An object may be used from several threads.
2. A call that returned has happened and survives `kill -9`; a call that raised `RetryError` may or may not have happened.
3. Delivery is at least once, in order within a partition. Nothing is delivered twice after its offset was committed.
4. Nothing here logs or prints a payload.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from schemas.tables import Row

R = TypeVar("R", bound=Row)

MAX_RECORD_BYTES = 1_048_576
"""Bytes of key, value and headers of one record: what Kafka's Java client sends by default (`max.request.size`)."""

Partition = tuple[str, int]
"""Topic and partition number."""
Headers = tuple[tuple[str, bytes], ...]
"""Record headers, in order."""


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One record read from the log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers
    timestamp: int
    """UTC microseconds at which the log took it."""

    def __repr__(self) -> str:
        """Show where the record is, never what it holds."""
        return f"Record({self.topic}[{self.partition}]@{self.offset})"


@dataclass(frozen=True, slots=True, repr=False)
class OutgoingRecord:
    """One record to be written."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()

    def __repr__(self) -> str:
        """Show where the record goes, never what it holds."""
        return f"OutgoingRecord({self.topic})"


class Producer(Protocol):
    """Writes records; the partition is murmur2 of the key, as Kafka's Java client computes it."""

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write all records and return once each is confirmed.

        Raises
        ------
        RetryError
            At least one is not confirmed; sending all again is right (some may then be twice in the log).
        DeadLetterError
            A record can never be written (`record-too-large`, `unknown-topic`); none is in the log.
        """
        ...

    def close(self) -> None:
        """Give back what the producer holds."""
        ...


class Consumer(Protocol):
    """Reads the partitions it owns. A partition has one owner per group."""

    def assignment(self) -> frozenset[Partition]:
        """Partitions owned now; may change at any poll."""
        ...

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records after the last ones returned, waiting up to `timeout_s` seconds for the first.

        A new owner starts at the committed offset, or at the beginning.
        """
        ...

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Record, per partition, the next offset a new owner shall start at.

        Raises
        ------
        StopError
            A partition is not owned any more: another owner has gone on from the last commit.
        """
        ...

    def close(self) -> None:
        """Leave the group, so that others may take over at once."""
        ...


class Log(Protocol):
    """An ordered, partitioned, durable log."""

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet, each with that many partitions."""
        ...

    def topics(self) -> dict[str, int]:
        """Every topic with its number of partitions."""
        ...

    def producer(self, name: str) -> Producer:
        """Open a producer; `name` shows up in the engine's own logs."""
        ...

    def consumer(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        """Join a consumer group; `member` is unique among the processes of the group and stable across restarts."""
        ...

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Per partition, the offset the next record will get."""
        ...

    def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Per partition of those asked for, the committed offset of a group; 0 where it never committed."""
        ...

    def read(self, topic: str, partition: int, start: int, max_records: int) -> list[Record]:
        """Read records outside any group, for tracing, reconciling and tests."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object."""

    bucket: str
    key: str
    size: int


class ObjectMissingError(Exception):
    """There is no such object."""


class ObjectExistsError(Exception):
    """`if_absent` was asked for and there is one."""


class ObjectWriter(Protocol):
    """An object being written; nobody sees it before `commit`."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...

    def commit(self) -> ObjectInfo:
        """Make the object visible and durable."""
        ...

    def abort(self) -> None:
        """Forget everything written; harmless after `commit`."""
        ...


class Objects(Protocol):
    """An object store in S3's words."""

    def create_buckets(self, names: Sequence[str]) -> None:
        """Create the buckets that do not exist yet."""
        ...

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        """Store an object whole; it is visible at once and whole or not at all."""
        ...

    def open_write(self, bucket: str, key: str) -> ObjectWriter:
        """Begin an object whose length is not known yet (S3: multipart upload)."""
        ...

    def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read an object or `length` bytes of it from `start`; raises ObjectMissingError."""
        ...

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Look at an object without reading it."""
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; no error where there is none."""
        ...

    def keys(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object under a prefix, in key order."""
        ...


@dataclass(frozen=True, slots=True)
class Swap(Generic[R]):
    """Outcome of a compare-and-set."""

    applied: bool
    current: R | None
    """The row as it is now when not applied (None: there is none); the row asked for when applied."""


class Tables(Protocol):
    """Wide-column tables with Cassandra's rules.

    Plain writes carry the decision's own time in microseconds; per column the later time wins, at equal times a deletion
    wins over a value and otherwise the greater value (compared as Cassandra compares encoded bytes). Deleting a row at a
    time hides everything written to it at or before that time. Compare-and-set columns (`TableSpec.cas`) know no times.
    """

    def create(self, row_types: Sequence[type[Row]]) -> None:
        """Create the tables that do not exist yet."""
        ...

    def get(self, row_type: type[R], **key: Any) -> R | None:
        """Read one row by its whole primary key."""
        ...

    def select(
        self, row_type: type[R], *, limit: int = 1000, after: Sequence[Any] | None = None, **prefix: Any
    ) -> list[R]:
        """Read rows of one partition in clustering order.

        Parameters
        ----------
        row_type
            Class from `schemas.rows`.
        limit
            At most so many rows.
        after
            Clustering values of the last row of the page before.
        **prefix
            All partition columns and, if wanted, the first clustering columns.
        """
        ...

    def write(self, row: Row, *, at: int, columns: Sequence[str] | None = None) -> None:
        """Write plain columns of a row with the time of the decision.

        Parameters
        ----------
        row
            Its key columns say which row.
        at
            UTC microseconds.
        columns
            Columns to write, None among their values deleting; by default every column that is not None and not in `cas`.

        Raises
        ------
        ValueError
            A named column changes by compare-and-set only.
        """
        ...

    def delete(self, row_type: type[Row], *, at: int, **key: Any) -> None:
        """Delete a row as of a time (tables without compare-and-set columns)."""
        ...

    def insert_if_absent(self, row: R) -> Swap[R]:
        """Create a row with its `cas` columns unless it has any already."""
        ...

    def compare_and_set(self, row: R, *, expect: Mapping[str, Any]) -> Swap[R]:
        """Set the row's `cas` columns if the named ones have the expected values now."""
        ...


class IncompatibleSchemaError(Exception):
    """The registry refused a schema that breaks readers or writers."""


class Registry(Protocol):
    """A schema registry with FULL_TRANSITIVE compatibility; also what `schemas.codec` needs (`SchemaIds`)."""

    def register(self, subject: str, schema: str) -> int:
        """Register a schema and return its id; the same schema gives the same id. Raises IncompatibleSchemaError."""
        ...

    def schema_id(self, event_name: str) -> int:
        """Id of the newest schema of an event (its subject is `schemas.topics.subject`)."""
        ...

    def schema_text(self, schema_id: int) -> str | None:
        """Schema under an id, or None."""
        ...
