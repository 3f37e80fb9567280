"""What every implementation of the registry port does. A subclass supplies the fixture `opener`."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from runtime.errors import StopError
from runtime.ports import IncompatibleSchemaError, Registry
from schemas.topics import subject
from tests.support.port_driver import Opener, driver


def schema(event: str, **defaults: Any) -> str:
    """A record of text fields; each argument is a field with that default."""
    fields = [{"name": "a", "type": "string"}]
    fields += [{"name": name, "type": "string", "default": value} for name, value in defaults.items()]
    return json.dumps({"type": "record", "name": event, "namespace": "radstream", "fields": fields})


class RegistryConformance:
    """Run by every implementation."""

    @pytest.fixture
    def registry(self, opener: Opener) -> Registry:
        opened: Registry = opener.open()
        return opened

    @pytest.fixture
    def event(self) -> str:
        return f"E{uuid.uuid4().hex}"

    def test_a_registered_schema_is_found_by_its_id(self, registry, event):
        number = registry.register(subject(event), schema(event))
        assert json.loads(registry.schema_text(number)) == json.loads(schema(event))
        assert registry.schema_id(event) == number

    def test_the_same_schema_has_the_same_id(self, registry, event):
        text = schema(event)
        spaced = json.dumps(json.loads(text), indent=4)
        assert registry.register(subject(event), text) == registry.register(subject(event), text)
        assert registry.register(subject(event), text) == registry.register(subject(event), spaced)

    def test_a_compatible_schema_becomes_the_newest_and_the_old_one_stays(self, registry, event):
        first = registry.register(subject(event), schema(event))
        second = registry.register(subject(event), schema(event, b=""))
        assert first != second
        assert registry.schema_id(event) == second
        assert json.loads(registry.schema_text(first)) == json.loads(schema(event))

    def test_registering_an_old_schema_again_does_not_make_it_the_newest(self, registry, event):
        first = registry.register(subject(event), schema(event))
        second = registry.register(subject(event), schema(event, b=""))
        assert registry.register(subject(event), schema(event)) == first
        assert registry.schema_id(event) == second

    @pytest.mark.parametrize(
        ("change", "value"),
        [
            pytest.param(
                "fields", [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}], id="added"
            ),
            pytest.param("fields", [], id="removed"),
            pytest.param("fields", [{"name": "a", "type": "long"}], id="retyped"),
        ],
    )
    def test_an_incompatible_schema_is_refused_and_leaves_no_trace(self, registry, event, change, value):
        first = registry.register(subject(event), schema(event))
        with pytest.raises(IncompatibleSchemaError):
            registry.register(subject(event), json.dumps(json.loads(schema(event)) | {change: value}))
        assert registry.schema_id(event) == first

    def test_compatibility_counts_against_every_version(self, registry, event):
        registry.register(subject(event), schema(event, b=""))
        registry.register(subject(event), schema(event))
        retyped = json.loads(schema(event))
        retyped["fields"].append({"name": "b", "type": "long", "default": 0})
        with pytest.raises(IncompatibleSchemaError):
            registry.register(subject(event), json.dumps(retyped))

    @pytest.mark.parametrize(
        "text",
        [
            "", "nonsense", "{}", "[]", '"string"', '{"type": "record", "name": "R"}', '{"type": "nonsense"}',
            '{"type": "record", "fields": []}', '{"type": "record", "name": "R", "fields": [{"name": "a"}]}',
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "nonsense"}]}',
        ],
    )  # fmt: skip
    def test_what_is_no_schema_is_refused(self, registry, event, text):
        with pytest.raises(IncompatibleSchemaError):
            registry.register(subject(event), text)

    def test_what_nobody_registered_is_unknown(self, registry, event):
        assert registry.schema_text(2_000_000_000) is None
        with pytest.raises(StopError):
            registry.schema_id(event)

    def test_processes_that_register_at_once_get_one_id(self, opener, registry, event):
        with driver(opener) as one, driver(opener) as two, driver(opener) as three:
            children = (one, two, three)
            for child in children:
                child.call("open")
            for child in children:
                child.begin("register", subject=subject(event), schema=schema(event))
            assert {child.answer() for child in children} == {registry.schema_id(event)}

    def test_a_killed_process_loses_no_schema_that_was_answered(self, opener, registry, event):
        with driver(opener) as child:
            number = child.call("register", subject=subject(event), schema=schema(event))
        assert json.loads(registry.schema_text(number)) == json.loads(schema(event))
