"""The Avro files, the dataclasses and the examples say the same."""

from __future__ import annotations

import copy
import dataclasses
import json
import types
import typing
from typing import Any

import fastavro
import pytest

from schemas import codec, events
from schemas.codec import file_stem, from_record, parsed_schema, schema_text, to_record
from schemas.events import EVENT_TYPES
from schemas.topics import catalogue
from tests.support.avro import SCHEMAS, avsc_files, load, records

PHI_CLASSES = {"none", "pseudonym", "clinical"}
"""What a topic may carry. There is a fourth class, `identity`: no topic may."""

PRIMITIVES = {str: "string", bool: "boolean", float: "double", bytes: "bytes"}

EXAMPLES = sorted((SCHEMAS / "examples").glob("*/*.json"))


def avro_form(annotation: Any) -> Any:
    """What an annotation of `events.py` is in Avro; an integer may be `int` or `long`, as the schema decides."""
    if typing.get_origin(annotation) is tuple:
        return {"array": avro_form(typing.get_args(annotation)[0])}
    if isinstance(annotation, types.UnionType):
        return ["null", *(avro_form(part) for part in typing.get_args(annotation) if part is not type(None))]
    if dataclasses.is_dataclass(annotation):
        return typing.cast("type[Any]", annotation).__name__
    return "integer" if annotation is int else PRIMITIVES[annotation]


def schema_form(schema):
    """The same of a field in an Avro file."""
    if isinstance(schema, list):
        return [schema_form(branch) for branch in schema]
    if isinstance(schema, dict):
        if schema["type"] == "array":
            return {"array": schema_form(schema["items"])}
        return schema["name"] if schema["type"] == "record" else schema_form(schema["type"])
    return "integer" if schema in {"int", "long"} else schema.rpartition(".")[2]


def faults(schema):
    """What is wrong with the fields of a schema."""
    found = []
    for record in records(schema):
        if not record.get("doc"):
            found.append(f"{record['name']}: no doc")
        for field in record["fields"]:
            place = f"{record['name']}.{field['name']}"
            if not str(field.get("doc", "")).strip():
                found.append(f"{place}: no doc")
            if field.get("phi") not in PHI_CLASSES:
                found.append(f"{place}: PHI class {field.get('phi')}")
    return found


def test_every_event_has_its_schema_and_its_examples_and_there_are_no_others():
    stems = {file_stem(name) for name in EVENT_TYPES}
    assert {path.stem for path in avsc_files()} == stems
    assert {path.parent.name for path in EXAMPLES} == stems
    assert {path.name for path in (SCHEMAS / "examples").iterdir()} == stems
    assert set(typing.get_args(events.Event)) == set(EVENT_TYPES.values())
    assert {name: cls.__name__ for name, cls in EVENT_TYPES.items()} == {name: name for name in EVENT_TYPES}


def test_every_event_is_carried_by_a_topic():
    assert {topic.event for topic in catalogue().values()} | {"DeadLetter"} == set(EVENT_TYPES)


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_the_dataclass_is_the_schema_field_by_field(name):
    schema = load(SCHEMAS / "avro" / f"{file_stem(name)}.avsc")
    assert (schema["name"], schema["namespace"]) == (name, "radstream")
    for record in records(schema):
        cls = getattr(events, record["name"])
        hints = typing.get_type_hints(cls)
        assert [(field.name, avro_form(hints[field.name])) for field in dataclasses.fields(cls)] == [
            (field["name"], schema_form(field["type"])) for field in record["fields"]
        ]


def test_every_class_of_the_events_file_is_in_a_schema():
    named = {record["name"] for path in avsc_files() for record in records(load(path))}
    written = {name for name, cls in vars(events).items() if dataclasses.is_dataclass(cls)}
    assert written == named


@pytest.mark.parametrize("path", avsc_files(), ids=lambda path: path.stem)
def test_every_field_is_documented_and_carries_no_identity(path):
    assert faults(load(path)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"phi": "identity"}, "Finding.finding: PHI class identity"),
        ({"phi": None}, "Finding.finding: PHI class None"),
        ({"doc": " "}, "Finding.finding: no doc"),
    ],
)
def test_a_field_that_carries_identity_or_says_nothing_is_refused(change, fault):
    schema = load(SCHEMAS / "avro" / "findings.avsc")
    finding = next(record for record in records(schema) if record["name"] == "Finding")
    finding["fields"][0].update(change)
    assert faults(schema) == [fault]


def test_the_envelope_is_the_first_field_and_identical_everywhere():
    envelopes = []
    for path in avsc_files():
        first = load(path)["fields"][0]
        assert first["name"] == "envelope"
        envelopes.append(first["type"])
    assert [envelope for envelope in envelopes if envelope != envelopes[0]] == []


@pytest.mark.parametrize(
    "record", sorted({record["name"] for path in avsc_files() for record in records(load(path))})
)
def test_a_record_is_the_same_in_every_schema_that_has_it(record):
    found = [one for path in avsc_files() for one in records(load(path)) if one["name"] == record]
    assert [one for one in found if one != found[0]] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_is_valid_and_comes_back_from_its_bytes(path, one_schema):
    name = next(name for name in EVENT_TYPES if file_stem(name) == path.parent.name)
    example = json.loads(path.read_text("utf-8"))
    fastavro.validate(example, parsed_schema(schema_text(name)), strict=True)
    event = from_record(EVENT_TYPES[name], copy.deepcopy(example))
    assert to_record(event) == example
    assert codec.decode(codec.encode(event, 7), one_schema(name)) == event


@pytest.fixture
def one_schema():
    class OneSchema:
        def __init__(self, name):
            self.name = name

        def schema_id(self, event_name):
            return 7

        def schema_text(self, schema_id):
            return schema_text(self.name)

    return OneSchema
