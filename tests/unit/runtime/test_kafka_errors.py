from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.errors import DeadLetterError, OutageError, StopError
from runtime.kafka_errors import UnsettledError, asked, decision, settled


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._TRANSPORT, OutageError),
        (KafkaError._MSG_TIMED_OUT, OutageError),
        (KafkaError.NOT_LEADER_FOR_PARTITION, UnsettledError),
        (KafkaError.NOT_ENOUGH_REPLICAS, OutageError),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, UnsettledError),
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


def test_a_question_is_asked_again_by_a_new_client_while_leaders_move():
    asked_before: list[str] = []
    answers = iter([UnsettledError("Kafka: NOT_LEADER_FOR_PARTITION"), None])

    def question():
        if error := next(answers):
            raise error
        return "answer"

    assert settled(question, lambda: asked_before.append("anew"), 60.0) == "answer"
    assert asked_before == ["anew"]


@pytest.mark.parametrize(("error", "limit_s"), [(UnsettledError("moves"), 0.0), (OutageError("away"), 60.0)])
def test_a_question_is_not_asked_again_when_time_is_up_or_nobody_answers(error, limit_s):
    def question():
        raise error

    with pytest.raises(type(error), match=str(error)):
        settled(question, lambda: pytest.fail("a new client"), limit_s)
