"""What is released stays readable, in both directions and over all versions (FULL_TRANSITIVE)."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import fastavro
import pytest

from schemas.codec import parsed_schema
from schemas.compatibility import incompatibilities
from tests.support.avro import SCHEMAS, JsonObject, avsc_files, load

RELEASED = sorted((SCHEMAS / "released").glob("*/*.avsc"))


def field(schema, name):
    return next(one for one in schema["fields"] if one["name"] == name)


def added(schema):
    schema["fields"].append({"name": "laterality", "type": "string", "doc": "Side.", "phi": "clinical"})


def removed(schema):
    schema["fields"].remove(field(schema, "status"))


def renamed(schema):
    field(schema, "status")["name"] = "state"


def renamed_with_alias(schema):
    field(schema, "status").update(name="state", aliases=["status"])


def retyped(schema):
    field(schema, "revision")["type"] = "string"


def widened(schema):
    field(schema, "revision")["type"] = "long"


def another_time(schema):
    field(schema, "received_at")["type"]["logicalType"] = "timestamp-millis"


def nullable(schema):
    field(schema, "status")["type"] = ["null", "string"]


def one_instead_of_many(schema):
    field(schema, "findings")["type"] = field(schema, "findings")["type"]["items"]


def nested(schema):
    finding = field(schema, "findings")["type"]["items"]
    finding["fields"].append({"name": "laterality", "type": "string"})


def branch_removed(schema):
    box = field(field(schema, "findings")["type"]["items"], "box")
    box.update(type="null")


def branch_added(schema):
    field(field(schema, "findings")["type"]["items"], "box")["type"].append("string")


def renamed_record(schema):
    field(schema, "findings")["type"]["items"]["name"] = "Observation"


def renamed_event(schema):
    schema["name"] = "Results"


REFUSED = [
    added, removed, renamed, renamed_with_alias, retyped, widened, another_time, nullable, one_instead_of_many, nested,
    branch_removed, branch_added, renamed_record, renamed_event,
]  # fmt: skip


def added_with_default(schema):
    schema["fields"].append({"name": "laterality", "type": "string", "default": ""})


def added_in_the_middle(schema):
    schema["fields"].insert(1, {"name": "laterality", "type": ["null", "string"], "default": None})


def nested_with_default(schema):
    field(schema, "findings")["type"]["items"]["fields"].append({"name": "rank", "type": "int", "default": 0})


def reordered(schema):
    schema["fields"].reverse()


def described(schema):
    field(schema, "status")["doc"] = "Said better."


def optional_removed(schema):
    finding = field(schema, "findings")["type"]["items"]
    finding["fields"].remove(field(finding, "box"))


ACCEPTED = [
    added_with_default,
    added_in_the_middle,
    nested_with_default,
    reordered,
    described,
    optional_removed,
]


@pytest.fixture
def findings():
    return load(SCHEMAS / "released" / "findings" / "1.avsc")


def test_every_event_is_released_and_versions_count_from_one():
    versions: dict[str, list[int]] = {}
    for path in RELEASED:
        versions.setdefault(path.parent.name, []).append(int(path.stem))
    assert versions.keys() == {path.stem for path in avsc_files()}
    assert {name: sorted(found) for name, found in versions.items()} == {
        name: list(range(1, len(found) + 1)) for name, found in versions.items()
    }


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_today_s_schema_and_a_released_one_read_each_other(path):
    assert incompatibilities(load(path), load(SCHEMAS / "avro" / f"{path.parent.name}.avsc")) == []


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_a_change_that_breaks_readers_or_writers_is_refused(findings, change):
    changed = copy.deepcopy(findings)
    change(changed)
    assert incompatibilities(findings, changed) != []


@pytest.mark.parametrize("change", ACCEPTED, ids=lambda change: change.__name__)
def test_a_change_that_breaks_nobody_is_accepted_and_records_pass_both_ways(findings, change):
    changed = copy.deepcopy(findings)
    change(changed)
    assert incompatibilities(findings, changed) == []
    old, new = (parsed_schema(json.dumps(schema)) for schema in (findings, changed))
    example = load(SCHEMAS / "examples" / "findings" / "typical.json")
    for writer, reader in ((old, new), (new, old)):
        data = io.BytesIO()
        fastavro.schemaless_writer(data, writer, with_defaults(writer, example))
        data.seek(0)
        assert read(data, writer, reader)["result_id"] == example["result_id"]


def read(data: io.BytesIO, writer: JsonObject, reader: JsonObject) -> JsonObject:
    record: Any = fastavro.schemaless_reader(data, writer, reader)
    return dict(record)


def with_defaults(schema, example):
    return {one["name"]: example.get(one["name"], one.get("default")) for one in schema["fields"]}
