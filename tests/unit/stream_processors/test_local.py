from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runtime.connections import Connections, connect
from runtime.errors import DeadLetterError, RetryError, StopError
from runtime.outcomes import Policy
from runtime.ports import Record
from runtime.process import Stop
from schemas.codec import decode
from schemas.events import DeadLetter, Event, InstanceReceived
from schemas.rows import DeadlineRow
from schemas.topics import dead_letter_topic
from stream_processors import catalogue, local, steps
from stream_processors.deadlines import Deadlines
from stream_processors.inputs import DueInput
from stream_processors.running import batches
from stream_processors.step import Deadline, DeadlineReached, Output, Step, StepContext
from tests.support.installation import connections, received, settings, study
from tests.support.offsets import committed as committed_offsets

SOURCE = "instance.received.v1"
NO_OP = '''
from stream_processors.step import Step


async def run(event, context):
    """Take an event and say nothing."""
    for output in ():
        yield output


STEP = Step(summary="Does nothing.", reads=("instance.received.v1",), emits=(), run=run)
'''
QUICK = Policy(first_pause_s=0.001, longest_pause_s=0.002)


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - what is waited for happens in a database
        await asyncio.sleep(0.01)


def _nothing() -> tuple[Output, ...]:
    return ()


@contextlib.asynccontextmanager
async def running(made: Connections, name: str, step: Step) -> AsyncIterator[None]:
    stop = Stop()
    task = asyncio.ensure_future(local.run(name, step, made, stop, policy=QUICK))
    try:
        yield
    finally:
        stop.request()
        await task


def read(made: Connections, topic: str) -> list[Event]:
    records = [
        record
        for partition in range(made.log.topics()[topic])
        for record in made.log.read(topic, partition, 0, 1000)
    ]
    return [decode(record.value, made.registry) for record in records]


def committed(made: Connections, name: str) -> int:
    return sum(committed_offsets(made.log, name, SOURCE).values())


async def test_a_step_added_as_one_file_is_listed_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noop.py").write_text(NO_OP)
    monkeypatch.setattr(steps, "__path__", [*steps.__path__, str(tmp_path)])
    assert "noop" in catalogue.names()
    made = connections(tmp_path / "run", "noop")
    made.publisher.publish([(SOURCE, received(n, f"event {n}")) for n in range(5)])
    async with running(made, "noop", catalogue.load("noop")):
        await until(lambda: committed(made, "noop") == 5)
    assert read(made, dead_letter_topic("noop")) == []
    made.close()


async def test_what_cannot_be_handled_goes_to_the_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    seen: list[str] = []

    async def run(event: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
        if event.envelope.event_id == "event 2":
            raise DeadLetterError("no-good")
        seen.append(event.envelope.event_id)
        for output in _nothing():
            yield output

    step = Step(summary="", reads=(SOURCE,), emits=(), run=run)
    made = connections(tmp_path, "picky")
    made.publisher.publish([(SOURCE, received(1, f"event {n}")) for n in range(4)])
    async with running(made, "picky", step):
        await until(lambda: committed(made, "picky") == 4)
    assert seen == ["event 0", "event 1", "event 3"]
    (letter,) = read(made, dead_letter_topic("picky"))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.error_type, letter.attempts) == ("no-good", "DeadLetterError", 1)
    assert letter.envelope.study == study(1)
    kept = made.sealed.read(letter.bucket, letter.object_key, site="north", study="", purpose="test")
    assert b"instance.received.v1" in kept
    made.close()


async def test_an_event_of_a_site_nobody_configured_is_kept_apart_and_its_site_not_repeated(
    tmp_path: Path,
) -> None:
    step = Step(summary="", reads=(SOURCE,), emits=(), run=echo)
    made = connections(tmp_path, "strict")
    made.publisher.publish([(SOURCE, received(1, "event 1", site="DOE^JANE"))])
    async with running(made, "strict", step):
        await until(lambda: committed(made, "strict") == 1)
    (letter,) = read(made, dead_letter_topic("strict"))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.envelope.site) == ("unknown-site", "unknown")
    assert "JANE" not in letter.object_key + made.metrics.exposition().decode()
    made.close()


