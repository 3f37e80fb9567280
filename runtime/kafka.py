"""The log port on Kafka, by librdkafka.

Three choices decide what is lost or doubled when something dies:

1. The producer is idempotent and waits for all copies in sync (`acks=all`): a record is confirmed once and keeps its place.
2. The consumer commits by hand, after the effect, for partitions it owns only; a commit that comes too late is refused.
3. A process is a static member of its group under its own name: killed and started again within the session it goes on with
   its partitions, and the others do not stop. It leaves by name when it closes, so that the others need not wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from runtime.errors import DeadLetterError, OutageError, StopError
from runtime.kafka_consumer import PAUSE_S, KafkaConsumer, received
from runtime.kafka_errors import UnsettledError, asked, decision, settled
from runtime.ports import MAX_RECORD_BYTES, OutgoingRecord, Partition, Record
from runtime.settings import KafkaSettings
from runtime.transport import kafka_client
from schemas.topics import DEAD_LETTER_RETENTION_HOURS, catalogue

T = TypeVar("T")

ANSWER_S = 10.0
"""Seconds for one question about topics or offsets."""
TRY_S = 3.0
"""Seconds for one try of a reader: one that has begun to wait for a leader does not see it come."""
LEADERS_S = 60.0
"""Seconds in which new topics must have leaders: a broker on a busy machine takes half a second for each."""
CONFIRM_MS = 30_000
"""Milliseconds in which a record must be confirmed: a broker that is killed and started again is back after 12 to 16 s."""
FRAME_BYTES = 65_536
"""Bytes that Kafka's own framing may add to the largest record of ours."""
SILENT = {"log_level": 2}
"""librdkafka writes critical lines only: without a broker it would write one every 50 ms."""


def _answered(future: Future[T]) -> T:
    try:
        return future.result(ANSWER_S + 1)
    except TimeoutError as error:
        raise OutageError("Kafka: no answer") from error


def _made(future: Future[None]) -> None:
    """Wait for a topic; another process may have made it first."""
    try:
        future.result(ANSWER_S + 1)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise decision(error.args[0]) from error
    except TimeoutError as error:
        raise OutageError("Kafka: no answer") from error


