"""Workers of one echoing step on real Kafka: what goes in, what comes out, and who runs when."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    TopicPartition,
)
from confluent_kafka.admin import MemberDescription

from runtime.clock import SystemClock
from runtime.connections import INSTANCE_VARIABLE, Connections, assemble
from runtime.errors import RetryError
from runtime.kafka_consumer import received as from_kafka
from runtime.patience import until_answered
from runtime.ports import Record
from runtime.prepare import prepare
from runtime.settings import SETTINGS_VARIABLE, ClusterSettings, Settings
from schemas.codec import decode
from schemas.events import AuditEvent, DeadLetter, Event
from schemas.identifiers import PseudonymKey
from schemas.partitioning import partition_of
from schemas.topics import dead_letter_topic
from tests.support.faust_worker import SINK, SOURCE, engines
from tests.support.installation import received, settings, study
from tests.support.raw import administer
from tests.support.stock_worker import SUBJECT

OURS, STOCK = "tests.support.faust_worker", "tests.support.stock_worker"
"""Modules of the workers: the product's binding, and Faust's own idiom."""
INFERRING = "tests.support.infer_worker"
"""Module of a worker of the product's own step `infer`."""
PATIENCE_S = 300.0
"""Seconds after which something that shall happen counts as not happening."""
SESSION_MS = 6_000
"""The shortest session that brokers allow by default."""


