"""What Kafka's errors mean for whoever asked: try again, give the record up, or stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from runtime.errors import DeadLetterError, OutageError, StopError

T = TypeVar("T")

OUTAGES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._NOENT,  # librdkafka's word where offsets of a partition are asked for that nobody leads
        KafkaError._PARTIAL,  # and where a cluster without topics answers that it has no brokers
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.INVALID_REPLICATION_FACTOR,  # fewer brokers than copies: others are starting, or were put aside
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""What passes when the cluster is whole again and has settled who leads."""
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
UNKNOWN = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
)

TRY_S = 3.0
"""Seconds for the first try of a question; the next gets twice as many after one that used its time."""
SETTLE_S = 0.2
"""Seconds between two tries: leaders that move are known after one heartbeat of a broker, 2 s."""


def decision(error: KafkaError) -> Exception:
    """Error of ours that stands for one of Kafka's; what is not known to pass or to be the record's own fault stops."""
    if error.code() in TOO_LARGE:
        return DeadLetterError("record-too-large")
    if error.code() in UNKNOWN:
        return DeadLetterError("unknown-topic")
    if error.code() in OUTAGES or (error.retriable() and not error.fatal()):
        return OutageError(f"Kafka: {error.name()}")
    return StopError(f"Kafka: {error.name()}")


def asked(question: Callable[[], T]) -> T:
    """Ask Kafka; what it refuses becomes a decision."""
    try:
        return question()
    except KafkaException as error:
        raise decision(error.args[0]) from error


def answered(question: Callable[[float], T], anew: Callable[[], None], limit_s: float) -> T:
    """Ask within so many seconds, and again by a new client where Kafka does not answer.

    An old client may never answer. It goes on with the leader or the coordinator it knew; it does not see the leader come that it
    has begun to wait for; or the cluster told it once that it has no brokers, whereupon it forgot them all (librdkafka #5301).

    Parameters
    ----------
    question
        Gets the seconds that this try may take.
    """
    deadline = time.monotonic() + limit_s
    try_s = TRY_S
    while True:
        begun = time.monotonic()
        try:
            return question(max(min(try_s, deadline - begun), SETTLE_S))
        except OutageError:
            anew()
            ended = time.monotonic()
            if ended + SETTLE_S >= deadline:
                raise
        if ended - begun > try_s / 2:
            try_s *= 2
        time.sleep(SETTLE_S)
