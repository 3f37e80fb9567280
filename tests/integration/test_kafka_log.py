from __future__ import annotations

import uuid

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from runtime.errors import OutageError, StopError
from runtime.kafka import KafkaLog, KafkaProducer
from runtime.kafka_watch import LOOKS
from schemas.topics import DEAD_LETTER_RETENTION_HOURS, catalogue
from tests.contract.log_conformance import LogConformance, LogCrashConformance, numbered, until
from tests.support.port_driver import Opener


class TestKafkaLog(LogConformance, LogCrashConformance):
    @pytest.fixture
    def opener(self, servers):
        return Opener("tests.support.cluster_ports:log", servers.require("kafka").kafka.model_dump_json())


@pytest.fixture
def kafka(servers):
    return servers.require("kafka").kafka


@pytest.fixture
def topic(kafka):
    name = f"topic-{uuid.uuid4().hex}"
    KafkaLog(kafka).create_topics({name: 2})
    return name


def test_a_second_process_of_one_member_fences_the_first(kafka, topic):
    log = KafkaLog(kafka)
    log.producer("p").send(numbered(topic, 4))
    old = log.consumer("fenced", [topic], "m")
    until(lambda: len(old.assignment()) == 2, lambda: old.poll(10, 0.1))
    new = log.consumer("fenced", [topic], "m")

    def turn():
        new.poll(10, 0.1)
        old.poll(10, 0.1)

    with pytest.raises(StopError):
        until(lambda: False, turn)
    until(lambda: len(new.assignment()) == 2, lambda: new.poll(10, 0.1))
    with pytest.raises(StopError):
        old.commit({(topic, 0): 1})
    new.commit({(topic, 0): 1})
    old.close()
    new.close()


def test_a_member_that_leaves_is_replaced_before_its_session_ends(kafka, topic):
    log = KafkaLog(kafka.model_copy(update={"session_timeout_ms": 60_000}))
    first, second = (log.consumer("leaves", [topic], name) for name in ("first", "second"))
    both = (first, second)
    until(
        lambda: [len(each.assignment()) for each in both] == [1, 1],
        lambda: [each.poll(1, 0.05) for each in both],
    )

    first.close()

    until(lambda: len(second.assignment()) == 2, lambda: second.poll(1, 0.05))
    second.close()


def test_a_topic_is_kept_as_its_file_says(kafka):
    log = KafkaLog(kafka)
    wanted = catalogue()["audit.v1"]
    log.create_topics({wanted.name: wanted.partitions, "x.dead-letter.v1": 1})

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    found = {
        name: next(iter(admin.describe_configs([ConfigResource("topic", name)]).values())).result()
        for name in (wanted.name, "x.dead-letter.v1")
    }

    assert found[wanted.name]["retention.ms"].value == str(wanted.retention_hours * 3_600_000)
    assert found[wanted.name]["cleanup.policy"].value == wanted.cleanup
    assert found["x.dead-letter.v1"]["retention.ms"].value == str(DEAD_LETTER_RETENTION_HOURS * 3_600_000)


def test_a_member_that_does_not_read_what_waits_stops(kafka, topic, monkeypatch):
    monkeypatch.setattr("runtime.kafka_consumer.LOOK_EVERY_S", 0.0)
    log = KafkaLog(kafka)
    member = log.consumer("unread", [topic], "m")
    until(lambda: len(member.assignment()) == 2, lambda: member.poll(10, 0.1))
    member._consumer.pause([TopicPartition(topic, 0)])  # as if librdkafka had forgotten it

    for _ in range(2 * LOOKS):  # nothing waits
        assert member.poll(10, 0.1) == []
    log.producer("p").send(numbered(topic, 50))

    with pytest.raises(StopError, match=f"does not read what waits in {topic}-0$"):
        until(lambda: False, lambda: member.poll(10, 0.1))
    member.close()


def test_without_a_broker_everything_is_an_outage(kafka, topic, monkeypatch):
    monkeypatch.setattr("runtime.kafka.ANSWER_S", 1.0)
    monkeypatch.setattr("runtime.kafka.CONFIRM_MS", 1500)
    log = KafkaLog(kafka)
    nowhere = KafkaLog(kafka.model_copy(update={"bootstrap": "127.0.0.1:1"}))
    producer = KafkaProducer(nowhere._client, log.topics)

    for call in (
        nowhere.topics,
        lambda: nowhere.read(topic, 0, 0, 1),
        lambda: nowhere.consumer("g", [topic], "m"),
        lambda: producer.send(numbered(topic, 3)),
    ):
        with pytest.raises(OutageError):
            call()
    nowhere.close()


def test_a_producer_goes_on_with_a_new_client_after_an_outage(kafka, topic, monkeypatch):
    monkeypatch.setattr("runtime.kafka.CONFIRM_MS", 1500)
    log = KafkaLog(kafka)
    producer = KafkaProducer({"bootstrap.servers": "127.0.0.1:1"}, log.topics)
    producer._settings["bootstrap.servers"] = kafka.bootstrap  # what the next client will know

    with pytest.raises(OutageError):
        producer.send(numbered(topic, 3))
    producer.send(numbered(topic, 2))

    assert sum(log.end_offsets(topic).values()) == 2
