"""The text of a schema, before a registry takes it."""

from __future__ import annotations

import json
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

from runtime.ports import IncompatibleSchemaError


def parsed_record(schema: str) -> dict[str, Any]:
    """Parse a schema's text.

    Raises
    ------
    IncompatibleSchemaError
        It is no Avro record.
    """
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise IncompatibleSchemaError("not JSON") from error
    if not isinstance(parsed, dict) or parsed.get("type") != "record" or "fields" not in parsed:
        raise IncompatibleSchemaError("not an Avro record")
    try:
        fastavro.parse_schema(parsed, _force=True)
    except (
        KeyError,
        TypeError,
        ValueError,
        SchemaParseException,
    ) as error:  # It trusts the text more than it may.
        raise IncompatibleSchemaError("not an Avro schema") from error
    return parsed
