"""A system outside our code reads findings: the program of `docs/subscribing.md`, as it stands there, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from runtime.clock import SystemClock
from runtime.connections import Connections, Engines, assemble
from runtime.credentials import Credentials, new_token
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.tables import EmbeddedTables
from runtime.kafka import KafkaLog
from runtime.ports import OutgoingRecord
from runtime.prepare import prepare
from runtime.registry import ConfluentRegistry
from runtime.settings import ClusterSettings
from runtime.vault import Identity
from schemas.codec import UndecodableError, decode, encode, from_record, schema_text
from schemas.events import AuditEvent, Findings
from schemas.identifiers import PseudonymKey
from schemas.topics import subject
from tests.support.installation import settings
from tests.support.servers import SharedServers
from tests.support.serving import Server

PAGE = Path(__file__).parents[2] / "docs" / "subscribing.md"
TOPIC = "findings.v1"
PATIENCE_S = 300.0
"""Seconds after which something that shall happen counts as not happening."""


def program() -> str:
    """The one Python listing of the page."""
    (found,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def fresh_study() -> str:
    return f"st-{uuid.uuid4().hex}"


def result(study: str, status: str, revision: int, *, site: str = "north") -> Findings:
    """A result of a study; pneumothorax is positive where it is `analysed`."""
    text = resources.files("schemas").joinpath("examples", "findings", "typical.json").read_text("utf-8")
    event = from_record(Findings, json.loads(text))
    envelope = replace(event.envelope, study=study, site=site, event_id=str(uuid.uuid4()))
    told = event.findings if status == "analysed" else ()
    return replace(event, envelope=envelope, status=status, revision=revision, findings=told)


class Subscriber:
    """The page's program, running."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.database = folder / "subscriber.sqlite"
        self.log = folder / "subscriber.log"
        listing = folder / "subscriber.py"
        listing.write_text(program(), "utf-8")
        # Isolated: it finds what is installed, and nothing of the folder that the tests run in.
        environment = {**os.environ, **variables, "DATABASE": str(self.database)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(listing)], env=environment, stdout=log, stderr=log, cwd=folder
            )

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        try:
            with sqlite3.connect(self.database) as database:
                return database.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def until(self, query: str, *values: object) -> list[tuple[object, ...]]:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := self.rows(query, *values)):
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < deadline, self.log.read_text("utf-8")
            time.sleep(0.1)
        return found

    def latest(self, study: str) -> tuple[object, ...]:
        """What is kept of a study, once its accession number has been asked for."""
        columns = "revision, status, positive, accession_number"
        (row,) = self.rows(f"SELECT {columns} FROM latest WHERE study = ?", study)
        return row

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def cluster(servers: SharedServers) -> ClusterSettings:
    return servers.require("kafka", "registry")


@pytest.fixture
def made(tmp_path: Path, cluster: ClusterSettings) -> Iterator[Connections]:
    """Our side: the log and the registry are real, so that what stands in the records is what a site would write."""
    chosen = settings(tmp_path, cluster=cluster.model_dump(mode="json"))
    chosen.data.mkdir(parents=True)
    engines = Engines(
        log=KafkaLog(cluster.kafka),
        objects=EmbeddedObjects(chosen.data / "objects"),
        tables=EmbeddedTables(chosen.data / "tables"),
        registry=ConfluentRegistry(cluster.registry),
    )
    key = PseudonymKey("2026-1", (tmp_path / "pseudonym").read_bytes())
    connections = assemble(chosen, "publish_findings", engines, SystemClock(), key)
    prepare(connections, ("publish_findings",))
    yield connections
    connections.close()


@pytest.fixture
def portal(made: Connections) -> Iterator[str]:
    with Server(made, Credentials(made.settings.keys.credentials)) as address:
        yield address


@pytest.fixture
def variables(made: Connections, cluster: ClusterSettings, portal: str) -> dict[str, str]:
    credentials = made.settings.keys.credentials.path
    assert credentials is not None
    return {
        "KAFKA": cluster.kafka.bootstrap,
        "REGISTRY": cluster.registry.url,
        "GROUP": f"ris-{uuid.uuid4().hex}",
        "PORTAL": portal,
        "TOKEN": new_token(credentials, "north", "service", "ris.one"),
    }


@pytest.fixture
def subscriber(tmp_path: Path, variables: dict[str, str]) -> Iterator[Subscriber]:
    found = Subscriber(tmp_path, variables)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def publish(made: Connections, *events: Findings) -> None:
    for event in events:
        made.publisher.publish([(TOPIC, event)])


