from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from runtime.connections import Connections
from runtime.errors import DeadLetterError
from runtime.ports import Record
from schemas.codec import UndecodableError, decode, encode
from schemas.events import DeadLetter
from schemas.topics import dead_letter_topic
from tests.support.installation import connections, received, study


@pytest.fixture
def made(tmp_path: Path) -> Connections:
    return connections(tmp_path, "deidentify")


def sent(made: Connections) -> list[DeadLetter]:
    records = made.log.read(dead_letter_topic("deidentify"), 0, 0, 100)
    return [
        each
        for each in (decode(record.value, made.registry) for record in records)
        if isinstance(each, DeadLetter)
    ]


def test_poison_is_kept_encrypted_and_told_of_without_a_word_of_it(made: Connections) -> None:
    poison = Record("instance.received.v1", 3, 42, b"DOE^JANE", b"DOE^JANE", (("x", b"DOE^JANE"),), 7)
    made.dead_letters.send(poison, consumer="deidentify", error=UndecodableError("not-framed"), attempts=1)
    (letter,) = sent(made)
    assert (letter.topic, letter.partition, letter.offset) == ("instance.received.v1", 3, 42)
    assert (letter.reason, letter.error_type, letter.envelope.site) == (
        "not-framed",
        "UndecodableError",
        "unknown",
    )
    assert letter.envelope.study == ""
    assert "JANE" not in repr(letter)
    assert b"JANE" not in made.objects.get(letter.bucket, letter.object_key)
    kept = json.loads(
        made.sealed.read(letter.bucket, letter.object_key, site="unknown", study="", purpose="test")
    )
    assert base64.b64decode(kept["value"]) == b"DOE^JANE"
    made.close()


def test_a_letter_about_an_event_carries_its_site_study_and_correlation(made: Connections) -> None:
    event = received(5, "event 5")
    value = encode(event, made.registry.schema_id("InstanceReceived"))
    record = Record("instance.received.v1", 0, 1, study(5).encode(), value, (), 7)
    for _ in range(2):
        made.dead_letters.send(record, consumer="deidentify", error=ValueError("DOE^JANE"), attempts=3)
    first, second = sent(made)
    assert (first.envelope.site, first.envelope.study) == ("north", study(5))
    assert (first.envelope.correlation_id, first.envelope.causation_id) == (
        "correlation of event 5",
        "event 5",
    )
    assert (first.reason, first.error_type, first.attempts) == ("unexpected-error", "ValueError", 3)
    assert first.envelope.event_id == second.envelope.event_id
    assert first.object_key == second.object_key
    made.close()


def test_a_site_nobody_configured_is_not_repeated(made: Connections) -> None:
    value = encode(received(5, "event 5", site="DOE^JANE"), made.registry.schema_id("InstanceReceived"))
    record = Record("instance.received.v1", 0, 1, b"", value, (), 7)
    made.dead_letters.send(record, consumer="deidentify", error=DeadLetterError("bad"), attempts=1)
    (letter,) = sent(made)
    assert letter.envelope.site == "unknown"
    assert "JANE" not in letter.object_key
    made.close()