class KafkaLog:
    """The log port on a Kafka cluster.

    Parameters
    ----------
    settings
        Where the brokers are and how many copies they keep.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: dict[str, Any] = {**kafka_client(settings), **SILENT}
        self._admin = AdminClient(self._client)
        self._has_answered = False
        self._reading = threading.Lock()
        self._reader: Consumer | None = None

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet, kept as long as the catalogue says, and wait until they can be written."""
        there = self.topics()
        missing = {name: count for name, count in partitions.items() if name not in there}
        if not missing:
            return
        copies = self._settings.replication
        wanted = [NewTopic(name, count, copies, config=self._kept(name)) for name, count in missing.items()]
        for future in self._asked(
            lambda admin: admin.create_topics(wanted, operation_timeout=ANSWER_S)
        ).values():
            _made(future)
        deadline = time.monotonic() + LEADERS_S
        for name in missing:
            while not self._is_led(name):
                if time.monotonic() > deadline:
                    raise OutageError("Kafka: topics were created and have no leader yet")
                time.sleep(PAUSE_S)

    def _is_led(self, topic: str) -> bool:
        """Whether the leader of every partition answers: the cluster names leaders before they know."""
        if topic not in self.topics():
            return False
        try:
            self.end_offsets(topic)
        except OutageError:
            return False
        return True

    def _kept(self, name: str) -> dict[str, str]:
        """Settings of a topic: how long it is kept, and when a record counts as written."""
        topic = catalogue().get(name)
        hours = topic.retention_hours if topic else DEAD_LETTER_RETENTION_HOURS
        return {
            "cleanup.policy": topic.cleanup if topic else "delete",
            "retention.ms": str(hours * 3_600_000),
            "min.insync.replicas": str(self._settings.min_in_sync),
            "max.message.bytes": str(MAX_RECORD_BYTES + FRAME_BYTES),
        }

    def topics(self) -> dict[str, int]:
        """Every topic with its number of partitions, led or not; Kafka's own left out."""
        found = self._asked(lambda admin: admin.list_topics(timeout=ANSWER_S)).topics
        return {
            name: len(topic.partitions)
            for name, topic in sorted(found.items())
            if topic.partitions and not name.startswith("__")
        }

    def producer(self, name: str) -> KafkaProducer:
        """Open an idempotent producer; the name stands in the brokers' logs."""
        return KafkaProducer(self._client | {"client.id": name}, self.topics)

    def consumer(self, group: str, topics: Sequence[str], member: str) -> KafkaConsumer:
        """Join a consumer group as the static member of that name.

        Raises
        ------
        StopError
            A topic does not exist: Kafka would hand out its partitions minutes after it appears.
        """
        missing = sorted(set(topics) - self.topics().keys())
        if missing:
            raise StopError(f"missing topics: {', '.join(missing)}")
        session = {"session.timeout.ms": self._settings.session_timeout_ms}
        return KafkaConsumer(self._client | session, group, topics, member)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Per partition, the offset the next record will get."""
        wanted = {part: OffsetSpec.latest() for part in self._partitions(topic)}  # type: ignore[no-untyped-call]  # the library's
        return self._asked(lambda admin: _ends(admin, wanted))

    def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Per partition of those asked for, the committed offset of a group; 0 where it never committed.

        Asked as a consumer of the group that never joins it. The admin client, which has a call for this, ends the process with
        a segmentation fault when the answer is that the coordinator has moved (librdkafka #5315): it has no group to tell so.
        """
        if not partitions:
            return {}
        return settled(lambda: self._committed(group, partitions), lambda: None, ANSWER_S)

    def _committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        wanted = [TopicPartition(topic, number) for topic, number in partitions]
        visitor = Consumer({**self._client, "group.id": group, "enable.auto.commit": False})
        try:
            found = asked(lambda: visitor.committed(wanted, ANSWER_S))
        finally:
            visitor.close()
        for part in found:
            if part.error is not None:
                raise decision(part.error)
        return {(part.topic, part.partition): max(part.offset, 0) for part in found}

    def _asked(self, question: Callable[[AdminClient], T]) -> T:
        """Ask, if need be once more by a new client, and while leaders move as often as there is time for.

        One that has seen a broker before it was started anew goes on with the leader's old epoch and the group's old coordinator,
        and is refused for ever. One that has had no answer yet knows nothing that could be old.
        """
        try:
            return self._answer(question)
        except OutageError as error:
            if not self._has_answered and not isinstance(error, UnsettledError):
                raise
        self._renew_admin()
        return settled(lambda: self._answer(question), self._renew_admin, ANSWER_S)

    def _renew_admin(self) -> None:
        self._admin, self._has_answered = AdminClient(self._client), False

    def _answer(self, question: Callable[[AdminClient], T]) -> T:
        admin = self._admin
        answer = asked(lambda: question(admin))
        self._has_answered = True
        return answer

    def _partitions(self, topic: str) -> list[TopicPartition]:
        count = self.topics().get(topic)
        if count is None:
            raise StopError(f"missing topics: {topic}")
        return [TopicPartition(topic, number) for number in range(count)]

    def read(self, topic: str, partition: int, start: int, max_records: int) -> list[Record]:
        """Read records outside any group; what retention has removed is passed over."""
        with self._reading:
            return settled(
                lambda: self._read(TopicPartition(topic, partition), start, max_records),
                self._close_reader,
                ANSWER_S,
            )

    def _read(self, where: TopicPartition, start: int, most: int) -> list[Record]:
        if self._reader is None:
            lone = {"group.id": "radstream-reader", "enable.auto.commit": False, "enable.partition.eof": True}
            self._reader = Consumer(self._client | lone)
        reader = self._reader
        low, high = self._offsets(reader, where)
        where.offset = max(start, low)
        if where.offset >= high:
            return []
        reader.assign([where])
        try:
            return _read_to(reader, high, most)
        finally:
            reader.unassign()

    def _offsets(self, reader: Consumer, where: TopicPartition) -> tuple[int, int]:
        """First offset of a partition and the one after its last; UnsettledError where another try may do better."""
        try:
            return asked(lambda: reader.get_watermark_offsets(where, TRY_S))
        except DeadLetterError as error:  # said of a partition that nobody leads, too
            if where.partition >= self.topics().get(where.topic, 0):
                raise
            raise UnsettledError("Kafka: a partition without a leader") from error
        except OutageError as error:  # a try that ran out of time, too
            raise UnsettledError(str(error)) from error

    def close(self) -> None:
        """Give the reader back; producers and consumers have connections of their own."""
        with self._reading:
            self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _ends(admin: AdminClient, wanted: dict[TopicPartition, OffsetSpec]) -> dict[int, int]:
    answers = admin.list_offsets(wanted, request_timeout=ANSWER_S)
    return {part.partition: _answered(future).offset for part, future in sorted(answers.items())}


