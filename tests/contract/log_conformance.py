"""What every implementation of the log port does. A subclass supplies the fixture `opener`.

Every test has topics and groups of its own, so that one server serves all tests. Tests that read count on at-least-once only:
they hold where a test switch delivers twice and cuts batches. No test says how long anything takes; `PATIENCE_S` only ends a
run that would never end.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

import pytest

from runtime.errors import DeadLetterError, StopError
from runtime.ports import Consumer, Log, OutgoingRecord, Partition, Record
from tests.support.offsets import committed as committed_offsets
from tests.support.port_driver import Opener, driver

PATIENCE_S = 240.0
"""Seconds before a test gives up: Kafka needs most of them to notice a dead member."""
PARTITIONS = 4


class Ledger:
    """What was delivered and committed, in the order it happened; refuses what no log may do."""

    def __init__(self, log: Log, group: str) -> None:
        self.log = log
        self.group = group
        self.delivered: list[Record] = []
        self.committed: dict[Partition, int] = defaultdict(int)

    def take(self, records: Sequence[Record]) -> dict[Partition, int]:
        """Note a delivery and return the offsets that acknowledge it."""
        nexts: dict[Partition, int] = {}
        for record in records:
            partition = (record.topic, record.partition)
            assert record.offset >= self.committed[partition], (
                "delivered again after its offset was committed"
            )
            assert nexts.get(partition, record.offset) <= record.offset, "out of order inside a batch"
            nexts[partition] = record.offset + 1
        self.delivered += records
        return nexts

    def commit(self, consumer: Consumer, offsets: dict[Partition, int]) -> None:
        consumer.commit(offsets)
        for (topic, number), offset in offsets.items():
            recorded = self.log.committed(self.group, [(topic, number)])[topic, number]
            assert recorded <= max(offset, self.committed[topic, number])
            self.committed[topic, number] = max(recorded, self.committed[topic, number])

    def step(self, consumer: Consumer, most: int = 100) -> None:
        self.commit(consumer, self.take(consumer.poll(most, 0.02)))

    def first_deliveries(self) -> list[Record]:
        seen: set[tuple[Partition, int]] = set()
        firsts = []
        for record in self.delivered:
            place = ((record.topic, record.partition), record.offset)
            if place not in seen:
                seen.add(place)
                firsts.append(record)
        return firsts


def until(condition: Callable[[], bool], act: Callable[[], object]) -> None:
    """Act until a condition holds."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "nothing changes any more"
        act()


def caught_up(log: Log, group: str, topic: str) -> bool:
    return committed_offsets(log, group, topic) == log.end_offsets(topic)


def everything(log: Log, topic: str) -> list[Record]:
    return [
        record
        for number, end in log.end_offsets(topic).items()
        for record in log.read(topic, number, 0, end + 10)
    ]


def numbered(topic: str, count: int, keys: int = 7) -> list[OutgoingRecord]:
    return [OutgoingRecord(topic, f"key {number % keys}".encode(), b"%d" % number) for number in range(count)]


