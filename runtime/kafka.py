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
from functools import partial
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
from runtime.kafka_errors import answered, asked, decision
from runtime.kafka_watch import Bounds, Watch
from runtime.ports import MAX_RECORD_BYTES, OutgoingRecord, Partition, Record
from runtime.settings import KafkaSettings
from runtime.transport import kafka_client
from schemas.topics import DEAD_LETTER_RETENTION_HOURS, catalogue

T = TypeVar("T")

ANSWER_S = 10.0
"""Seconds for one question about topics or offsets."""
LOOK_S = 3.0
"""Seconds for one question about what waits unread: a member that asks polls again soon."""
LEADERS_S = 60.0
"""Seconds in which new topics must have leaders: a broker on a busy machine takes half a second for each."""
CONFIRM_MS = 30_000
"""Milliseconds in which a record must be confirmed: a broker that is killed and started again is back after 12 to 16 s."""
FRAME_BYTES = 65_536
"""Bytes that Kafka's own framing may add to the largest record of ours."""
SILENT = {"log_level": 2}
"""librdkafka writes critical lines only: without a broker it would write one every 50 ms."""


def _result(future: Future[T], limit_s: float) -> T:
    try:
        return future.result(limit_s + 1)
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
        self._asked(lambda admin, limit_s: _create(admin, wanted, limit_s), ANSWER_S)
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
            return bool(self.end_offsets(topic))
        except OutageError:
            return False

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
        found = self._asked(lambda admin, limit_s: admin.list_topics(timeout=limit_s), ANSWER_S).topics
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
        watch = Watch(self._bounds, partial(self._committed, group, limit_s=LOOK_S))
        return KafkaConsumer(self._client | session, group, topics, member, watch)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Per partition, the offset the next record will get."""
        count = self.topics().get(topic)
        if count is None:
            raise StopError(f"missing topics: {topic}")
        ends = self._offsets([(topic, number) for number in range(count)], OffsetSpec.latest(), ANSWER_S)  # type: ignore[no-untyped-call]  # the library's
        return {number: end for (_, number), end in sorted(ends.items())}

    def _bounds(self, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
        """What partitions hold, asked in little time: who asks is to poll again soon."""
        first = self._offsets(partitions, OffsetSpec.earliest(), LOOK_S)  # type: ignore[no-untyped-call]  # the library's
        end = self._offsets(partitions, OffsetSpec.latest(), LOOK_S)  # type: ignore[no-untyped-call]  # the library's
        return {partition: Bounds(first[partition], end[partition]) for partition in partitions}

    def _offsets(
        self, partitions: Collection[Partition], spec: OffsetSpec, within_s: float
    ) -> dict[Partition, int]:
        return self._asked(lambda admin, limit_s: _offsets(admin, partitions, spec, limit_s), within_s)

    def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Per partition of those asked for, the committed offset of a group; 0 where it never committed.

        Asked as a consumer of the group that never joins it. The admin client, which has a call for this, ends the process with
        a segmentation fault when the answer is that the coordinator has moved (librdkafka #5315): it has no group to tell so.
        """
        if not partitions:
            return {}
        return answered(lambda limit_s: self._committed(group, partitions, limit_s), lambda: None, ANSWER_S)

    def _committed(
        self, group: str, partitions: Collection[Partition], limit_s: float
    ) -> dict[Partition, int]:
        wanted = [TopicPartition(topic, number) for topic, number in partitions]
        visitor = Consumer({**self._client, "group.id": group, "enable.auto.commit": False})
        try:
            found = asked(lambda: visitor.committed(wanted, limit_s))
        finally:
            visitor.close()
        for part in found:
            if part.error is not None:
                raise decision(part.error)
        return {(part.topic, part.partition): max(part.offset, 0) for part in found}

    def _asked(self, question: Callable[[AdminClient, float], T], within_s: float) -> T:
        return answered(
            lambda limit_s: asked(lambda: question(self._admin, limit_s)),
            self._renew_admin,
            within_s,
        )

    def _renew_admin(self) -> None:
        self._admin = AdminClient(self._client)

    def read(self, topic: str, partition: int, start: int, max_records: int) -> list[Record]:
        """Read records outside any group; what retention has removed is passed over."""
        with self._reading:
            return answered(
                lambda limit_s: self._read(TopicPartition(topic, partition), start, max_records, limit_s),
                self._close_reader,
                ANSWER_S,
            )

    def _read(self, where: TopicPartition, start: int, most: int, limit_s: float) -> list[Record]:
        if self._reader is None:
            lone = {"group.id": "radstream-reader", "enable.auto.commit": False, "enable.partition.eof": True}
            self._reader = Consumer(self._client | lone)
        reader = self._reader
        low, high = self._kept_in(reader, where, limit_s)
        where.offset = max(start, low)
        if where.offset >= high:
            return []
        reader.assign([where])
        try:
            return _read_to(reader, high, most, limit_s)
        finally:
            reader.unassign()

    def _kept_in(self, reader: Consumer, where: TopicPartition, limit_s: float) -> tuple[int, int]:
        """First offset of a partition and the one after its last."""
        try:
            return asked(lambda: reader.get_watermark_offsets(where, limit_s))
        except DeadLetterError as error:  # said of a partition that nobody leads, too
            if where.partition >= self.topics().get(where.topic, 0):
                raise
            raise OutageError("Kafka: a partition without a leader") from error

    def close(self) -> None:
        """Give the reader back; producers and consumers have connections of their own."""
        with self._reading:
            self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _create(admin: AdminClient, topics: list[NewTopic], limit_s: float) -> None:
    """Make topics; a try before this one, or another process, may have made some."""
    for future in admin.create_topics(topics, operation_timeout=limit_s, request_timeout=limit_s).values():
        try:
            _result(future, limit_s)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _offsets(
    admin: AdminClient, partitions: Collection[Partition], spec: OffsetSpec, limit_s: float
) -> dict[Partition, int]:
    wanted = {TopicPartition(topic, number): spec for topic, number in partitions}
    answers = admin.list_offsets(wanted, request_timeout=limit_s)
    return {(part.topic, part.partition): _result(future, limit_s).offset for part, future in answers.items()}


