from __future__ import annotations

import random
from collections import Counter

import pytest

from runtime.embedded.consumer import EmbeddedConsumer
from runtime.embedded.log import EmbeddedLog
from runtime.errors import StopError
from tests.contract.log_conformance import (
    Ledger,
    LogConformance,
    LogCrashConformance,
    caught_up,
    numbered,
    until,
)
from tests.support.port_driver import Opener


class TestEmbeddedLog(LogConformance, LogCrashConformance):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener("tests.support.embedded_ports:log", str(tmp_path))


class TestEmbeddedLogThatRedeliversAndCuts(LogConformance):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener("tests.support.embedded_ports:faulty_log", str(tmp_path))


def sizes_and_places(log, most):
    log.create_topics({"t": 3})
    log.producer("p").send(numbered("t", 40))
    consumer = log.consumer("g", ["t"], "m")
    ledger = Ledger(log, "g")
    sizes = []

    def step():
        taken = consumer.poll(most, 0.0)
        sizes.append(len(taken))
        ledger.commit(consumer, ledger.take(taken))

    until(lambda: caught_up(log, "g", "t"), step)
    consumer.close()
    return sizes, [(record.partition, record.offset) for record in ledger.delivered]


@pytest.mark.parametrize("seed", range(5))
def test_redelivery_brings_each_record_twice_and_each_partition_in_order(tmp_path, seed):
    _, places = sizes_and_places(EmbeddedLog(tmp_path, redeliver=True, cut_batches=True, seed=seed), 11)

    assert set(Counter(places).values()) == {2}
    for number in range(3):
        firsts = list(dict.fromkeys(offset for part, offset in places if part == number))
        assert firsts == sorted(firsts)


def test_a_record_comes_the_second_time_after_its_batch(tmp_path):
    _, places = sizes_and_places(EmbeddedLog(tmp_path, redeliver=True), 1000)

    assert sorted(places[:40]) == sorted(places[40:])


def test_without_faults_each_record_comes_once(tmp_path):
    sizes, places = sizes_and_places(EmbeddedLog(tmp_path), 11)

    assert set(Counter(places).values()) == {1}
    assert sizes == [11, 11, 11, 7]


def test_cuts_follow_from_the_seed(tmp_path):
    cut = [sizes_and_places(EmbeddedLog(tmp_path / name, cut_batches=True, seed=seed), 11)[0]
           for name, seed in (("a", 1), ("b", 1), ("c", 2))]  # fmt: skip

    assert cut[0] == cut[1] != cut[2]
    assert len(set(cut[0])) > 1


def test_a_second_process_of_one_member_fences_the_first(tmp_path):
    log = EmbeddedLog(tmp_path)
    log.create_topics({"t": 2})
    log.producer("p").send(numbered("t", 4))
    old = log.consumer("g", ["t"], "m")
    old.poll(10, 0.0)
    new = log.consumer("g", ["t"], "m")
    new.poll(10, 0.0)

    with pytest.raises(StopError):
        old.commit({("t", 0): 1})
    with pytest.raises(StopError):
        until(lambda: False, lambda: old.poll(1, 0.3))
    old.close()
    new.commit({("t", 0): 1})
    assert new.assignment() == {("t", 0), ("t", 1)}
    new.close()


def test_trimming_removes_old_records_and_no_offset_starts_again(tmp_path):
    log = EmbeddedLog(tmp_path)
    log.create_topics({"t": 1, "kept": 1})
    producer = log.producer("p")
    for topic in ("t", "kept"):
        producer.send(numbered(topic, 1500))
    last_old = log.read("t", 0, 1499, 1)[0]
    until(lambda: log.read("t", 0, log.end_offsets("t")[0] - 1, 1)[0].timestamp > last_old.timestamp,
          lambda: producer.send(numbered("t", 1)))  # fmt: skip
    end = log.end_offsets("t")[0]

    removed = log.trim({"t": log.read("t", 0, end - 1, 1)[0].timestamp})

    assert removed >= 1500
    assert log.end_offsets("t") == {0: end}
    assert [record.offset for record in log.read("t", 0, 0, 10_000)] == list(range(removed, end))
    assert len(log.read("kept", 0, 0, 10_000)) == 1500
    consumer = log.consumer("g", ["t"], "m")
    assert consumer.poll(1, 1.0)[0].offset == removed
    consumer.close()


def test_members_that_come_and_go_at_random_lose_and_double_nothing(tmp_path):
    log = EmbeddedLog(tmp_path)
    log.create_topics({"t": 6})
    producer = log.producer("p")
    ledger = Ledger(log, "g")
    chance = random.Random(7)
    members: dict[str, EmbeddedConsumer] = {}
    for turn in range(150):
        producer.send(numbered("t", 3))
        name = f"m{chance.randrange(4)}"
        if turn % 10 == 0 and name in members:
            members.pop(name).close()
        elif turn % 10 == 0:
            members[name] = log.consumer("g", ["t"], name)
        for consumer in members.values():
            ledger.commit(consumer, ledger.take(consumer.poll(20, 0.0)))
    last = log.consumer("g", ["t"], "last")
    for consumer in members.values():
        consumer.close()
    until(lambda: caught_up(log, "g", "t"), lambda: ledger.step(last))
    last.close()

    assert len(ledger.delivered) == len(ledger.first_deliveries()) == 450
