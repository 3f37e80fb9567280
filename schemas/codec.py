"""Events to bytes and back: Avro in the Confluent wire format (a zero byte, the schema id, the record).

Plain types only: times stay integers, so logical types are dropped from the schemas before use; they remain in the
registered text for readers in other languages.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Protocol, TypeVar

import fastavro
from fastavro.schema import SchemaParseException

from schemas import events
from schemas.events import EVENT_TYPES, Event

MAGIC = 0
"""First byte of the Confluent wire format."""
HEADER = struct.Struct(">bI")
"""Magic byte and schema id, big-endian."""

T = TypeVar("T")

JsonObject = dict[str, Any]
"""A decoded Avro record or a parsed schema: keys are known to the schema, not to Python."""


class UndecodableError(ValueError):
    """The bytes are no event of ours; `reason` is a class of failure and never holds a value of the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SchemaIds(Protocol):
    """What the codec needs of a schema registry."""

    def schema_id(self, event_name: str) -> int:
        """Id under which that event's current schema is registered."""
        ...

    def schema_text(self, schema_id: int) -> str | None:
        """Schema registered under an id, or None."""
        ...


def file_stem(event_name: str) -> str:
    """Name of an event's files: `StudyState` is `study_state`."""
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(event_name))


@cache
def schema_text(event_name: str) -> str:
    """Return the Avro schema of an event as it is registered."""
    return resources.files("schemas").joinpath("avro", f"{file_stem(event_name)}.avsc").read_text("utf-8")


def without_logical_types(schema: Any) -> Any:
    """Return the schema with every logical type replaced by its plain type."""
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema:
        return schema["type"]
    return {key: without_logical_types(value) for key, value in schema.items() if key != "phi"}


@cache
def parsed_schema(text: str) -> JsonObject:
    """Parse a schema's text into the form fastavro works with."""
    try:
        schema = without_logical_types(json.loads(text))
        parsed = typing.cast("JsonObject", fastavro.parse_schema(schema, _force=True))
    except (ValueError, SchemaParseException) as error:
        raise UndecodableError("invalid-schema") from error
    return parsed


def to_record(value: Any) -> Any:
    """Turn a dataclass into plain dictionaries and lists."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_record(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_record(part) for part in value]
    return value


@cache
def _builder(annotation: Any) -> Callable[[Any], Any]:
    """Function that turns the plain form of a field into its annotated type."""
    origin = typing.get_origin(annotation)
    if origin is tuple:
        inner = _builder(typing.get_args(annotation)[0])
        return lambda value: tuple(inner(part) for part in value)
    if origin in (types.UnionType, typing.Union):
        inner = _builder(next(arg for arg in typing.get_args(annotation) if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation, vars(events))
        parts = {field.name: _builder(hints[field.name]) for field in dataclasses.fields(annotation)}
        cls = typing.cast("type[Any]", annotation)
        return lambda record: cls(**{name: build(record[name]) for name, build in parts.items()})
    return lambda value: value


def from_record(cls: type[T], record: Mapping[str, Any]) -> T:
    """Build a dataclass of `schemas.events` from its plain form."""
    built: T = _builder(typing.cast(Any, cls))(record)
    return built


def encode(event: Event, schema_id: int) -> bytes:
    """Encode an event under its own schema."""
    out = io.BytesIO()
    out.write(HEADER.pack(MAGIC, schema_id))
    fastavro.schemaless_writer(out, parsed_schema(schema_text(type(event).__name__)), to_record(event))
    return out.getvalue()


def decode(data: bytes | None, registry: SchemaIds) -> Event:
    """Decode a record, whichever compatible version of the schema wrote it.

    Raises
    ------
    UndecodableError
        Reasons: `null-value`, `not-framed`, `unknown-schema`, `unknown-event`, `invalid-schema`, `corrupt`.
    """
    if data is None:
        raise UndecodableError("null-value")
    if len(data) < HEADER.size or data[0] != MAGIC:
        raise UndecodableError("not-framed")
    _, schema_id = HEADER.unpack_from(data)
    text = registry.schema_text(schema_id)
    if text is None:
        raise UndecodableError("unknown-schema")
    writer = parsed_schema(text)
    event_type = EVENT_TYPES.get(str(writer.get("name", "")).rpartition(".")[2])
    if event_type is None:
        raise UndecodableError("unknown-event")
    body = io.BytesIO(memoryview(data)[HEADER.size :])
    reader = parsed_schema(schema_text(event_type.__name__))
    try:
        record = fastavro.schemaless_reader(body, writer, reader)
        if body.read(1):
            raise UndecodableError("corrupt")
        event = from_record(event_type, typing.cast("JsonObject", record))
    except UndecodableError:
        raise
    except (
        Exception
    ) as error:  # fastavro raises whatever the bytes provoke: EOFError, IndexError, UnicodeDecodeError ...
        raise UndecodableError("corrupt") from error
    return event