@dataclass
class Rig:
    """One consumer group of its own; it starts at the end of what other tests have written."""

    folder: Path
    settings: Settings
    made: Connections
    reads: tuple[str, ...] = (SOURCE,)
    starts: dict[str, dict[int, int]] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The step and its group."""
        return self.made.component

    @property
    def dead_letters(self) -> str:
        """The step's dead-letter topic."""
        return dead_letter_topic(self.name)

    def send(self, *ids: str, studies: Sequence[int] = range(12)) -> None:
        """Write instances, each under the study that its place says."""
        self.made.publisher.publish(
            [(SOURCE, received(studies[n % len(studies)], each)) for n, each in enumerate(ids)]
        )

    def neighbours(self, count: int) -> list[int]:
        """Studies whose records share a partition."""
        partitions = self.made.log.topics()[SOURCE]
        numbers = (n for n in itertools.count() if partition_of(study(n).encode(), partitions) == 0)
        return list(itertools.islice(numbers, count))

    def start(self, instance: str = "0", source: str = SOURCE) -> subprocess.Popen[bytes]:
        """Start a worker; its log is `worker.log`."""
        return self._started([OURS, self.name, source], instance)

    def start_stock(self, way: str, instance: str = "0") -> subprocess.Popen[bytes]:
        """Start a worker of the stock idiom."""
        return self._started([STOCK, self.name, way], instance)

    def start_inferring(self) -> subprocess.Popen[bytes]:
        """Start a worker of the step `infer`, on the Triton that the settings name."""
        return self._started([INFERRING, self.name], "0")

    def _started(self, module: list[str], instance: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            SETTINGS_VARIABLE: str(self.folder / "settings.toml"),
            INSTANCE_VARIABLE: instance,
        }
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", *module], env=environment, stdout=log, stderr=log
            )
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End every worker."""
        for each in self.workers:
            if each.poll() is None:
                each.send_signal(signal.SIGCONT)
                each.kill()
            each.wait()

    def records(self, topic: str) -> list[Record]:
        """Records of this test, by partition: all partitions at once, as the log port's own reader would wait for each."""
        reader = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "test-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
            }
        )
        reader.assign([TopicPartition(topic, number, start) for number, start in self.starts[topic].items()])
        found: dict[int, list[Record]] = {number: [] for number in self.starts[topic]}
        ended: set[int] = set()
        while ended != set(found):
            message = reader.poll(PATIENCE_S)
            assert message is not None, "the topic could not be read"
            number, error = message.partition() or 0, message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(number)
            elif number not in ended:
                found[number].append(from_kafka(message))
        reader.close()
        return [record for records in found.values() for record in records]

    def events(self, topic: str) -> list[Event]:
        """Events of this test, by partition."""
        return [decode(each.value, self.made.registry) for each in self.records(topic)]

    def echoes(self) -> list[AuditEvent]:
        """What the step wrote, duplicates included."""
        return [each for each in self.events(SINK) if isinstance(each, AuditEvent) and each.action == "echo"]

    def subjects(self) -> list[str]:
        """Ids of the instances that were echoed."""
        return [each.subjects[0] for each in self.echoes()]

    def stock_subjects(self) -> list[str]:
        """Ids that the stock worker echoed."""
        return [SUBJECT.findall(each.value or b"")[0].decode() for each in self.records(SINK)]

    def touched(self) -> set[str]:
        """Ids whose effect was made, published or not."""
        return {info.key for info in self.made.objects.keys("results")}

    def unfinished(self, ids: Sequence[str]) -> set[str]:
        """Ids that were neither echoed nor given up."""
        given_up = {(each.partition, each.offset) for each in self.letters()}
        places = {
            event.envelope.event_id
            for record in self.records(SOURCE)
            if (record.partition, record.offset) in given_up
            for event in [decode(record.value, self.made.registry)]
        }
        return set(ids) - set(self.subjects()) - places

    def members(self) -> int:
        """Members that the broker counts in the group."""
        return len(self.member_ids())

    def member_ids(self) -> set[str]:
        """Ids that the broker has given them: a member that was evicted and comes back has a new one."""
        return {each.member_id for each in self._described()}

    def owned(self) -> list[int]:
        """Partitions of what the step reads that the broker says have a reader, sorted."""
        return sorted(
            each.partition for member in self._described() for each in member.assignment.topic_partitions
        )

    def _described(self) -> list[MemberDescription]:
        [told] = administer(self.bootstrap, lambda admin: admin.describe_consumer_groups([self.name]))
        return list(told.members)

    @property
    def bootstrap(self) -> str:
        """Address of the broker."""
        assert self.settings.cluster is not None
        return self.settings.cluster.kafka.bootstrap

    def letters(self) -> list[DeadLetter]:
        """What the step gave up."""
        return [each for each in self.events(self.dead_letters) if isinstance(each, DeadLetter)]

    def committed(self) -> int:
        """Records before the committed offsets, counted from where the test began."""
        starts = {
            (topic, number): offset for topic in self.reads for number, offset in self.starts[topic].items()
        }
        return sum(self.made.log.committed(self.name, starts).values()) - sum(starts.values())

    def until(self, done: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait for something, while no worker ends by itself."""
        deadline = time.monotonic() + patience_s
        while not _is(done):
            if time.monotonic() > deadline:
                state = f"{self.members()} members own {self.owned()}; {self.committed()} records committed"
                raise AssertionError(f"did not happen: {state}; workers said:\n{self.words()}")
            time.sleep(0.1)

    def words(self) -> str:
        """The last lines of the workers' log."""
        return (self.folder / "worker.log").read_text("utf-8", "replace")[-6000:]

    def in_order(self) -> bool:
        """Whether first deliveries of each study came in the order of the numbers in their ids."""
        came: dict[str, list[int]] = {}
        for each in self.echoes():
            came.setdefault(each.envelope.study, []).append(int(each.subjects[0].partition("-")[2]))
        return all(list(dict.fromkeys(each)) == sorted(set(each)) for each in came.values())


def _is(done: Callable[[], bool]) -> bool:
    """Whether it is so; not, while the broker does not answer."""
    try:
        return done()
    except RetryError:
        return False


@contextmanager
def rig(
    folder: Path,
    cluster: ClusterSettings,
    *,
    reads: tuple[str, ...] = (SOURCE,),
    writes: tuple[str, ...] = (SINK,),
    **changes: object,
) -> Iterator[Rig]:
    """A rig on these servers, with these topics; `changes` are to the settings."""
    kafka = cluster.kafka.model_copy(update={"session_timeout_ms": SESSION_MS})
    described = cluster.model_copy(update={"kafka": kafka}).model_dump(mode="json")
    made_of = settings(folder, cluster=described, **changes)
    made_of.write(folder / "settings.toml")
    name = f"echo-{uuid.uuid4().hex[:8]}"
    key = PseudonymKey("2026-1", (folder / "pseudonym").read_bytes())
    made = assemble(made_of, name, engines(made_of), SystemClock(), key)
    until_answered(lambda: prepare(made, (name,)), patience_s=PATIENCE_S)
    found = Rig(folder, made_of, made, reads)
    for topic in (*reads, *writes, found.dead_letters):
        ends = partial(made.log.end_offsets, topic)
        found.starts[topic] = until_answered(ends, patience_s=PATIENCE_S)
    begin = [
        TopicPartition(topic, number, offset)
        for topic in reads
        for number, offset in found.starts[topic].items()
    ]
    offsets = [ConsumerGroupTopicPartitions(name, begin)]
    administer(kafka.bootstrap, lambda admin: admin.alter_consumer_group_offsets(offsets))
    try:
        yield found
    finally:
        found.stop()
        made.close()
