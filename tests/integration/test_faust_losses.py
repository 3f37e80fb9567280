"""The five ways in which the stock idiom loses events, each seen there and not here."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from runtime.buckets import QUARANTINE
from runtime.ports import MAX_RECORD_BYTES, OutgoingRecord
from schemas.codec import encode, schema_text
from schemas.partitioning import partition_of
from schemas.topics import subject
from tests.support.faust_rig import Rig, rig
from tests.support.faust_worker import SOURCE
from tests.support.installation import received, study
from tests.support.servers import SharedServers

WAYS = {
    "concurrent": ["slow-0", *(f"event-{n}" for n in range(1, 10))],
    "raising": [*(f"event-{n}" for n in range(5)), "surprise-5", *(f"event-{n}" for n in range(6, 10))],
    "batch": [*(f"event-{n}" for n in range(5)), "surprise-5", *(f"event-{n}" for n in range(6, 10))],
    "unconfirmed": [*(f"event-{n}" for n in range(5)), "large-5", *(f"event-{n}" for n in range(6, 10))],
}
"""Ids by way of losing them; all in one partition."""


OVERSIZED = 8 * MAX_RECORD_BYTES
"""Bytes that no producer of ours sends."""


@pytest.fixture
def kafka(tmp_path: Path, servers: SharedServers) -> Iterator[Rig]:
    with rig(tmp_path, servers.require("kafka")) as found:
        yield found


@pytest.mark.parametrize("way", WAYS)
def test_the_stock_idiom_commits_past_what_it_never_finished(kafka: Rig, way: str) -> None:
    ids = WAYS[way]
    kafka.send(*ids, studies=kafka.neighbours(3))
    worker = kafka.start_stock(way)
    kafka.until(lambda: kafka.committed() == len(ids))
    worker.kill()
    assert set(ids) - set(kafka.stock_subjects()), "this version of Faust loses nothing here: simplify app.py"


@pytest.mark.parametrize("way", WAYS)
def test_ours_finishes_or_gives_up_everything_though_it_is_killed(kafka: Rig, way: str) -> None:
    ids = [*WAYS[way], "slow-10"]
    kafka.send(*ids, studies=kafka.neighbours(3))
    worker = kafka.start()
    kafka.until(lambda: len(kafka.touched()) > 1)
    assert kafka.committed() < len(ids)
    worker.kill()
    worker.wait()
    kafka.start()
    kafka.until(lambda: kafka.committed() == len(ids))
    assert kafka.unfinished(ids) == set()
    assert kafka.in_order()


def undecodable() -> Sequence[OutgoingRecord]:
    """A record for each way of not being an event."""
    values = (b"", b"garbage", b"\0\0\0\x7f\xffunknown schema id", None)
    return [OutgoingRecord(SOURCE, b"key", value) for value in values]


def test_the_stock_idiom_drops_what_does_not_decode(kafka: Rig) -> None:
    producer = kafka.made.log.producer("test")
    producer.send(undecodable()[1:3])
    kafka.send("event-0")
    kafka.start_stock("decoding")
    kafka.until(lambda: kafka.committed() == 3)
    assert kafka.stock_subjects() == ["event-0"]


def test_a_record_over_the_size_limit_is_put_aside_and_holds_up_no_other(kafka: Rig) -> None:
    """Brokers look at a batch's compressed size, so a sender of somebody else can write what ours would refuse."""
    squeezed = {"compression.type": "gzip", "message.max.bytes": 100_000_000}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **squeezed})
    partition = partition_of(study(0).encode(), kafka.made.log.topics()[SOURCE])
    for value in (b"x" * OVERSIZED, b"\0\0\0\0\1" + b"\0" * OVERSIZED):
        producer.produce(SOURCE, value, study(0).encode(), partition)
    assert producer.flush(60) == 0
    kafka.send("event-0", "event-1", studies=[0])
    kafka.start()
    kafka.until(lambda: kafka.committed() == 4)
    assert kafka.subjects() == ["event-0", "event-1"]
    letters = kafka.letters()
    assert [(each.topic, each.partition) for each in letters] == [(SOURCE, partition)] * 2
    assert {each.reason for each in letters} <= {"not-framed", "corrupt"}
    assert len(kafka.made.objects.get(QUARANTINE, letters[0].object_key)) > OVERSIZED


def of_a_later_version(kafka: Rig, event_id: str) -> OutgoingRecord:
    """An event with a field that this release does not know."""
    later = json.loads(schema_text("InstanceReceived"))
    later["fields"].append(
        {"name": "added_later", "type": "string", "default": "", "doc": "A field to come."}
    )
    number = kafka.made.registry.register(subject("InstanceReceived"), json.dumps(later))
    event = received(0, event_id)
    value = encode(event, number) + b"\x0anewer"
    return OutgoingRecord(SOURCE, event.envelope.study.encode(), value)


def test_ours_keeps_what_does_not_decode_reads_what_is_newer_and_goes_on(kafka: Rig) -> None:
    producer = kafka.made.log.producer("test")
    producer.send([*undecodable(), of_a_later_version(kafka, "event-0")])
    kafka.send("event-1", "event-2")
    worker = kafka.start()
    kafka.until(lambda: kafka.committed() == 7)
    assert sorted(kafka.subjects()) == ["event-0", "event-1", "event-2"]
    reasons = sorted(letter.reason for letter in kafka.letters())
    assert reasons == ["not-framed", "not-framed", "null-value", "unknown-schema"]
    assert len({letter.object_key for letter in kafka.letters()}) == 4
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
