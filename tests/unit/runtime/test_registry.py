from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from runtime.errors import OutageError, StopError
from runtime.ports import IncompatibleSchemaError
from runtime.registry import ConfluentRegistry
from runtime.settings import RegistrySettings

SCHEMA = json.dumps({"type": "record", "name": "E", "fields": [{"name": "a", "type": "string"}]})

Answers = Callable[[httpx.Request], httpx.Response]


def registry(answers: Answers) -> ConfluentRegistry:
    made = ConfluentRegistry(RegistrySettings(url="http://registry/api"))
    made._client = httpx.Client(base_url="http://registry/api/", transport=httpx.MockTransport(answers))
    return made


def refuses(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(refuses, id="nobody listens"),
        pytest.param(lambda _: httpx.Response(503), id="it says it cannot"),
        pytest.param(lambda _: httpx.Response(429), id="it is asked too often"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda made: made.register("radstream.E", SCHEMA), id="register"),
        pytest.param(lambda made: made.schema_id("E"), id="newest id"),
        pytest.param(lambda made: made.schema_text(1), id="text"),
    ],
)
def test_a_registry_that_does_not_answer_is_an_outage(answers, call):
    with pytest.raises(OutageError):
        call(registry(answers))


def test_a_registry_that_lets_us_not_in_stops_the_process():
    with pytest.raises(StopError, match="401"):
        registry(lambda _: httpx.Response(401)).schema_id("E")


def test_a_known_schema_is_looked_up_and_nothing_is_written():
    asked = []

    def answers(request):
        asked.append((request.method, request.url.path))
        return httpx.Response(200, json={"id": 7})

    assert registry(answers).register("radstream.E", SCHEMA) == 7
    assert asked == [("POST", "/api/subjects/radstream.E")]


@pytest.mark.parametrize("first", [200, 404], ids=["before the first schema", "after it"])
def test_every_subject_is_held_to_full_compatibility(first):
    rules = []

    def answers(request):
        if request.method == "PUT":
            rules.append(json.loads(request.content)["compatibility"])
            return httpx.Response(first if len(rules) == 1 else 200, json={})
        return httpx.Response(200 if request.url.path.endswith("versions") else 404, json={"id": 3})

    assert registry(answers).register("radstream.E", SCHEMA) == 3
    assert rules == ["FULL_TRANSITIVE"] * (1 if first == 200 else 2)


def test_a_registry_that_takes_no_rule_is_not_worked_with():
    def answers(request):
        found = request.url.path.endswith("versions")
        return httpx.Response(200 if found else 404, json={"id": 3})

    with pytest.raises(StopError, match="FULL_TRANSITIVE"):
        registry(answers).register("radstream.E", SCHEMA)


def test_a_refusal_because_another_process_was_first_is_none():
    lookups = iter([httpx.Response(404), httpx.Response(200, json={"id": 9})])

    def answers(request):
        if request.method == "PUT":
            return httpx.Response(409)
        if request.url.path.endswith("versions"):
            return httpx.Response(409, json={"message": "conflict"})
        return next(lookups)

    assert registry(answers).register("radstream.E", SCHEMA) == 9


def test_an_incompatible_schema_is_refused_with_the_registry_s_reason():
    def answers(request):
        if request.method == "PUT":
            return httpx.Response(200, json={})
        refused = request.url.path.endswith("versions")
        return httpx.Response(409 if refused else 404, json={"message": "field a is gone"})

    with pytest.raises(IncompatibleSchemaError, match="field a is gone"):
        registry(answers).register("radstream.E", SCHEMA)


def test_the_text_under_an_id_is_asked_for_once():
    asked = []

    def answers(request):
        asked.append(request.url.path)
        return httpx.Response(200, json={"schema": SCHEMA})

    made = registry(answers)
    assert made.schema_text(5) == made.schema_text(5) == SCHEMA
    assert asked == ["/api/schemas/ids/5"]


class StillReading:
    """A registry that has just come up: it knows a path only once it was made to write something."""

    def __init__(self, path: str, body: dict[str, object], *, knows_subjects: bool) -> None:
        self.path, self.body = path, body
        self.knows_subjects = knows_subjects
        self.has_read = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as such a registry does."""
        if request.method == "PUT":
            self.has_read |= self.knows_subjects
            return httpx.Response(200 if self.has_read else 404, json={})
        if request.method == "POST":
            self.has_read |= request.url.path.endswith("versions")
            return httpx.Response(200 if self.has_read else 404, json={"id": 1})
        is_known = self.has_read and request.url.path == self.path
        return httpx.Response(200 if is_known else 404, json=self.body)


@pytest.mark.parametrize("knows_subjects", [True, False], ids=["subjects are read", "nothing is read"])
def test_what_a_registry_has_not_read_yet_is_not_taken_for_unknown(knows_subjects):
    text = StillReading("/api/schemas/ids/5", {"schema": SCHEMA}, knows_subjects=knows_subjects)
    assert registry(text).schema_text(5) == SCHEMA
    newest = StillReading(
        "/api/subjects/radstream.E/versions/latest", {"id": 5}, knows_subjects=knows_subjects
    )
    assert registry(newest).schema_id("E") == 5


@pytest.mark.parametrize("knows_subjects", [True, False])
def test_what_a_registry_does_not_know_when_it_has_read_all_is_unknown(knows_subjects):
    made = registry(StillReading("", {}, knows_subjects=knows_subjects))
    assert made.schema_text(5) is None
    with pytest.raises(StopError, match="no schema is registered for E"):
        made.schema_id("E")