async def test_a_deadline_comes_back_when_it_is_due_with_the_correlation_of_its_cause(tmp_path: Path) -> None:
    came: list[tuple[DeadlineReached, str, str]] = []

    async def run(event: InstanceReceived | DeadlineReached, context: StepContext) -> AsyncIterator[Output]:
        if isinstance(event, DeadlineReached):
            envelope = context.envelope(event, "x")
            came.append((event, envelope.correlation_id, envelope.causation_id))
        else:
            place = {"site": event.envelope.site, "study": event.envelope.study}
            yield Deadline(**place, name="quiet", due_at=context.clock.now() + 50_000, payload="7")

    step = Step(summary="", reads=(SOURCE,), emits=(), run=run, sets_deadlines=True)
    made = connections(tmp_path, "timed")
    made.publisher.publish([(SOURCE, received(1, "event 1"))])
    async with running(made, "timed", step):
        await until(lambda: len(came) == 1)
    (event, correlation, causation) = came[0]
    assert (event.study, event.name, event.payload) == (study(1), "quiet", "7")
    assert (correlation, causation) == ("correlation of event 1", "event 1")
    made.close()


async def test_records_that_came_while_the_deadlines_cannot_be_read_are_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def run(event: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
        seen.append(event.envelope.event_id)
        for output in _nothing():
            yield output

    def away(_self: Deadlines, _shards: object) -> list[DueInput]:
        raise RetryError

    monkeypatch.setattr(Deadlines, "due", away)
    step = Step(summary="", reads=(SOURCE,), emits=(), run=run, sets_deadlines=True)
    made = connections(tmp_path, "patient")
    made.publisher.publish([(SOURCE, received(1, "event 1"))])
    async with running(made, "patient", step):
        await until(lambda: committed(made, "patient") == 1)
    assert seen == ["event 1"]
    made.close()


async def test_with_every_event_delivered_twice_and_batches_cut_all_is_committed(tmp_path: Path) -> None:
    counts: dict[str, int] = {}

    async def run(event: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
        counts[event.envelope.event_id] = counts.get(event.envelope.event_id, 0) + 1
        for output in _nothing():
            yield output

    step = Step(summary="", reads=(SOURCE,), emits=(), run=run)
    made = connections(tmp_path, "twice", delivery={"redeliver": True, "cut_batches": True, "seed": 3})
    made.publisher.publish([(SOURCE, received(n % 7, f"event {n}")) for n in range(40)])
    async with running(made, "twice", step):
        await until(lambda: committed(made, "twice") == 40)
    assert set(counts) == {f"event {n}" for n in range(40)}
    assert min(counts.values()) >= 2
    made.close()


async def echo(event: Event, context: StepContext) -> AsyncIterator[Output]:
    yield event


async def test_a_missing_topic_stops_the_process_before_it_reads(tmp_path: Path) -> None:
    made = connect(settings(tmp_path), "early")
    step = Step(summary="", reads=(SOURCE,), emits=(), run=echo)
    with pytest.raises(StopError, match="missing topics"):
        await local.run("early", step, made, Stop())
    made.close()


def record(topic: str, offset: int, partition: int = 0) -> Record:
    return Record(topic, partition, offset, b"k", b"", (), 0)


def test_urgent_topics_are_resolved_and_acknowledged_first() -> None:
    due = DueInput(DeadlineRow(consumer="c", shard=0, due_at=1, site="north", study="s", name="n"))
    found = batches([record("b", 0), record("a", 0), record("b", 1)], [due], ("a", "b"))
    assert found == [[record("a", 0), due], [record("b", 0), record("b", 1)]]
    assert batches([], [due], ("a",)) == [[due]]
    assert batches([], [], ("a",)) == []