def test_a_program_of_somebody_else_keeps_what_was_found_under_the_number_that_it_knows(
    made: Connections, subscriber: Subscriber
) -> None:
    late, failed, nobodys, theirs = (fresh_study() for _ in range(4))
    made.vault.store("north", late, Identity(accession_number="ACC-1", patient_name="DOE^Jane"), at=1)
    made.vault.store("north", failed, Identity(accession_number="ACC-2"), at=1)
    made.vault.store("south", theirs, Identity(accession_number="ACC-9"), at=1)
    first, second = result(late, "not-analysed", 1), result(late, "analysed", 2)
    publish(made, first, second, first, second, result(failed, "undetermined", 1))
    publish(made, result(nobodys, "analysed", 1), result(theirs, "analysed", 1, site="south"), first)
    subscriber.until("SELECT 1 FROM latest WHERE study = ? AND accession_number <> ''", late)
    subscriber.until("SELECT 1 FROM latest WHERE study = ? AND accession_number <> ''", failed)
    subscriber.until("SELECT 1 FROM latest WHERE study = ?", nobodys)
    subscriber.until("SELECT 1 FROM latest WHERE study = ?", theirs)
    assert subscriber.end() == 0
    assert subscriber.latest(late) == (2, "analysed", '["pneumothorax"]', "ACC-1")
    assert subscriber.latest(failed) == (1, "undetermined", "[]", "ACC-2")
    assert subscriber.latest(nobodys)[3] is None
    assert subscriber.latest(theirs)[3] is None


def test_each_question_of_that_program_is_on_record_with_its_purpose(
    made: Connections, subscriber: Subscriber
) -> None:
    study = fresh_study()
    made.vault.store("north", study, Identity(accession_number="ACC-1"), at=1)
    publish(made, result(study, "analysed", 1))
    subscriber.until("SELECT 1 FROM latest WHERE study = ? AND accession_number <> ''", study)
    assert subscriber.end() == 0
    asked = [
        event
        for event in read(made, "audit.v1")
        if isinstance(event, AuditEvent) and event.action == "vault.read" and study in event.subjects
    ]
    assert asked
    assert {(event.actor, event.actor_role, event.purpose) for event in asked} == {
        ("ris.one", "service", "treatment")
    }


def read(made: Connections, topic: str) -> list[object]:
    """Every event of a topic; other tests of the session put into it what nobody can read."""
    found: list[object] = []
    for number, end in made.log.end_offsets(topic).items():
        for record in made.log.read(topic, number, 0, max(end, 1)):
            with contextlib.suppress(UndecodableError):
                found.append(decode(record.value, made.registry))
    return found


def of_a_later_version(made: Connections, event: Findings) -> OutgoingRecord:
    """The event with a field that nobody knows yet."""
    later = json.loads(schema_text("Findings"))
    later["fields"].append({"name": "added_later", "type": "string", "default": "", "doc": "To come."})
    number = made.registry.register(subject("Findings"), json.dumps(later))
    return OutgoingRecord(TOPIC, event.envelope.study.encode(), encode(event, number) + b"\x0anewer")


def test_what_it_cannot_read_is_put_aside_and_what_is_newer_is_read(
    made: Connections, subscriber: Subscriber
) -> None:
    newer, last = result(fresh_study(), "analysed", 1), result(fresh_study(), "analysed", 1)
    unknown_schema = encode(last, 2_000_000_000)
    cut = encode(last, made.registry.schema_id("Findings"))[:-20]
    bad = [b"", b"garbage", unknown_schema, cut]
    key = last.envelope.study.encode()
    records = [OutgoingRecord(TOPIC, key, value) for value in (*bad, None)]
    made.log.producer("test").send([*records, of_a_later_version(made, newer)])
    publish(made, last)
    subscriber.until("SELECT 1 FROM latest WHERE study = ?", newer.envelope.study)
    subscriber.until("SELECT 1 FROM latest WHERE study = ?", last.envelope.study)
    assert subscriber.end() == 0
    assert {value for (value,) in subscriber.rows("SELECT value FROM unreadable")} >= set(bad)


def test_a_record_says_the_same_in_its_headers_as_in_its_envelope(made: Connections) -> None:
    event = result(fresh_study(), "analysed", 1)
    publish(made, event)
    (record,) = [
        record
        for number, end in made.log.end_offsets(TOPIC).items()
        for record in made.log.read(TOPIC, number, 0, max(end, 1))
        if record.key == event.envelope.study.encode()
    ]
    headers = dict(record.headers)
    assert headers["ce_id"] == event.envelope.event_id.encode()
    assert headers["ce_type"] == b"radstream.Findings"
    assert headers["ce_source"] == f"/radstream/{event.envelope.site}/{event.envelope.producer}".encode()
    assert headers["content-type"] == b"application/avro"
    assert set(headers) == {
        *("ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion", "content-type", "traceparent")
    }
