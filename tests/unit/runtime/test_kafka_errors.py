from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.errors import DeadLetterError, OutageError, StopError
from runtime.kafka_errors import SETTLE_S, TRY_S, answered, asked, decision


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._TRANSPORT, OutageError),
        (KafkaError._MSG_TIMED_OUT, OutageError),
        (KafkaError.NOT_LEADER_FOR_PARTITION, OutageError),
        (KafkaError.NOT_ENOUGH_REPLICAS, OutageError),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, OutageError),
        (KafkaError.INVALID_REPLICATION_FACTOR, OutageError),
        (KafkaError._PARTIAL, OutageError),
        (KafkaError.MSG_SIZE_TOO_LARGE, DeadLetterError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, DeadLetterError),
        (KafkaError.FENCED_INSTANCE_ID, StopError),
        (KafkaError.UNKNOWN_MEMBER_ID, StopError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, StopError),
        (KafkaError._FATAL, StopError),
    ],
)
def test_an_error_of_kafka_s_decides_what_is_done(code, expected):
    assert type(decision(KafkaError(code))) is expected


def test_what_would_pass_stops_the_process_when_the_client_itself_is_broken():
    broken = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "gap", fatal=True)

    assert type(decision(broken)) is StopError


def test_a_refused_question_is_a_decision_without_the_words_of_the_broker():
    def question():
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "DOE^JANE"))

    with pytest.raises(StopError) as refused:
        asked(question)
    assert str(refused.value) == "Kafka: TOPIC_AUTHORIZATION_FAILED"


class Clock:
    """Time that passes where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    fake = Clock()
    monkeypatch.setattr("runtime.kafka_errors.time.monotonic", lambda: fake.now)
    monkeypatch.setattr("runtime.kafka_errors.time.sleep", fake.sleep)
    return fake


@pytest.mark.parametrize(
    ("takes_s", "limits"),
    [
        (0, [TRY_S, TRY_S, TRY_S]),  # at once: a leader moves
        (TRY_S, [TRY_S, 2 * TRY_S, 4 * TRY_S]),  # used up: the client never answers, or the machine is slow
    ],
)
def test_a_question_is_asked_again_by_a_new_client(clock, takes_s, limits):
    given, clients = [], []

    def question(limit_s):
        given.append(limit_s)
        if len(given) == len(limits):
            return "answer"
        clock.sleep(limit_s if takes_s else 0)
        raise OutageError("Kafka: _TRANSPORT")

    assert answered(question, lambda: clients.append("new"), 60.0) == "answer"
    assert (given, clients) == (limits, ["new"] * (len(limits) - 1))


@pytest.mark.parametrize("takes_s", [0, 1.0, 60.0])
def test_a_question_is_given_up_in_time_and_leaves_a_new_client(clock, takes_s):
    limit_s, given, clients = 10.0, [], []

    def question(try_s):
        given.append(try_s)
        clock.sleep(min(takes_s, try_s))
        raise OutageError("away")

    with pytest.raises(OutageError, match="away"):
        answered(question, lambda: clients.append("new"), limit_s)

    assert limit_s - SETTLE_S <= clock.now <= limit_s + SETTLE_S
    assert len(clients) == len(given)


@pytest.mark.parametrize("error", [DeadLetterError("unknown-topic"), StopError("not allowed")])
def test_what_kafka_has_answered_is_not_asked_again(error):
    def question(_):
        raise error

    with pytest.raises(type(error)):
        answered(question, lambda: pytest.fail("a new client"), 60.0)
