"""What a run left, read raw: embedded engines through their ports, a cluster with clients that are none of the product's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from cassandra import DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import ExponentialReconnectionPolicy
from cassandra.query import dict_factory
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from runtime.connections import Connections
from runtime.kafka_consumer import received
from runtime.ports import Record
from runtime.settings import ClusterSettings
from schemas.rows import DeadlineRow
from schemas.tables import Row
from tests.support.processes import WAIT_S

R = TypeVar("R", bound=Row)
T = TypeVar("T")

PAGE = 1000
"""Records or rows read at once."""
ANSWER_S = 60.0
"""seconds for one answer of an engine; one that is away is asked again."""


class Raw(Protocol):
    """A reader of one run."""

    def records(self, topic: str) -> list[Record]:
        """Every record of a topic, repetitions included, partition by partition."""
        ...

    def uncommitted(self, group: str, topics: Sequence[str]) -> int:
        """Records of the topics that a group has not acknowledged."""
        ...

    def rows(self, row_type: type[R], **prefix: Any) -> list[R]:
        """Every row of a table's partition."""
        ...

    def deadlines(self, consumer: str) -> list[DeadlineRow]:
        """Deadlines of a step that are not acknowledged."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


class EmbeddedRaw:
    """Reads the embedded engines: their ports are all there is to read them by.

    Parameters
    ----------
    connections
        Gives them.
    """

    def __init__(self, connections: Connections) -> None:
        self._log, self._tables = connections.log, connections.tables

    def records(self, topic: str) -> list[Record]:
        """Every record of a topic."""
        found: list[Record] = []
        for partition, end in self._log.end_offsets(topic).items():
            start = 0
            while start < end and (page := self._log.read(topic, partition, start, PAGE)):
                found += page
                start = page[-1].offset + 1
        return found

    def uncommitted(self, group: str, topics: Sequence[str]) -> int:
        """Records that a group has not acknowledged."""
        count = 0
        for topic in topics:
            ends = {(topic, number): end for number, end in self._log.end_offsets(topic).items()}
            count += sum(ends.values()) - sum(self._log.committed(group, ends).values())
        return count

    def rows(self, row_type: type[R], **prefix: Any) -> list[R]:
        """Every row of a table's partition."""
        rows = self._tables.select(row_type, limit=100 * PAGE, **prefix)
        assert len(rows) < 100 * PAGE
        return rows

    def deadlines(self, consumer: str) -> list[DeadlineRow]:
        """Deadlines of a step."""
        shards = range(max(self._log.topics().values()))
        return [
            row
            for shard in shards
            for row in self._tables.select(DeadlineRow, consumer=consumer, shard=shard)
        ]

    def close(self) -> None:
        """Keep them open: they are the run's own."""


class _Visitors(threading.local):
    """A thread's own consumers, one for each group that it asked about: none of them is closed under another's question.

    Parameters
    ----------
    of_all
        Gets those of each thread: librdkafka can wait for ever for one that is only collected.
    """

    def __init__(self, of_all: list[dict[str, Consumer]]) -> None:
        self.of_groups: dict[str, Consumer] = {}
        of_all.append(self.of_groups)


