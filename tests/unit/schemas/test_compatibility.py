from __future__ import annotations

import io
import itertools

import fastavro
import pytest

from schemas.compatibility import incompatibilities, unreadable


def record(*fields, name="R", **more):
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(kind, name="a", **more):
    return {"name": name, "type": kind, **more}


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
CASES = [
    pytest.param("int", "long", True, id="int to long"),
    pytest.param("int", "double", True, id="int to double"),
    pytest.param("float", "double", True, id="float to double"),
    pytest.param("string", "bytes", True, id="string to bytes"),
    pytest.param("bytes", "string", True, id="bytes to string"),
    pytest.param("long", "int", False, id="long to int"),
    pytest.param("double", "float", False, id="double to float"),
    pytest.param("boolean", "int", False, id="boolean to int"),
    pytest.param("int", "string", False, id="int to string"),
    pytest.param("null", "string", False, id="null to string"),
    pytest.param("string", ["null", "string"], True, id="into a union"),
    pytest.param("int", ["null", "long"], True, id="promoted into a union"),
    pytest.param("int", ["null", "string"], False, id="into a union without it"),
    pytest.param(["null", "string"], "string", False, id="out of a union"),
    pytest.param(["string"], "string", True, id="out of a union of one"),
    pytest.param(["null", "int"], ["null", "int", "string"], True, id="into a wider union"),
    pytest.param(["null", "int", "string"], ["null", "int"], False, id="into a narrower union"),
    pytest.param(
        {"type": "array", "items": "int"}, {"type": "array", "items": "long"}, True, id="items promoted"
    ),
    pytest.param(
        {"type": "array", "items": "long"}, {"type": "array", "items": "int"}, False, id="items narrowed"
    ),
    pytest.param({"type": "array", "items": "int"}, "int", False, id="array to its item"),
    pytest.param(
        {"type": "map", "values": "int"}, {"type": "map", "values": "long"}, True, id="values promoted"
    ),
    pytest.param(
        {"type": "map", "values": "int"}, {"type": "map", "values": "string"}, False, id="values retyped"
    ),
    pytest.param(
        {"type": "map", "values": "int"}, {"type": "array", "items": "int"}, False, id="map to array"
    ),
    pytest.param(ENUM, {**ENUM, "symbols": ["A", "B", "C"]}, True, id="symbol added"),
    pytest.param({**ENUM, "symbols": ["A", "B", "C"]}, ENUM, False, id="symbol removed"),
    pytest.param(
        {**ENUM, "symbols": ["C"]}, {**ENUM, "default": "A"}, True, id="symbol removed with a default"
    ),
    pytest.param(ENUM, {**ENUM, "name": "F"}, False, id="enum renamed"),
    pytest.param(ENUM, "string", False, id="enum to string"),
    pytest.param(
        {"type": "fixed", "name": "X", "size": 4}, {"type": "fixed", "name": "X", "size": 5}, False, id="size"
    ),
    pytest.param(
        {"type": "long", "logicalType": "timestamp-micros"}, "long", False, id="logical type dropped"
    ),
    pytest.param(record(name="S"), record(name="S", namespace="other"), True, id="another namespace"),
    pytest.param(record(name="S"), record(name="T"), False, id="another name"),
    pytest.param(record(name="S"), record(field("int"), name="S"), False, id="field without default"),
    pytest.param(record(name="S"), record(field("int", default=0), name="S"), True, id="field with default"),
    pytest.param(record(field("int"), name="S"), record(name="S"), True, id="field not read"),
]


@pytest.mark.parametrize(("writer", "reader", "readable"), CASES)
def test_a_reader_resolves_what_avro_says(writer, reader, readable):
    reasons = unreadable(writer=record(field(writer)), reader=record(field(reader)))
    assert (reasons == []) == readable


@pytest.mark.parametrize(("writer", "reader", "readable"), CASES)
def test_both_directions_count(writer, reader, readable):
    old, new = record(field(writer)), record(field(reader))
    both = readable and unreadable(writer=new, reader=old) == []
    assert (incompatibilities(old, new) == []) == both
    assert (incompatibilities(new, old) == []) == both


PRIMITIVES = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "bytes": b"1",
    "string": "1",
}


@pytest.mark.parametrize(("writer", "reader"), list(itertools.product(PRIMITIVES, repeat=2)))
def test_primitives_resolve_as_in_the_library_that_reads_them(writer, reader):
    data = io.BytesIO()
    old, new = record(field(writer)), record(field(reader))
    fastavro.schemaless_writer(data, old, {"a": PRIMITIVES[writer]})
    data.seek(0)
    try:
        fastavro.schemaless_reader(data, old, new)
        reads = True
    except fastavro.read.SchemaResolutionError:
        reads = False
    assert (unreadable(writer=old, reader=new) == []) == reads


def test_a_reason_names_the_field_and_the_direction():
    inner = {"type": "array", "items": record(field("int"), name="S")}
    changed = {"type": "array", "items": record(field("string"), name="S")}
    assert incompatibilities(record(field(inner)), record(field(changed))) == [
        "new readers, old records: record.a[].a: int cannot be read as string",
        "old readers, new records: record.a[].a: string cannot be read as int",
    ]


def test_a_type_is_looked_up_by_its_name():
    twice = record(field(record(field("int"), name="S")), field("S", "b"), namespace="n")
    full = record(field(record(field("int"), name="S")), field("n.S", "b"), namespace="n")
    spoilt = record(field(record(field("int"), name="S")), field("int", "b"), namespace="n")
    assert incompatibilities(twice, full) == []
    assert incompatibilities(twice, spoilt) != []


def test_a_type_may_contain_itself():
    def tree(kind):
        return record(field(kind), field(["null", "Node"], "next", default=None), name="Node")

    assert incompatibilities(tree("int"), tree("int")) == []
    assert incompatibilities(tree("int"), tree("string")) != []
