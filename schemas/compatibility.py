"""Whether two versions of a schema can read each other's records: Avro's schema resolution, in both directions.

Stricter than Avro in two points, since processes of both versions run side by side: aliases do not count (only one side knows
them), and a logical type may not change (the bytes stay readable, but mean another time).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PROMOTIONS = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)
"""Writer's and reader's type where Avro converts (Avro 1.11, Schema Resolution)."""

_NAMED = ("record", "error", "enum", "fixed")
_PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")

JsonObject = dict[str, Any]
"""A parsed Avro schema."""


def incompatibilities(old: JsonObject, new: JsonObject) -> list[str]:
    """Say why old and new processes cannot share a topic; empty if they can (FULL compatibility).

    Parameters
    ----------
    old, new
        Schemas as parsed JSON. Which is which matters for the wording only.
    """
    backward = [f"new readers, old records: {reason}" for reason in unreadable(writer=old, reader=new)]
    return backward + [f"old readers, new records: {reason}" for reason in unreadable(writer=new, reader=old)]


def unreadable(*, writer: Any, reader: Any) -> list[str]:
    """Say why a reader cannot resolve a writer's records; empty if it can."""
    resolution = _Resolution(_names(writer), _names(reader))
    return list(resolution.compare(writer, reader, "record"))


class _Resolution:
    """One comparison; knows the named types of both schemas and the pairs already under comparison (types may recur)."""

    def __init__(self, writer_names: JsonObject, reader_names: JsonObject) -> None:
        self._writer_names = writer_names
        self._reader_names = reader_names
        self._begun: set[tuple[str, str]] = set()

    def compare(self, writer: Any, reader: Any, path: str) -> Iterator[str]:
        """Reasons, each with the path of the field."""
        writer, reader = _resolved(writer, self._writer_names), _resolved(reader, self._reader_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(branch, reader, path)
        elif isinstance(reader, list):
            if all(any(self.compare(writer, branch, path)) for branch in reader):
                yield f"{path}: no branch of the reader's union takes {_label(writer)}"
        elif _kind(writer) != _kind(reader):
            if (_kind(writer), _kind(reader)) not in PROMOTIONS:
                yield f"{path}: {_label(writer)} cannot be read as {_label(reader)}"
        else:
            yield from self._same_kind(writer, reader, path)

    def _same_kind(self, writer: JsonObject, reader: JsonObject, path: str) -> Iterator[str]:
        kind = _kind(writer)
        if writer.get("logicalType") != reader.get("logicalType"):
            yield f"{path}: the logical type changes"
        if kind in _NAMED and _short(writer) != _short(reader):
            yield f"{path}: {_label(writer)} is not {_label(reader)}"
        elif kind in ("record", "error"):
            yield from self._records(writer, reader, path)
        elif kind == "array":
            yield from self.compare(writer["items"], reader["items"], f"{path}[]")
        elif kind == "map":
            yield from self.compare(writer["values"], reader["values"], f"{path}{{}}")
        elif kind == "fixed" and writer["size"] != reader["size"]:
            yield f"{path}: the size of {_label(writer)} changes"
        elif kind == "enum" and "default" not in reader:
            for symbol in sorted(set(writer["symbols"]) - set(reader["symbols"])):
                yield f"{path}: the reader's enum lacks {symbol}"

    def _records(self, writer: JsonObject, reader: JsonObject, path: str) -> Iterator[str]:
        pair = (_short(writer), _short(reader))
        if pair in self._begun:
            return
        self._begun.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            below = f"{path}.{field['name']}"
            if field["name"] in written:
                yield from self.compare(written[field["name"]]["type"], field["type"], below)
            elif "default" not in field:
                yield f"{below}: not written, and the reader has no default"
        self._begun.discard(pair)


def _names(schema: Any, namespace: str = "") -> JsonObject:
    """Every named type of a schema under its full and its short name."""
    found: JsonObject = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _names(branch, namespace)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind in _NAMED:
            namespace = schema.get("namespace", schema["name"].rpartition(".")[0] or namespace)
            found |= {_short(schema): schema, f"{namespace}.{_short(schema)}": schema}
            parts = [field["type"] for field in schema.get("fields", ())]
        else:
            parts = [schema[key] for key in ("items", "values") if key in schema]
            parts += [kind] if isinstance(kind, dict | list) else []
        for part in parts:
            found |= _names(part, namespace)
    return found


def _resolved(schema: Any, names: JsonObject) -> Any:
    """Return a schema as an object or a union: names looked up, `{"type": {...}}` unwrapped."""
    if isinstance(schema, str):
        return {"type": schema} if schema in _PRIMITIVE else names[schema]
    if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
        return _resolved(schema["type"], names)
    if isinstance(schema, dict) and schema["type"] in names:
        return names[schema["type"]]
    return schema


def _kind(schema: JsonObject) -> str:
    return str(schema["type"])


def _short(schema: JsonObject) -> str:
    """Name without its namespace: what Avro compares."""
    return str(schema["name"]).rpartition(".")[2]


def _label(schema: JsonObject) -> str:
    return f"{_kind(schema)} {_short(schema)}" if _kind(schema) in _NAMED else _kind(schema)