class ClusterRaw:
    """Reads a cluster by a plain consumer, by plain admin calls and by CQL. An engine that is away is waited for.

    Parameters
    ----------
    settings
        Where the engines are.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._bootstrap: dict[str, Any] = {"bootstrap.servers": settings.kafka.bootstrap, "log_level": 2}
        self._admin = AdminClient(self._bootstrap)
        self._of_all_threads: list[dict[str, Consumer]] = []
        self._visitors = _Visitors(self._of_all_threads)
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._partitions: dict[str, int] = {}

    def records(self, topic: str) -> list[Record]:
        """Every record of a topic, all partitions at once."""
        return self._patiently(lambda: self._read(topic))

    def uncommitted(self, group: str, topics: Sequence[str]) -> int:
        """Records that a group has not acknowledged, by two requests."""
        return sum(self.behind(group, topics).values())

    def behind(self, group: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """Records that a group has not acknowledged, by partition."""
        return self._patiently(lambda: self._behind(group, self._parts(topics)))

    def acknowledged(self, group: str, topics: Sequence[str]) -> int:
        """Records that a group has acknowledged."""

        return self._patiently(lambda: sum(self._done(group, self._parts(topics)).values()))

    def owners(self, group: str) -> dict[tuple[str, int], str]:
        """Who reads each partition of a group, by its client's name."""

        def ask() -> dict[tuple[str, int], str]:
            told = self._admin.describe_consumer_groups([group])[group].result(ANSWER_S)
            return {
                (part.topic, part.partition): member.client_id
                for member in told.members
                if member.assignment is not None
                for part in member.assignment.topic_partitions
            }

        return self._patiently(ask)

    def rows(self, row_type: type[R], **prefix: Any) -> list[R]:
        """Every row of a table's partition; of the whole table where no partition is named."""
        make: Any = row_type
        return [make(**row) for row in self.query(row_type.TABLE.name, **prefix)]

    def query(self, table: str, **prefix: Any) -> list[dict[str, Any]]:
        """Rows of a table as they stand."""
        where = " AND ".join(f'"{name}" = %s' for name in prefix)
        text = f'SELECT * FROM "{self._settings.cassandra.keyspace}"."{table}"'
        statement = f"{text} WHERE {where}" if where else text
        return patiently(lambda: list(self._connected().execute(statement, tuple(prefix.values()))))

    def tables(self) -> list[str]:
        """Names of all tables."""
        keyspace = self._settings.cassandra.keyspace
        asked = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s"
        found = patiently(lambda: list(self._connected().execute(asked, (keyspace,))))
        return sorted(row["table_name"] for row in found)

    def deadlines(self, consumer: str) -> list[DeadlineRow]:
        """Deadlines of a step."""
        return [row for row in self.rows(DeadlineRow) if row.consumer == consumer]

    def close(self) -> None:
        """Give the connections back, once no thread asks any more."""
        for visitors in self._of_all_threads:
            _dismiss(visitors)
        if self._cluster is not None:
            self._cluster.shutdown()

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask Kafka until it answers; a client that has seen a broker die is refused by the next one for ever."""

        def asked() -> T:
            try:
                return ask()
            except (KafkaException, TimeoutError):
                self._admin = AdminClient(self._bootstrap)
                _dismiss(self._visitors.of_groups)
                raise

        return patiently(asked)

    def _parts(self, topics: Sequence[str]) -> list[TopicPartition]:
        for topic in topics:
            if topic not in self._partitions:
                found = self._patiently(lambda: self._admin.list_topics(timeout=ANSWER_S).topics)
                self._partitions = {name: len(each.partitions) for name, each in found.items()}
        return [
            TopicPartition(topic, number) for topic in topics for number in range(self._partitions[topic])
        ]

    def _behind(self, group: str, parts: list[TopicPartition]) -> dict[tuple[str, int], int]:
        latest: Any = OffsetSpec.latest()
        asked = self._admin.list_offsets(dict.fromkeys(parts, latest), request_timeout=ANSWER_S)
        ends = {
            (part.topic, part.partition): future.result(ANSWER_S).offset for part, future in asked.items()
        }
        done = self._done(group, parts)
        return {where: end - done[where] for where, end in ends.items()}

    def _done(self, group: str, parts: list[TopicPartition]) -> dict[tuple[str, int], int]:
        """What a group has committed, asked as a consumer that never joins: the admin's call for it ends the process (#5315)."""
        there = self._visitors.of_groups
        if group not in there:
            there[group] = Consumer({**self._bootstrap, "group.id": group, "enable.auto.commit": False})
        found = there[group].committed(parts, ANSWER_S)
        for part in found:
            if part.error is not None:
                raise KafkaException(part.error)
        return {(part.topic, part.partition): max(part.offset, 0) for part in found}

    def _read(self, topic: str) -> list[Record]:
        reader = Consumer(
            {
                **self._bootstrap,
                "group.id": "plain-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            return _all_of(reader, self._parts([topic]))
        finally:
            reader.close()

    def _connected(self) -> Session:
        if self._session is None:
            self._cluster = _cluster(self._settings)
            self._session = self._cluster.connect()
        return self._session


def _dismiss(visitors: dict[str, Consumer]) -> None:
    while visitors:
        visitors.popitem()[1].close()


def _all_of(reader: Consumer, parts: list[TopicPartition]) -> list[Record]:
    """Read partitions from their beginning to their end as it is now."""
    for part in parts:
        part.offset = 0
    reader.assign(parts)
    found: dict[int, list[Record]] = {part.partition: [] for part in parts}
    ended: set[int] = set()
    while ended != set(found):
        message = reader.poll(ANSWER_S)
        if message is None:
            raise TimeoutError
        number, error = message.partition() or 0, message.error()
        if error is None:
            found[number].append(received(message))
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(number)
        else:
            raise KafkaException(error)
    return [record for records in found.values() for record in records]


def _cluster(settings: ClusterSettings) -> Cluster:
    cassandra = settings.cassandra
    login = [reference.read().decode().strip() for reference in (cassandra.user, cassandra.password)]
    profile = ExecutionProfile(request_timeout=ANSWER_S, row_factory=dict_factory)
    return Cluster(
        cassandra.contact_points,
        port=cassandra.port,
        protocol_version=5,
        auth_provider=PlainTextAuthProvider(*login),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ExponentialReconnectionPolicy(0.5, 2.0, max_attempts=None),
    )


def administer(bootstrap: str, ask: Callable[[AdminClient], Mapping[Any, Future[T]]]) -> list[T]:
    """Have Kafka do something; a new client asks each time, since an old one may have lost the broker for good."""

    def once() -> list[T]:
        client = AdminClient(
            {"bootstrap.servers": bootstrap}
        )  # held until it has answered: it takes its questions with it
        return [future.result(ANSWER_S) for future in ask(client).values()]

    return patiently(once)


def patiently(ask: Callable[[], T]) -> T:
    """Ask until there is an answer; AssertionError when an engine stays away."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return ask()
        except (KafkaException, DriverException, NoHostAvailable, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise AssertionError("an engine stays away") from error
            time.sleep(0.2)
