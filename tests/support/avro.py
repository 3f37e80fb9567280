"""The Avro schemas as the tests look at them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[2] / "schemas"

JsonObject = dict[str, Any]


def avsc_files() -> list[Path]:
    return sorted((SCHEMAS / "avro").glob("*.avsc"))


def load(path: Path) -> JsonObject:
    loaded: JsonObject = json.loads(path.read_text("utf-8"))
    return loaded


def records(schema: Any) -> Iterator[JsonObject]:
    """Every record type of a schema, itself included."""
    if isinstance(schema, list):
        for branch in schema:
            yield from records(branch)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            yield schema
            for field in schema["fields"]:
                yield from records(field["type"])
        else:
            for part in ("type", "items"):
                if isinstance(schema.get(part), dict | list):
                    yield from records(schema[part])
