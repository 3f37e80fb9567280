"""One hop in three ways: consume, decode, make an event, encode, publish. The work between the engines is the same code.

`python -m benchmarks.hop_worker WAY GROUP SOURCE SINK` with `RADSTREAM_SETTINGS`; ends when it is killed.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import faust
from confluent_kafka import Consumer, Producer
from mode import Worker

from runtime import connections as connecting
from runtime import process
from runtime.audit import audit_event
from runtime.connections import Connections, Engines
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.registry import EmbeddedRegistry
from runtime.embedded.tables import EmbeddedTables
from runtime.kafka import KafkaLog
from runtime.ports import Registry
from runtime.publishing import register_schema
from runtime.settings import KafkaSettings, Settings, load_settings
from schemas.codec import decode, encode
from schemas.events import AuditEvent, Envelope, InstanceReceived
from schemas.identifiers import deterministic_uuid
from stream_processors import app
from stream_processors.step import Output, Step, StepContext, To

BATCH = 500
"""Records that the bare loop takes, confirms and commits together."""


def kafka_of(settings: Settings) -> KafkaSettings:
    """Where the broker is."""
    assert settings.cluster is not None
    return settings.cluster.kafka


def engines(settings: Settings) -> Engines:
    """Kafka's log beside embedded ports, which a hop does not touch."""
    return Engines(
        log=KafkaLog(kafka_of(settings)),
        objects=EmbeddedObjects(settings.data / "objects"),
        tables=EmbeddedTables(settings.data / "tables"),
        registry=EmbeddedRegistry(settings.data / "registry"),
    )


def made(envelope: Envelope) -> AuditEvent:
    """What each way publishes."""
    return audit_event(envelope, [envelope.study], "hop", "benchmark", actor="hop")


def ours(group: str, source: str, sink: str) -> None:
    """The product's binding."""

    async def run(event: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
        yield To(sink, made(context.envelope(event, "hop", event.envelope.event_id)))

    async def work(connections: Connections, stop: process.Stop) -> None:
        step = Step(summary="One hop.", reads=(source,), emits=(sink,), run=run)
        await app.run(group, step, connections, stop)

    connecting.engines = engines
    process.run(group, work)


def transform(registry: Registry) -> Callable[[bytes], tuple[bytes, bytes]]:
    """The work of the two others: value to key and value."""
    number = register_schema(registry, "AuditEvent")

    def transformed(value: bytes) -> tuple[bytes, bytes]:
        envelope = decode(value, registry).envelope
        name = deterministic_uuid("hop", envelope.site, envelope.study, envelope.event_id)
        out = made(replace(envelope, event_id=name, causation_id=envelope.event_id))
        return envelope.study.encode(), encode(out, number)

    return transformed


def stock(group: str, source: str, sink: str) -> None:
    """Faust as its own guide shows it: one event at a time, sent and not waited for."""
    settings = load_settings()
    work = transform(EmbeddedRegistry(settings.data / "registry"))
    worker = faust.App(
        group,
        broker=f"aiokafka://{kafka_of(settings).bootstrap}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        web_enabled=False,
        datadir=settings.data / "stock",
    )
    taken = worker.topic(source, key_serializer="raw", value_serializer="raw")
    given = worker.topic(sink, key_serializer="raw", value_serializer="raw")

    async def hop(stream: Any) -> None:
        async for value in stream:
            key, out = work(value)
            await given.send(key=key, value=out)  # type: ignore[unused-awaitable]  # that is the stock idiom

    worker.agent(taken)(hop)
    Worker(worker, loglevel="WARNING").execute_from_commandline()


def bare(group: str, source: str, sink: str) -> None:
    """A loop over confluent-kafka, confirmed and committed batch by batch: what no engine can pass."""
    settings = load_settings()
    work = transform(EmbeddedRegistry(settings.data / "registry"))
    client = {"bootstrap.servers": kafka_of(settings).bootstrap}
    confirmed = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "partitioner": "murmur2_random"}
    producer = Producer({**client, **confirmed})
    by_hand = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**client, "group.id": group, **by_hand})
    consumer.subscribe([source])
    while True:
        messages = consumer.consume(BATCH, 0.1)
        for message in messages:
            key, out = work(message.value() or b"")
            producer.produce(sink, out, key)
        producer.flush()
        if messages:
            consumer.commit(asynchronous=False)


WAYS = {"ours": ours, "stock": stock, "bare": bare}


def main(way: str, *where: str) -> None:
    """Work until killed."""
    WAYS[way](*where)


if __name__ == "__main__":
    main(*sys.argv[1:])
