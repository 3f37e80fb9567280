"""Events onto the log: encoded, keyed by study, with CloudEvents headers, and confirmed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from runtime import VERSION
from runtime.clock import MICROSECONDS, Clock
from runtime.ports import Headers, OutgoingRecord, Producer, Registry
from runtime.tracing import traceparent
from schemas.codec import encode, schema_text
from schemas.events import EVENT_TYPES, Envelope, Event, Hop
from schemas.topics import subject

SPEC_VERSION = b"1.0"
"""CloudEvents version of the headers (Kafka protocol binding §3.2, binary content mode)."""
CONTENT_TYPE = b"application/avro"
"""The value is Avro; the schema's id stands in its first five bytes."""


class Publisher:
    """Writes events of one component.

    Parameters
    ----------
    producer
        Where records go.
    registry
        Gives the schema ids.
    clock
        For `recorded_at`.
    component
        Producer named in every envelope.
    key_id
        Epoch of the pseudonym key.
    """

    def __init__(
        self, producer: Producer, registry: Registry, clock: Clock, component: str, key_id: str
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._component = component
        self._key_id = key_id
        # The id under which this release's own schema stands: a newer release may have registered a newer one meanwhile.
        self._schema_id = lru_cache(maxsize=None)(lambda name: register_schema(registry, name))

    def publish(self, outputs: Sequence[tuple[str, Event]]) -> None:
        """Write (topic, event) pairs and return once each is confirmed.

        Raises
        ------
        RetryError
            At least one is not confirmed; publishing all again is right.
        DeadLetterError
            One can never be written; none was.
        """
        if outputs:
            self._producer.send([self._record(topic, event) for topic, event in outputs])

    def envelope(
        self,
        site: str,
        study: str,
        event_id: str,
        *,
        correlation_id: str,
        causation_id: str = "",
        occurred_at: int | None = None,
        hops: Sequence[Hop] = (),
    ) -> Envelope:
        """Envelope of an event that this component writes now.

        Parameters
        ----------
        occurred_at
            UTC microseconds; now by default.
        hops
            Stages passed before this one, which is appended.
        """
        now = self._clock.now()
        return Envelope(
            event_id=event_id,
            site=site,
            study=study,
            key_id=self._key_id,
            occurred_at=now if occurred_at is None else occurred_at,
            recorded_at=now,
            correlation_id=correlation_id,
            causation_id=causation_id,
            producer=self._component,
            producer_version=VERSION,
            hops=(*hops, Hop(name=self._component, at=now)),
        )

    def close(self) -> None:
        """Give the producer back."""
        self._producer.close()

    def _record(self, topic: str, event: Event) -> OutgoingRecord:
        name = type(event).__name__
        return OutgoingRecord(
            topic=topic,
            key=event.envelope.study.encode("utf-8"),
            value=encode(event, self._schema_id(name)),
            headers=cloud_event_headers(name, event.envelope, secrets.randbits(64)),
        )


def register_schemas(registry: Registry) -> None:
    """Register the schema of every event; the same schema gives the same id, so every process may do it at its start."""
    for name in EVENT_TYPES:
        register_schema(registry, name)


def register_schema(registry: Registry, event_name: str) -> int:
    """Register this release's schema of an event, or find it registered, and return its id."""
    return registry.register(subject(event_name), schema_text(event_name))


def cloud_event_headers(event_name: str, envelope: Envelope, random_bits: int) -> Headers:
    """Headers of one record: CloudEvents attributes, content type and trace context; nothing that the envelope lacks."""
    seconds, micros = divmod(envelope.occurred_at, MICROSECONDS)
    time = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return (
        ("ce_id", envelope.event_id.encode()),
        ("ce_type", subject(event_name).encode()),
        ("ce_source", f"/radstream/{envelope.site}/{envelope.producer}".encode()),
        ("ce_time", time.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()),
        ("ce_specversion", SPEC_VERSION),
        ("content-type", CONTENT_TYPE),
        ("traceparent", traceparent(envelope.correlation_id, random_bits).encode()),
    )
