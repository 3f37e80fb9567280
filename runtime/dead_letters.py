"""Records nobody could handle: kept encrypted in quarantine, and told of by an event with their provenance."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection

from runtime import buckets
from runtime.errors import DeadLetterError
from runtime.ports import Record, Registry
from runtime.publishing import Publisher
from runtime.sealed import SealedObjects
from schemas.codec import UndecodableError, decode
from schemas.events import DeadLetter, Envelope
from schemas.identifiers import deterministic_uuid
from schemas.topics import dead_letter_topic

UNKNOWN_SITE = "unknown"
"""Site of a record that does not say whose it is."""
UNEXPECTED = "unexpected-error"
"""Reason class of an error that carries no decision."""
STUDY = re.compile(r"st-[0-9a-f]{32}")
"""A study's pseudonym: the only key that may be repeated outside quarantine."""


REASON = re.compile(r"[a-z]{2,20}(-[a-z0-9]{1,20}){0,7}")
"""A reason class. What is written in another way is a sentence, which may quote what it is about."""


class DeadLetters:
    """Takes records out of the way without losing them.

    Parameters
    ----------
    sealed
        Where the copy goes.
    publisher
        Tells of it.
    registry
        To find out whose record it is.
    sites
        Those that are configured: no other name is believed.
    """

    def __init__(
        self, sealed: SealedObjects, publisher: Publisher, registry: Registry, sites: Collection[str]
    ) -> None:
        self._sites = frozenset(sites)
        self._sealed = sealed
        self._publisher = publisher
        self._registry = registry

    def send(self, record: Record, *, consumer: str, error: BaseException, attempts: int) -> None:
        """Store the record, then publish its dead letter; both are safe on return.

        Raises
        ------
        RetryError
            Not both are confirmed: the record must not be acknowledged.
        """
        self._publisher.publish([self.stored(record, consumer=consumer, error=error, attempts=attempts)])

    def stored(
        self, record: Record, *, consumer: str, error: BaseException, attempts: int, site: str = ""
    ) -> tuple[str, DeadLetter]:
        """Store the record and return its dead letter with its topic, for publication together with other outputs.

        Doing it again gives the same object key and the same event id. `site` counts where the record itself names none; a site
        that is not configured is not repeated.
        """
        origin = self._origin(record)
        site = origin.site if origin else site if site in self._sites else UNKNOWN_SITE
        study = _study(record, origin)
        place = (consumer, record.topic, f"{record.partition}-{record.offset}", study)
        key = "/".join((site, "dead-letters", *filter(None, place)))
        self._sealed.put(buckets.QUARANTINE, key, _copy(record))
        event_id = deterministic_uuid("dead-letter", *place)
        envelope = self._publisher.envelope(
            site,
            study,
            event_id,
            correlation_id=origin.correlation_id if origin else event_id,
            causation_id=origin.event_id if origin else "",
            hops=origin.hops if origin else (),
        )
        return dead_letter_topic(consumer), DeadLetter(
            envelope=envelope,
            consumer=consumer,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason_of(error),
            error_type=type(error).__name__,
            attempts=attempts,
            bucket=buckets.QUARANTINE,
            object_key=key,
        )

    def _origin(self, record: Record) -> Envelope | None:
        try:
            origin = decode(record.value, self._registry).envelope
        except UndecodableError:
            return None
        return origin if origin.site in self._sites else None


def reason_of(error: BaseException) -> str:
    """Reason class of an error: its own where it carries one."""
    if not isinstance(error, (DeadLetterError, UndecodableError)):
        return UNEXPECTED
    return error.reason if REASON.fullmatch(error.reason) else UNEXPECTED


def _study(record: Record, origin: Envelope | None) -> str:
    """The record's study, as far as that is certainly a pseudonym."""
    if origin is not None:
        return origin.study if STUDY.fullmatch(origin.study) else ""
    key = record.key.decode("ascii", "replace")
    return key if STUDY.fullmatch(key) else ""


def _copy(record: Record) -> bytes:
    """The whole record as JSON, so that it can be put back."""
    return json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": _text(record.key),
            "value": None if record.value is None else _text(record.value),
            "headers": [[name, _text(value)] for name, value in record.headers],
        }
    ).encode("utf-8")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
