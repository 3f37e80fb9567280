from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import events
from schemas.codec import decode, encode, schema_text
from schemas.events import EVENT_TYPES
from tests.support.avro import SCHEMAS, load, records

INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
SCALARS = {
    str: st.text(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    bytes: st.binary(),
}


def wide() -> set[tuple[str, str]]:
    """Record and field of every integer that is a `long`."""
    return {
        (record["name"], field["name"])
        for path in sorted((SCHEMAS / "avro").glob("*.avsc"))
        for record in records(load(path))
        for field in record["fields"]
        if field["type"] == "long" or (isinstance(field["type"], dict) and field["type"]["type"] == "long")
    }


WIDE = wide()


def values(annotation, place):
    if typing.get_origin(annotation) is tuple:
        return st.lists(values(typing.get_args(annotation)[0], place), max_size=3).map(tuple)
    options = [part for part in typing.get_args(annotation) if part is not type(None)]
    if options:
        return st.none() | values(options[0], place)
    if dataclasses.is_dataclass(annotation):
        return built(annotation)
    if annotation is int:
        return LONG if place in WIDE else INT
    return SCALARS[annotation]


def built(cls):
    hints = typing.get_type_hints(cls, vars(events))
    return st.builds(cls, **{name: values(hint, (cls.__name__, name)) for name, hint in hints.items()})


@pytest.mark.parametrize("name", EVENT_TYPES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_event_comes_back_from_its_bytes(name, data):
    class One:
        def schema_id(self, event_name):
            return 1

        def schema_text(self, schema_id):
            return schema_text(name)

    event = data.draw(built(EVENT_TYPES[name]))
    assert decode(encode(event, 1), One()) == event
