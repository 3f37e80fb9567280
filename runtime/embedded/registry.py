"""The schema registry on SQLite, with FULL_TRANSITIVE compatibility."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

from runtime.embedded.database import Database
from runtime.errors import StopError
from runtime.ports import IncompatibleSchemaError
from schemas.compatibility import incompatibilities
from schemas.topics import subject as subject_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS schemas (id INTEGER PRIMARY KEY AUTOINCREMENT, canonical TEXT UNIQUE, text TEXT);
CREATE TABLE IF NOT EXISTS versions (
    subject TEXT, version INTEGER, schema_id INTEGER, PRIMARY KEY (subject, version), UNIQUE (subject, schema_id))
"""
"""An id belongs to a schema, whichever subjects have it, as in Confluent's registry."""


class EmbeddedRegistry:
    """The registry port on one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / "registry.db", _SCHEMA)
        self._texts: dict[int, str] = {}

    def register(self, subject: str, schema: str) -> int:
        """Register a schema under a subject and return its id; the same schema, however it is spaced, has one id.

        Raises
        ------
        IncompatibleSchemaError
            It is no schema, or cannot read or be read by an earlier version of the subject.
        """
        parsed = _parsed(schema)
        canonical = json.dumps(parsed, sort_keys=True, ensure_ascii=False)
        with self._database.transaction():
            versions = self._database.rows(
                "SELECT id, canonical, text FROM versions JOIN schemas ON id = schema_id WHERE subject = ?"
                " ORDER BY version",
                (subject,),
            )
            for schema_id, known, _ in versions:
                if known == canonical:
                    return int(schema_id)
            reasons = [why for _, _, text in versions for why in incompatibilities(json.loads(text), parsed)]
            if reasons:
                raise IncompatibleSchemaError(f"{subject}: {'; '.join(dict.fromkeys(reasons))}")
            self._database.run(
                "INSERT INTO schemas (canonical, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (canonical, schema),
            )
            (schema_id,) = self._database.row("SELECT id FROM schemas WHERE canonical = ?", (canonical,))
            self._database.run(
                "INSERT INTO versions VALUES (?, ?, ?)", (subject, len(versions) + 1, schema_id)
            )
        return int(schema_id)

    def schema_id(self, event_name: str) -> int:
        """Id of the newest schema of an event.

        Raises
        ------
        StopError
            None is registered.
        """
        found = self._database.row(
            "SELECT schema_id FROM versions WHERE subject = ? ORDER BY version DESC LIMIT 1",
            (subject_of(event_name),),
        )
        if found is None:
            raise StopError(f"no schema is registered for {event_name}")
        return int(found[0])

    def schema_text(self, schema_id: int) -> str | None:
        """Schema under an id, or None; asked once, since an id never changes its schema."""
        if schema_id not in self._texts:
            found = self._database.row("SELECT text FROM schemas WHERE id = ?", (schema_id,))
            if found is None:
                return None
            self._texts[schema_id] = found[0]
        return self._texts[schema_id]

    def close(self) -> None:
        """Give the file back."""
        self._database.close()


def _parsed(schema: str) -> dict[str, Any]:
    """Parse a schema's text, refusing what is no Avro record."""
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise IncompatibleSchemaError("not JSON") from error
    if not isinstance(parsed, dict) or parsed.get("type") != "record" or "fields" not in parsed:
        raise IncompatibleSchemaError("not an Avro record")
    try:
        fastavro.parse_schema(parsed, _force=True)
    except (KeyError, TypeError, ValueError, SchemaParseException) as error:
        # It trusts the text more than it may.
        raise IncompatibleSchemaError("not an Avro schema") from error
    return parsed