def _read_to(reader: Consumer, end: int, most: int) -> list[Record]:
    """Read the assigned partition up to an offset: the last records before it may be none of ours."""
    found: list[Record] = []
    deadline = time.monotonic() + ANSWER_S
    while len(found) < most:
        message = reader.poll(max(deadline - time.monotonic(), 0))
        if message is None:
            raise OutageError("Kafka: a partition could not be read in time")
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise decision(error)
        if error is not None or (message.offset() or 0) >= end:
            break
        found.append(received(message))
        if found[-1].offset + 1 >= end:
            break
    return found


class KafkaProducer:
    """Writes records; the partition is murmur2 of the key, as in Kafka's Java client.

    Parameters
    ----------
    client
        librdkafka's settings.
    topics
        Gives the topics that exist.
    """

    def __init__(self, client: Mapping[str, Any], topics: Callable[[], dict[str, int]]) -> None:
        self._topics = topics
        self._known: frozenset[str] = frozenset()
        confirmed = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": CONFIRM_MS}
        sizes = {"message.max.bytes": MAX_RECORD_BYTES + FRAME_BYTES, "linger.ms": 5}
        self._producer = Producer({**client, **confirmed, **sizes, "partitioner": "murmur2_random"})

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write all records; each is confirmed by all copies in sync on return, or given up after `CONFIRM_MS`.

        Raises
        ------
        OutageError
            At least one is not confirmed: the brokers do not answer.
        DeadLetterError
            `record-too-large` or `unknown-topic`; none is written, unless a broker's own limit is below ours.
        StopError
            The producer cannot go on (fenced, or its sequence is broken): a new one has to.
        """
        if any(_size(record) > MAX_RECORD_BYTES for record in records):
            raise DeadLetterError("record-too-large")
        self._require({record.topic for record in records})
        open_until_confirmed = len(records)
        failures: list[KafkaError] = []

        def confirm(error: KafkaError | None, _: Message[bytes, bytes]) -> None:
            nonlocal open_until_confirmed
            open_until_confirmed -= 1
            if error is not None:
                failures.append(error)

        for record in records:
            self._enqueue(record, confirm)
        while open_until_confirmed:
            self._producer.flush(1.0)
        if failures:
            raise decision(min(failures, key=lambda error: isinstance(decision(error), OutageError)))

    def _require(self, topics: set[str]) -> None:
        """Look topics up once: asking Kafka to write to one that is missing would take as long as an outage."""
        if not topics <= self._known:
            self._known = frozenset(self._topics())
        if not topics <= self._known:
            raise DeadLetterError("unknown-topic")

    def _enqueue(self, record: OutgoingRecord, confirm: Callable[..., None]) -> None:
        """Hand one record over; while the queue is full, what was sent before is served."""
        headers: Any = list(record.headers)
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, on_delivery=confirm, headers=headers
                )
            except BufferError:
                self._producer.poll(PAUSE_S)
            except KafkaException as error:
                raise decision(error.args[0]) from error
            else:
                return

    def close(self) -> None:
        """Wait for what other threads are still sending."""
        self._producer.flush(CONFIRM_MS / 1000)


def _size(record: OutgoingRecord) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value or b"") + headers