def by_key(records: Iterable[Record]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = defaultdict(list)
    for record in records:
        found[record.key].append(int(record.value or b""))
    return dict(found)


class LogConformance:
    """Run by every implementation."""

    @pytest.fixture
    def log(self, opener: Opener) -> Iterator[Log]:
        # A reader that nobody closes is destroyed when it is collected, and librdkafka may wait for ever then.
        with closing(opener.open()) as opened:
            yield opened

    @pytest.fixture
    def topic(self, log: Log) -> str:
        name = f"topic-{uuid.uuid4().hex}"
        log.create_topics({name: PARTITIONS})
        return name

    @pytest.fixture
    def group(self) -> str:
        return f"group-{uuid.uuid4().hex}"

    def test_creating_a_topic_again_keeps_its_records(self, log, topic):
        log.producer("p").send(numbered(topic, 3))
        log.create_topics({topic: PARTITIONS})
        assert log.topics()[topic] == PARTITIONS
        assert len(everything(log, topic)) == 3

    @pytest.mark.parametrize(
        ("key", "partition"),
        [(b"21", 0), (b"foobar", 2), (b"abc", 3), (b"a-little-bit-long-string", 0), (b"", 1)],
    )
    def test_a_key_has_the_partition_that_the_java_client_gives_it(self, log, topic, key, partition):
        log.producer("p").send([OutgoingRecord(topic, key, b"v")])
        assert [(record.partition, record.key) for record in everything(log, topic)] == [(partition, key)]

    @pytest.mark.parametrize(
        ("key", "value", "headers"),
        [
            pytest.param(b"k", b"v", (), id="plain"),
            pytest.param(b"k", None, (), id="no value"),
            pytest.param(b"k", b"", (), id="empty value"),
            pytest.param(bytes(range(256)), bytes(range(256)), (("h", bytes(range(256))),), id="any bytes"),
            pytest.param("schlüssel-北".encode(), b"v", (("ключ", b"w"),), id="beyond ASCII"),
            pytest.param(
                b"k", b"v", (("a", b"1"), ("b", b""), ("a", b"2")), id="headers in order, doubles kept"
            ),
            pytest.param(b"k", b"x" * 900_000, (), id="nearly a mebibyte"),
        ],
    )
    def test_a_record_comes_back_as_it_was_sent(self, log, topic, group, key, value, headers):
        log.producer("p").send([OutgoingRecord(topic, key, value, headers)])
        consumer = log.consumer(group, [topic], "m")
        ledger = Ledger(log, group)
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(consumer))
        consumer.close()
        for record in [*everything(log, topic), *ledger.delivered]:
            assert (record.topic, record.offset, record.key, record.value, record.headers) == (
                (topic, 0, key, value, headers)
            )
            assert record.timestamp > 1_700_000_000_000_000

    def test_offsets_count_from_zero_in_each_partition(self, log, topic):
        log.producer("p").send(numbered(topic, 40))
        for number, end in log.end_offsets(topic).items():
            assert [record.offset for record in log.read(topic, number, 0, 100)] == list(range(end))
        assert sum(log.end_offsets(topic).values()) == 40

    def test_reading_starts_and_ends_where_it_is_told(self, log, topic):
        log.producer("p").send([OutgoingRecord(topic, b"abc", b"%d" % number) for number in range(10)])
        assert [record.offset for record in log.read(topic, 3, 4, 3)] == [4, 5, 6]
        assert log.read(topic, 3, 10, 3) == []

    @pytest.mark.parametrize(
        ("spoilt", "reason"),
        [
            pytest.param(
                lambda topic: OutgoingRecord(topic, b"k", b"x" * 1_200_000), "record-too-large", id="value"
            ),
            pytest.param(
                lambda _: OutgoingRecord("topic-nobody-created", b"k", b"v"), "unknown-topic", id="topic"
            ),
        ],
    )
    def test_a_record_that_can_never_be_written_takes_its_batch_along(self, log, topic, spoilt, reason):
        with pytest.raises(DeadLetterError) as refused:
            log.producer("p").send([*numbered(topic, 3), spoilt(topic), *numbered(topic, 3)])
        assert refused.value.reason == reason
        assert everything(log, topic) == []

    def test_nothing_sent_is_nothing_written(self, log, topic):
        log.producer("p").send([])
        assert everything(log, topic) == []

    def test_everything_is_delivered_and_each_key_in_order(self, log, topic, group):
        producer = log.producer("p")
        for start in range(0, 300, 50):
            producer.send(numbered(topic, 300)[start : start + 50])
        consumer = log.consumer(group, [topic], "m")
        ledger = Ledger(log, group)
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(consumer, most=17))
        consumer.close()
        expected = {f"key {key}".encode(): list(range(key, 300, 7)) for key in range(7)}
        assert by_key(ledger.first_deliveries()) == expected

    def test_a_batch_is_no_larger_than_asked_for(self, log, topic, group):
        log.producer("p").send(numbered(topic, 30))
        consumer = log.consumer(group, [topic], "m")
        sizes: list[int] = []
        until(lambda: sum(sizes) >= 30, lambda: sizes.append(len(consumer.poll(4, 0.05))))
        consumer.close()
        assert max(sizes) <= 4

    def test_polling_an_empty_topic_returns_nothing(self, log, topic, group):
        consumer = log.consumer(group, [topic], "m")
        assert consumer.poll(10, 0.0) == []
        assert consumer.poll(10, 0.1) == []
        consumer.close()

    def test_records_sent_while_a_consumer_waits_reach_it(self, log, topic, group):
        consumer = log.consumer(group, [topic], "m")
        ledger = Ledger(log, group)
        ledger.step(consumer)
        log.producer("p").send(numbered(topic, 10))
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(consumer))
        consumer.close()
        assert len(ledger.first_deliveries()) == 10

    def test_a_member_that_comes_back_goes_on_at_its_commit(self, log, topic, group):
        log.producer("p").send(numbered(topic, 60))
        ledger = Ledger(log, group)
        for _ in range(4):
            consumer = log.consumer(group, [topic], "m")
            until(lambda: bool(consumer.assignment()), lambda: ledger.step(consumer, most=5))  # noqa: B023 used at once
            for _ in range(3):
                ledger.step(consumer, most=5)
            consumer.close()
        consumer = log.consumer(group, [topic], "m")
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(consumer))
        consumer.close()
        assert sorted(int(record.value or b"") for record in ledger.first_deliveries()) == list(range(60))

    def test_what_was_not_committed_is_delivered_again(self, log, topic, group):
        log.producer("p").send(numbered(topic, 20))
        consumer = log.consumer(group, [topic], "m")
        first: list[Record] = []
        until(lambda: len({(one.partition, one.offset) for one in first}) == 20,
              lambda: first.extend(consumer.poll(20, 0.05)))  # fmt: skip
        consumer.close()
        assert set(committed_offsets(log, group, topic).values()) == {0}
        again = log.consumer(group, [topic], "m")
        ledger = Ledger(log, group)
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(again))
        again.close()
        assert len(ledger.first_deliveries()) == 20

    def test_groups_do_not_know_each_other(self, log, topic, group):
        log.producer("p").send(numbered(topic, 20))
        for name in (f"{group}-a", f"{group}-b"):
            consumer = log.consumer(name, [topic], "m")
            ledger = Ledger(log, name)
            until(lambda: caught_up(log, name, topic), lambda: ledger.step(consumer))  # noqa: B023 used at once
            consumer.close()
            assert len(ledger.first_deliveries()) == 20
        assert committed_offsets(log, group, topic) == dict.fromkeys(range(PARTITIONS), 0)
        assert log.committed(group, []) == {}

    def test_members_share_fairly_and_no_partition_has_two_owners(self, log, topic, group):
        producer = log.producer("p")
        ledger = Ledger(log, group)
        members: dict[str, Consumer] = {}

        def turn() -> None:
            producer.send(numbered(topic, 5))
            for consumer in members.values():
                ledger.step(consumer)
            owned = [part for consumer in members.values() for part in consumer.assignment()]
            assert len(owned) == len(set(owned)), "a partition has two owners"

        def shares() -> list[int]:
            return sorted(len(consumer.assignment()) for consumer in members.values())

        for name, fair in (("a", [4]), ("b", [2, 2]), ("c", [1, 1, 2])):
            members[name] = log.consumer(group, [topic], name)
            until(lambda: shares() == fair, turn)  # noqa: B023 used at once
        members.pop("a").close()
        until(lambda: shares() == [2, 2], turn)
        members.pop("c").close()
        until(lambda: shares() == [4] and caught_up(log, group, topic), lambda: ledger.step(members["b"]))
        members.pop("b").close()
        assert len(ledger.first_deliveries()) == len(everything(log, topic))

    def test_a_missing_topic_stops_the_reader(self, log, group):
        with pytest.raises(StopError):
            log.consumer(group, ["topic-nobody-created"], "m")

    def test_a_commit_for_a_partition_of_another_is_refused(self, log, topic, group):
        log.producer("p").send(numbered(topic, 5))
        first = log.consumer(f"{group}-first", [topic], "m")
        with pytest.raises(StopError):
            first.commit({(topic, 0): 1})
        first.close()
        assert committed_offsets(log, f"{group}-first", topic)[0] == 0


