from __future__ import annotations

import io
import json

import fastavro
import pytest

from schemas.codec import (
    HEADER,
    UndecodableError,
    decode,
    encode,
    file_stem,
    from_record,
    parsed_schema,
    schema_text,
)
from schemas.events import EVENT_TYPES, StudyState
from tests.support.avro import SCHEMAS, load


class Schemas:
    """A registry of one's own making."""

    def __init__(self, texts):
        self.texts = texts

    def schema_id(self, event_name):
        return next(number for number, text in self.texts.items() if json.loads(text)["name"] == event_name)

    def schema_text(self, schema_id):
        return self.texts.get(schema_id)


STATE = from_record(StudyState, load(SCHEMAS / "examples" / "study_state" / "typical.json"))
GOOD = encode(STATE, 1)
OTHERS = {
    1: schema_text("StudyState"),
    2: json.dumps({"type": "record", "name": "Elsewhere", "fields": []}),
    3: "not json",
    4: json.dumps({"type": "record", "name": "StudyState", "namespace": "radstream", "fields": []}),
}


def test_an_event_comes_back_from_its_bytes():
    assert decode(GOOD, Schemas(OTHERS)) == STATE
    assert HEADER.unpack_from(GOOD) == (0, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(None, "null-value", id="null"),
        pytest.param(b"", "not-framed", id="empty"),
        pytest.param(GOOD[:4], "not-framed", id="short"),
        pytest.param(b"\x01" + GOOD[1:], "not-framed", id="wrong magic"),
        pytest.param(b'{"json": 1}', "not-framed", id="json"),
        pytest.param(HEADER.pack(0, 99) + GOOD[5:], "unknown-schema", id="unknown id"),
        pytest.param(HEADER.pack(0, 2), "unknown-event", id="another system's event"),
        pytest.param(HEADER.pack(0, 3) + GOOD[5:], "invalid-schema", id="a broken schema"),
        pytest.param(HEADER.pack(0, 4), "corrupt", id="a schema we cannot resolve"),
        pytest.param(GOOD[:5], "corrupt", id="nothing behind the frame"),
        pytest.param(GOOD[:-1], "corrupt", id="truncated by a byte"),
        pytest.param(GOOD[: len(GOOD) // 2], "corrupt", id="truncated by half"),
        pytest.param(GOOD + b"\0", "corrupt", id="trailing bytes"),
        pytest.param(GOOD[:6] + b"\xff" * 40 + GOOD[46:], "corrupt", id="no UTF-8"),
        pytest.param(HEADER.pack(0, 1) + b"\xff" * 30, "corrupt", id="lengths beyond sense"),
    ],
)
def test_bytes_that_are_no_event_have_a_reason_and_show_no_value(data, reason):
    with pytest.raises(UndecodableError) as refused:
        decode(data, Schemas(OTHERS))
    assert refused.value.reason == reason
    assert str(refused.value) == reason


def test_no_prefix_of_an_event_is_an_event():
    for end in range(len(GOOD)):
        with pytest.raises(UndecodableError):
            decode(GOOD[:end], Schemas(OTHERS))


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_record_of_an_older_schema_takes_the_new_field_s_default(name):
    newer = json.loads(schema_text(name))
    older = json.dumps({**newer, "fields": [one for one in newer["fields"] if "default" not in one]})
    example = load(SCHEMAS / "examples" / file_stem(name) / "typical.json")
    event = from_record(EVENT_TYPES[name], example)
    registry = Schemas({5: schema_text(name), 6: older})
    lacking = [one["name"] for one in newer["fields"] if "default" in one]
    if not lacking:
        assert decode(encode(event, 6), registry) == event
        return
    data = encode_under(older, {key: value for key, value in example.items() if key not in lacking})
    assert [getattr(decode(data, registry), one) for one in lacking] == [None] * len(lacking)


def encode_under(text, record):
    out = io.BytesIO(HEADER.pack(0, 6))
    out.seek(HEADER.size)
    fastavro.schemaless_writer(out, parsed_schema(text), record)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "stem"), [("Findings", "findings"), ("InstanceReceived", "instance_received")]
)
def test_a_file_is_named_after_its_event(name, stem):
    assert file_stem(name) == stem