def _read_to(reader: Consumer, end: int, most: int, limit_s: float) -> list[Record]:
    """Read the assigned partition up to an offset: the last records before it may be none of ours."""
    found: list[Record] = []
    deadline = time.monotonic() + limit_s
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
        self._settings = {**client, **confirmed, **sizes, "partitioner": "murmur2_random"}
        self._producer = Producer(self._settings)

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
        producer = self._producer
        try:
            _write(producer, records)
        except OutageError:
            self._give_up(producer)
            raise

    def _give_up(self, producer: Producer) -> None:
        """Go on with a new client: the old one may have lost every broker for good (librdkafka #5301)."""
        if self._producer is producer:
            self._producer = Producer(self._settings)

    def _require(self, topics: set[str]) -> None:
        """Look topics up once: asking Kafka to write to one that is missing would take as long as an outage."""
        if not topics <= self._known:
            self._known = frozenset(self._topics())
        if not topics <= self._known:
            raise DeadLetterError("unknown-topic")

    def close(self) -> None:
        """Wait for what other threads are still sending."""
        self._producer.flush(CONFIRM_MS / 1000)


def _write(producer: Producer, records: Sequence[OutgoingRecord]) -> None:
    """Hand records over and wait until each is confirmed or given up."""
    open_until_confirmed = len(records)
    failures: list[KafkaError] = []

    def confirm(error: KafkaError | None, _: Message[bytes, bytes]) -> None:
        nonlocal open_until_confirmed
        open_until_confirmed -= 1
        if error is not None:
            failures.append(error)

    for record in records:
        _enqueue(producer, record, confirm)
    while open_until_confirmed:
        producer.flush(1.0)
    if failures:
        raise decision(min(failures, key=lambda error: isinstance(decision(error), OutageError)))


def _enqueue(producer: Producer, record: OutgoingRecord, confirm: Callable[..., None]) -> None:
    """Hand one record over; while the queue is full, what was sent before is served."""
    headers: Any = list(record.headers)
    while True:
        try:
            producer.produce(record.topic, record.value, record.key, on_delivery=confirm, headers=headers)
        except BufferError:
            producer.poll(PAUSE_S)
        except KafkaException as error:
            raise decision(error.args[0]) from error
        else:
            return


def _size(record: OutgoingRecord) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value or b"") + headers
