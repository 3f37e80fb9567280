"""The registry port on a Confluent-compatible schema registry, over its REST interface.

Five calls are all that Radstream needs of it, so they are made with the HTTP client that the product has anyway.
"""

from __future__ import annotations

import json
from typing import Any

import httpx

from runtime.errors import OutageError, StopError
from runtime.ports import IncompatibleSchemaError
from runtime.schema_text import parsed_record
from runtime.settings import RegistrySettings
from runtime.transport import trust
from schemas.codec import schema_text as own_schema
from schemas.topics import subject as subject_of

ANSWER_S = 10.0
"""Seconds for one call; the registry writes a new schema to Kafka before it answers."""
COMPATIBILITY = "FULL_TRANSITIVE"
"""Every version of a schema can read what any other wrote: readers and writers are updated in any order."""
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
"""What the interface speaks."""
REFUSED = frozenset({httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY})
"""Incompatible with an earlier version, or no schema at all."""
EVERYWHERE = "AuditEvent"
"""An event that every installation writes."""


class ConfluentRegistry:
    """The registry port on a Confluent-compatible registry.

    Parameters
    ----------
    settings
        Where it is.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._client = httpx.Client(
            base_url=settings.url.rstrip("/") + "/",
            timeout=ANSWER_S,
            verify=trust(settings.ca) if settings.url.startswith("https:") else True,
            auth=(settings.user.text(), settings.password.text())
            if settings.user and settings.password
            else None,
            headers={"accept": MEDIA_TYPE, "content-type": MEDIA_TYPE},
        )
        self._texts: dict[int, str] = {}

    def register(self, subject: str, schema: str) -> int:
        """Register a schema under a subject and return its id; one that is there already is only looked up.

        Raises
        ------
        IncompatibleSchemaError
            It is no schema, or cannot read or be read by an earlier version of the subject.
        OutageError
            The registry does not answer.
        """
        asked = {"schema": json.dumps(parsed_record(schema), ensure_ascii=False), "schemaType": "AVRO"}
        found = self._call("POST", f"subjects/{subject}", asked)
        if found.is_success:
            return int(found.json()["id"])
        is_held = self._hold(subject)
        made = self._call("POST", f"subjects/{subject}/versions", asked)
        if made.status_code in REFUSED:
            # Another process may have registered the very same in between.
            found = self._call("POST", f"subjects/{subject}", asked)
            if found.is_success:
                return int(found.json()["id"])
            raise IncompatibleSchemaError(f"{subject}: {made.json().get('message', 'refused')}")
        number = int(self._expected(made)["id"])
        if not is_held and not self._hold(subject):
            raise StopError(f"the registry does not hold {subject} to {COMPATIBILITY}")
        return number

    def _hold(self, subject: str) -> bool:
        """Hold a subject to our rule; whether that was possible: some registries know no rules before the first schema."""
        answer = self._call("PUT", f"config/{subject}", {"compatibility": COMPATIBILITY})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        if answer.status_code != httpx.codes.CONFLICT:  # another process is making the same rule
            self._expected(answer)
        return True

    def schema_id(self, event_name: str) -> int:
        """Id of the newest schema of an event.

        Raises
        ------
        StopError
            None is registered.
        OutageError
            The registry does not answer.
        """
        found = self._sought(f"subjects/{subject_of(event_name)}/versions/latest")
        if found is None:
            raise StopError(f"no schema is registered for {event_name}")
        return int(found["id"])

    def schema_text(self, schema_id: int) -> str | None:
        """Schema under an id, or None; asked once, since an id never changes its schema.

        Raises
        ------
        OutageError
            The registry does not answer.
        """
        if schema_id not in self._texts:
            found = self._sought(f"schemas/ids/{schema_id}")
            if found is None:
                return None
            self._texts[schema_id] = str(found["schema"])
        return self._texts[schema_id]

    def _sought(self, path: str) -> dict[str, Any] | None:
        """Ask for something, or None if it is certain that it was never written.

        A registry that keeps its schemas in Kafka answers "not found" for what it has not read yet after a restart.
        """
        answer = self._call("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            self._catch_up()
            answer = self._call("GET", path)
        return None if answer.status_code == httpx.codes.NOT_FOUND else self._expected(answer)

    def _catch_up(self) -> None:
        """Let the registry write something: it applies what it writes after all that was written before.

        What is written changes nothing: the rule of a subject that every installation has, or its schema of this release.
        """
        subject = subject_of(EVERYWHERE)
        if not self._hold(subject):
            self.register(subject, own_schema(EVERYWHERE))

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
        """Make a call; whatever passes by itself is an outage."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise OutageError(f"registry: {type(error).__name__}") from error
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise OutageError(f"registry: status {answer.status_code}")
        return answer

    def _expected(self, answer: httpx.Response) -> dict[str, Any]:
        """Take an answer that cannot be a refusal, unless access is missing or the address is another service's."""
        if not answer.is_success:
            raise StopError(f"registry: status {answer.status_code}")
        return dict(answer.json())