class LogCrashConformance:
    """Run by every implementation: processes that die or freeze. Has the fixtures of LogConformance."""

    log = LogConformance.log
    topic = LogConformance.topic
    group = LogConformance.group

    def test_a_killed_producer_loses_nothing_that_was_confirmed(self, opener, log, topic):
        with driver(opener) as child:
            child.begin("send_for_ever", topic=topic)
            confirmed = child.answers_until_killed(20)
        stored = by_key(everything(log, topic))
        for key in (b"0", b"1", b"2"):
            assert stored[key][: len(confirmed)] == confirmed
            assert len(stored[key]) <= len(confirmed) + 1

    @pytest.mark.parametrize("killed_after", range(6))
    def test_a_reader_killed_between_any_two_calls_loses_nothing(
        self, opener, log, topic, group, killed_after
    ):
        log.producer("p").send([OutgoingRecord(topic, b"abc", b"%d" % number) for number in range(20)])
        committed: list[tuple[int, int]] = []
        with driver(opener) as child:
            for _ in range(killed_after):
                if not committed:
                    child.call("join", group=group, topic=topic, member="m")
                    committed = [(3, 0)]
                else:
                    taken = child.call("poll", most=3, timeout_s=PATIENCE_S)
                    committed = [(number, offset + 1) for number, offset, _ in taken[-1:]] or committed
                    assert child.call("commit", topic=topic, offsets=committed) == "committed"
            child.begin(
                "poll" if committed else "open", **({"most": 3, "timeout_s": PATIENCE_S} if committed else {})
            )
        recorded = committed_offsets(log, group, topic)[3]
        heir = log.consumer(group, [topic], "m")
        ledger = Ledger(log, group)
        ledger.committed[topic, 3] = recorded
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(heir))
        heir.close()
        offsets = [record.offset for record in ledger.first_deliveries()]
        assert offsets == list(range(recorded, 20))

    def test_another_member_takes_over_from_a_killed_one(self, opener, log, topic, group):
        log.producer("p").send(numbered(topic, 20))
        with driver(opener) as child:
            child.call("join", group=group, topic=topic, member="dies")
            child.call("poll", most=100, timeout_s=PATIENCE_S)
        heir = log.consumer(group, [topic], "lives")
        ledger = Ledger(log, group)
        until(lambda: caught_up(log, group, topic), lambda: ledger.step(heir))
        heir.close()
        assert len(ledger.first_deliveries()) == 20

    def test_a_commit_after_others_took_over_is_refused(self, opener, log, topic, group):
        log.producer("p").send([OutgoingRecord(topic, b"abc", b"%d" % number) for number in range(10)])
        with driver(opener) as zombie:
            zombie.call("join", group=group, topic=topic, member="zombie")
            taken = zombie.call("poll", most=5, timeout_s=PATIENCE_S)
            zombie.freeze()
            heir = log.consumer(group, [topic], "heir")
            ledger = Ledger(log, group)
            until(lambda: caught_up(log, group, topic), lambda: ledger.step(heir))
            zombie.thaw()
            assert zombie.call("commit", topic=topic, offsets=[(3, taken[-1][1] + 1)]) == {
                "raised": "StopError"
            }
        assert committed_offsets(log, group, topic)[3] == 10
        heir.close()
