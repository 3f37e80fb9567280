"""What Kafka's errors mean for whoever asked: try again, give the record up, or stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from runtime.errors import DeadLetterError, OutageError, StopError

T = TypeVar("T")

UNSETTLED = frozenset(
    {
        KafkaError._NOENT,  # librdkafka's word where offsets of a partition are asked for that nobody leads
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""What a cluster answers that is there and has not settled who leads: a broker was put aside, came back, or stood still."""
OUTAGES = UNSETTLED | frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""What passes when the cluster is whole again."""
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
UNKNOWN = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
)


SETTLE_S = 0.2
"""Seconds between two questions while leaders move: it takes one heartbeat of a broker, 2 s."""


class UnsettledError(OutageError):
    """The cluster answers and has not settled who leads; asked again by a new client, it soon says."""


def decision(error: KafkaError) -> Exception:
    """Error of ours that stands for one of Kafka's; what is not known to pass or to be the record's own fault stops."""
    if error.code() in TOO_LARGE:
        return DeadLetterError("record-too-large")
    if error.code() in UNKNOWN:
        return DeadLetterError("unknown-topic")
    if error.code() in UNSETTLED:
        return UnsettledError(f"Kafka: {error.name()}")
    if error.code() in OUTAGES or (error.retriable() and not error.fatal()):
        return OutageError(f"Kafka: {error.name()}")
    return StopError(f"Kafka: {error.name()}")


def asked(question: Callable[[], T]) -> T:
    """Ask Kafka; what it refuses becomes a decision."""
    try:
        return question()
    except KafkaException as error:
        raise decision(error.args[0]) from error


def settled(question: Callable[[], T], anew: Callable[[], None], limit_s: float) -> T:
    """Ask again while leaders move, by a new client: an old one may go on with what it knew, and be refused for ever."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return question()
        except UnsettledError:
            if time.monotonic() >= deadline:
                raise
        anew()
        time.sleep(SETTLE_S)
