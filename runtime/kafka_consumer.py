"""A member of a consumer group."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runtime.errors import OutageError, StopError
from runtime.kafka_errors import OUTAGES, asked, decision
from runtime.kafka_watch import Watch
from runtime.ports import Partition, Record

COMMIT_S = 10.0
"""Seconds in which a commit is tried again while the group moves partitions about."""
LEAVE_S = 2.0
"""Seconds that leaving a group may take; then the session's end does it."""
PAUSE_S = 0.05
"""Seconds between two tries."""
BATCHES_KIB = 16_384
"""Kibibytes that a consumer fetches ahead; librdkafka's own 64 MiB are much for ten processes on a laptop."""
BATCH_MS = 300_000
"""Milliseconds that a batch may take, outages included; then its partitions go to another member and it stops."""
LOOK_EVERY_S = 30.0
"""Seconds between two looks at what waits while polls bring nothing."""
MOVING = frozenset({KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION})
"""Answers to the commit of an owner whose group has just begun a new generation."""


class KafkaConsumer:
    """Reads the partitions it owns, and commits for them.

    Partitions move cooperatively: a member that is minutes deep in a batch does not hold up those that keep theirs, whereas
    the eager protocol has everybody wait for the slowest. What moves is given up inside `poll`, when nothing is in work.

    Parameters
    ----------
    client
        librdkafka's settings.
    group, topics, member
        As in the port.
    watch
        Finds partitions that are owned and not read.
    """

    def __init__(
        self, client: Mapping[str, Any], group: str, topics: Sequence[str], member: str, watch: Watch
    ) -> None:
        self._lock = threading.Lock()
        self._watch = watch
        self._look_at = time.monotonic() + LOOK_EVERY_S
        self._owned: frozenset[Partition] = frozenset()
        self._taken: list[Record] = []
        self._generation_member = ""
        self._consumer = Consumer(
            {
                **client,
                "client.id": member,
                "group.id": group,
                "group.instance.id": member,
                "partition.assignment.strategy": "cooperative-sticky",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "max.poll.interval.ms": BATCH_MS,
                "queued.max.messages.kbytes": BATCHES_KIB,
            }
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._gained, on_revoke=self._given_up, on_lost=self._given_up
        )

    def _gained(self, consumer: Consumer, parts: Sequence[TopicPartition]) -> None:
        self._owned |= {(part.topic, part.partition) for part in parts}
        self._generation_member = consumer.memberid()

    def _given_up(self, _: Consumer, parts: Sequence[TopicPartition]) -> None:
        """Forget partitions, and what this very poll had read of them: the next owner reads it."""
        gone = {(part.topic, part.partition) for part in parts}
        self._owned -= gone
        self._taken = [each for each in self._taken if (each.topic, each.partition) not in gone]

    def assignment(self) -> frozenset[Partition]:
        """Partitions owned now; changes inside `poll` only."""
        return self._owned

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records, waiting up to `timeout_s` seconds for the first.

        Raises
        ------
        OutageError
            No broker answers.
        StopError
            Another process goes by this member's name, a topic is gone, or this client has stopped reading for good.
        """
        with self._lock:
            self._taken = []
            while len(self._taken) < max_records:
                message = asked(lambda: self._consumer.poll(0 if self._taken else timeout_s))
                if message is None:
                    break
                error = message.error()
                if error is None:
                    self._taken.append(received(message))
                elif isinstance(what := decision(error), OutageError):
                    break
                else:
                    raise StopError(f"Kafka: {error.name()}") from what
            if not self._taken and time.monotonic() >= self._look_at:
                self._look()
            return self._taken

    def _look(self) -> None:
        owned = [TopicPartition(topic, number) for topic, number in self._owned]
        if owned:
            next_read = asked(lambda: self._consumer.position(owned))
            places = {(part.topic, part.partition): part.offset for part in next_read}
            with contextlib.suppress(OutageError):
                if unread := self._watch.look({each: at if at >= 0 else None for each, at in places.items()}):
                    names = ", ".join(f"{topic}-{number}" for topic, number in unread)
                    raise StopError(f"Kafka: this client does not read what waits in {names}")
        self._look_at = time.monotonic() + LOOK_EVERY_S

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Record where a new owner shall start.

        Raises
        ------
        StopError
            A partition is not owned any more, or the group has gone on without this member.
        OutageError
            The coordinator does not answer.
        """
        if not offsets:
            return
        with self._lock:
            deadline = time.monotonic() + COMMIT_S
            while (error := self._committed(offsets)) is not None:
                late = time.monotonic() > deadline
                if error.code() in MOVING and not late:
                    time.sleep(PAUSE_S)
                elif error.code() in OUTAGES:
                    raise OutageError(f"Kafka: {error.name()}")
                else:
                    raise StopError(f"partitions were lost before their commit: {error.name()}")

    def _committed(self, offsets: Mapping[Partition, int]) -> KafkaError | None:
        """Try once; None when all is recorded.

        A member that the group has given up gets a new id (or none). Its commit could be taken for that of an outsider, which
        an empty group allows, so it is refused here.
        """
        if not offsets.keys() <= self._owned or self._consumer.memberid() != self._generation_member:
            raise StopError("a partition is not owned any more")
        wanted = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        try:
            answers = self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            return error.args[0]  # type: ignore[no-any-return]  # the exception's one argument, untyped in the library
        return next((answer.error for answer in answers or () if answer.error is not None), None)

    def close(self) -> None:
        """Leave the group at once: a static member that only closes keeps its partitions until its session ends."""
        with self._lock:
            with contextlib.suppress(KafkaException):  # fenced: another process is the member now
                self._leave()
            self._consumer.close()
            self._owned = frozenset()

    def _leave(self) -> None:
        self._consumer.unsubscribe()
        deadline = time.monotonic() + LEAVE_S
        while (self._owned or self._consumer.memberid()) and time.monotonic() < deadline:
            self._consumer.poll(PAUSE_S)


def received(message: Message[bytes, bytes]) -> Record:
    """Record of ours that a message is."""
    headers: Any = message.headers() or ()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key() or b"",
        value=message.value(),
        headers=tuple((name, value or b"") for name, value in headers),
        timestamp=message.timestamp()[1] * 1000,
    )
