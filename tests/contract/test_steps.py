"""Every step keeps the contract of `stream_processors/step.py`, whoever wrote it: the folder is walked."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from runtime.errors import DeadLetterError, RetryError
from schemas.codec import from_record
from schemas.events import EVENT_TYPES, Event
from schemas.rows import ROW_TYPES
from schemas.topics import catalogue as topics
from stream_processors import catalogue
from stream_processors.binding import addressed
from stream_processors.step import Deadline, Step
from tests.support.context import World, timeless


def examples(topic: str) -> Iterator[Event]:
    """Every example event of a topic."""
    described = topics()[topic]
    folder = resources.files("schemas").joinpath("examples", described.example)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        yield from_record(EVENT_TYPES[described.event], json.loads(file.read_text("utf-8")))


@pytest.fixture(params=catalogue.names())
def name(request: pytest.FixtureRequest) -> str:
    """Name of each step."""
    return str(request.param)


@pytest.fixture
def step(name: str) -> Step:
    return catalogue.load(name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.tables.create(ROW_TYPES)
    return made


def test_its_declaration_is_complete(step: Step) -> None:
    assert step.summary.endswith(".")
    assert len(step.summary.split()) >= 3
    assert step.reads
    assert len(set(step.reads)) == len(step.reads)
    assert set(step.reads) <= set(topics())
    assert inspect.isasyncgenfunction(step.run)


def test_the_topics_it_emits_name_it_as_a_writer(name: str, step: Step) -> None:
    assert [topic for topic in step.emits if name not in topics()[topic].writers] == []


def test_it_takes_every_example_of_its_topics_and_says_the_same_again(
    name: str, step: Step, world: World
) -> None:
    for event in (each for topic in step.reads for each in examples(topic)):
        first, again = outcome(world, name, step, event), outcome(world, name, step, event)
        assert first == again, event.envelope.event_id


def outcome(world: World, name: str, step: Step, event: Event) -> list[object]:
    """What a step yields for an event, held to what it declares, or how it refuses it."""
    try:
        outputs = world.run(name, step, event)
    except (DeadLetterError, RetryError) as refused:
        return [type(refused).__name__, str(refused)]
    for output in outputs:
        if not isinstance(output, Deadline):
            assert addressed(output, step.emits)[0] in step.emits
    return timeless(outputs)
