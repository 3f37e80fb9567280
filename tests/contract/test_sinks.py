"""Every sink and notifier keeps the contract of `sinks/sink.py`, whoever wrote it: the folders are walked."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from runtime import buckets
from runtime.connections import Connections
from runtime.errors import DeadLetterError
from schemas.codec import from_record
from schemas.events import EVENT_TYPES, Event
from schemas.topics import catalogue as topics
from sinks import catalogue
from tests.support.installation import SITES, connections


def examples(topic: str) -> list[tuple[str, Event]]:
    """Every example event of a topic, with the topic."""
    described = topics()[topic]
    folder = resources.files("schemas").joinpath("examples", described.example)
    texts = [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]
    return [(topic, from_record(EVENT_TYPES[described.event], json.loads(text))) for text in texts]


def effects(made: Connections) -> tuple[str, dict[tuple[str, str], bytes]]:
    """Everything that stands in the tables and in the objects, byte by byte."""
    with sqlite3.connect(made.settings.data / "tables" / "tables.db") as database:
        rows = "\n".join(database.iterdump())
    found = {
        (bucket, info.key): made.objects.get(bucket, info.key)
        for bucket in buckets.ALL
        for info in made.objects.keys(bucket, "")
    }
    return rows, found


@pytest.fixture(params=catalogue.names())
def name(request: pytest.FixtureRequest) -> str:
    """Name of each sink."""
    return str(request.param)


@pytest.fixture
def made(name: str, tmp_path: Path) -> Iterator[Connections]:
    opened = connections(tmp_path, name)
    yield opened
    opened.close()


def test_its_declaration_is_complete(name: str) -> None:
    spec = catalogue.load(name)
    assert spec.summary.endswith(".")
    assert len(spec.summary.split()) >= 3
    assert spec.reads
    assert len(set(spec.reads)) == len(spec.reads)
    assert set(spec.reads) <= set(topics())


def test_the_topics_it_emits_name_it_as_a_writer(name: str) -> None:
    assert [topic for topic in catalogue.load(name).emits if name not in topics()[topic].writers] == []


def test_the_same_events_again_change_nothing_and_are_answered_alike(name: str, made: Connections) -> None:
    spec = catalogue.load(name)
    sink = catalogue.module(name).open_sink(made)
    told = [each for topic in spec.reads for each in examples(topic)]
    assert told

    def all_written() -> list[object]:
        answers: list[object] = []
        for topic, event in told:
            try:
                outputs = sink.write(topic, event)
            except DeadLetterError as refused:
                answers.append(refused.reason)
                continue
            assert {target for target, _ in outputs} <= set(spec.emits)
            assert all(topics()[target].event == type(output).__name__ for target, output in outputs)
            answers.append([(target, output.envelope.event_id) for target, output in outputs])
        return answers

    first, there = all_written(), effects(made)
    assert all_written() == first
    assert effects(made) == there


def test_each_event_twice_in_a_row_is_as_once(name: str, made: Connections, tmp_path: Path) -> None:
    other = connections(tmp_path / "other", name)
    spec = catalogue.load(name)
    once, twice = (catalogue.module(name).open_sink(each) for each in (made, other))
    for topic in spec.reads:
        for _, event in examples(topic):
            for sink in (once, twice, twice):
                with contextlib.suppress(DeadLetterError):
                    sink.write(topic, event)
    assert effects(made) == effects(other)
    other.close()


def test_the_examples_are_of_sites_that_these_tests_know() -> None:
    sites = {event.envelope.site for topic in topics() for _, event in examples(topic)}
    assert sites & set(SITES)
