from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pytest

from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from runtime.metrics import Metrics
from runtime.outcomes import Policy
from runtime.ports import Record
from schemas.codec import UndecodableError, file_stem, from_record
from schemas.events import EVENT_TYPES, Event, InstanceReceived
from schemas.partitioning import partition_of
from schemas.rows import DeadlineRow
from stream_processors import binding
from stream_processors.binding import Addressed, Binder, Surroundings, addressed
from stream_processors.inputs import DueInput, Origin
from stream_processors.step import Deadline, DeadlineReached, Output, Step, To
from tests.support.installation import received, study

OUT = "instance.received.v1"
"""The one topic these steps write; which event flows does not matter to the binder."""


@dataclass
class World:
    """What surrounds a binder, on record; values are the event ids themselves."""

    publish_failures: list[Exception] = field(default_factory=list)
    refused: frozenset[str] = frozenset()
    down: int = 0
    happened: list[Any] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    published: asyncio.Event = field(default_factory=asyncio.Event)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def decode(self, value: bytes | None) -> Event:
        if value is None or value == b"poison":
            raise UndecodableError("corrupt")
        number, _, event_id = value.decode().partition("/")
        return received(int(number), event_id)

    def publish(self, outputs: Sequence[Addressed]) -> None:
        if self.publish_failures:
            raise self.publish_failures.pop(0)
        ids = [event.envelope.event_id for _, event in outputs]
        if self.refused.intersection(ids):
            raise DeadLetterError("record-too-large")
        self.happened.append(("published", ids))
        self.loop.call_soon_threadsafe(self.published.set)

    def dead_letter(self, record: Record, _site: str, error: BaseException, attempts: int) -> Addressed:
        reason = getattr(error, "reason", type(error).__name__)
        return "dead", received(0, f"dead {record.offset} {reason} {attempts}")

    def write_deadline(self, row: DeadlineRow) -> None:
        self.happened.append(("deadline", row.study, row.due_at))

    def acknowledge(self, done: list[DeadlineRow]) -> None:
        self.happened.append(("acknowledged", [row.due_at for row in done]))

    async def probe(self) -> None:
        if self.down:
            self.down -= 1
            raise RetryError

    def context_for(self, origin: Origin) -> Any:
        return _Context(self, origin)


@dataclass
class _Context:
    world: World
    origin: Origin

    def audits(self, cause: object) -> list[Addressed]:
        return [("audit.v1", received(0, f"audit {purpose}")) for purpose in self.world.opened]


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


def binder(world: World, run: Any, give_up: Any = None, *, timed: bool = True, **policy: Any) -> Binder:
    around = Surroundings(
        decode=world.decode,
        publish=world.publish,
        dead_letter=world.dead_letter,
        write_deadline=world.write_deadline,
        context_for=world.context_for,
        probe=world.probe,
        metrics=Metrics("test"),
    )
    step = Step(summary="", reads=("a",), emits=(OUT,), run=run, sets_deadlines=timed, give_up=give_up)
    return Binder("test", step, 6, around, Policy(**policy), sleep=no_sleep, chance=lambda: 0.0)


def record(offset: int, number: int = 1, value: bytes | None = None) -> Record:
    return Record("a", 0, offset, study(number).encode(), value or f"{number}/{offset}".encode(), (), 0)


async def echo(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
    yield event


def failing(errors: dict[str, list[BaseException]]) -> Any:
    """A step that raises what is listed for an event, one error per attempt, and then echoes."""

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        yield event
        left = errors.get(event.envelope.event_id, [])
        if left:
            raise left.pop(0)

    return run


@pytest.fixture
def _nothing_goes_out_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine: what goes out early has tests of its own."""
    monkeypatch.setattr(binding, "EARLY_S", 3600.0)


@pytest.mark.usefixtures("_nothing_goes_out_early")
async def test_outputs_are_confirmed_in_input_order_before_the_acknowledgement() -> None:
    world = World()
    await binder(world, echo).bind([record(0, 1), record(1, 2), record(2, 1)], world.acknowledge)
    assert world.happened == [("published", ["0", "1", "2"]), ("acknowledged", [])]


async def test_what_is_resolved_goes_out_while_another_input_takes_long() -> None:
    world = World()

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        if event.envelope.event_id == "1":
            await world.published.wait()
        yield event

    batch = [record(0, 1), record(1, 2), record(2, 2), record(3, 3)]
    await binder(world, run).bind(batch, world.acknowledge)
    assert world.happened == [("published", ["0", "3"]), ("published", ["1", "2"]), ("acknowledged", [])]


async def test_what_went_out_early_is_not_acknowledged_when_the_process_stops() -> None:
    world = World()

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        if event.envelope.event_id == "1":
            await world.published.wait()
            raise StopError("broken")
        yield event

    with pytest.raises(StopError):
        await binder(world, run).bind([record(0, 1), record(1, 2)], world.acknowledge)
    assert world.happened == [("published", ["0"])]


@pytest.mark.usefixtures("_nothing_goes_out_early")
@pytest.mark.parametrize(
    ("errors", "published"),
    [
        ([DeadLetterError("bad")], "dead 0 bad 1"),
        ([RetryError()] * 3, "0"),
        ([OutageError()] * 50, "0"),
        ([RetryError()] * 50, "dead 0 retries-exhausted 10"),
        ([ValueError("DOE^JANE")] * 2, "0"),
        ([ValueError("DOE^JANE")] * 50, "dead 0 ValueError 3"),
        ([RecursionError()] * 50, "dead 0 RecursionError 3"),
    ],
)
async def test_a_failure_concerns_its_own_input_only(errors: list[BaseException], published: str) -> None:
    world = World()
    await binder(world, failing({"0": list(errors)})).bind([record(0, 1), record(1, 2)], world.acknowledge)
    assert world.happened == [("published", [published, "1"]), ("acknowledged", [])]


async def test_no_input_is_given_up_while_what_it_needs_is_down() -> None:
    world = World(down=4)
    await binder(world, failing({"0": [RetryError()] * 45})).bind([record(0)], world.acknowledge)
    assert world.happened[0] == ("published", ["0"])


@pytest.mark.parametrize(
    "error",
    [StopError("lost"), MemoryError(), OSError(errno.ENOSPC, "full")],
)
async def test_what_stops_the_process_acknowledges_and_publishes_nothing(error: BaseException) -> None:
    world = World()
    with pytest.raises(type(error)):
        await binder(world, failing({"0": [error]})).bind([record(0, 1), record(1, 2)], world.acknowledge)
    assert world.happened == []


@pytest.mark.usefixtures("_nothing_goes_out_early")
async def test_what_does_not_decode_becomes_a_dead_letter() -> None:
    world = World()
    await binder(world, echo).bind([record(0, value=b"poison"), record(1)], world.acknowledge)
    assert world.happened == [("published", ["dead 0 corrupt 1", "1"]), ("acknowledged", [])]


async def test_an_unconfirmed_publication_is_made_again_before_the_acknowledgement() -> None:
    world = World(publish_failures=[RetryError(), RetryError()])
    await binder(world, echo).bind([record(0)], world.acknowledge)
    assert world.happened == [("published", ["0"]), ("acknowledged", [])]


async def test_an_output_that_can_never_be_written_costs_its_own_input_only() -> None:
    world = World(refused=frozenset({"1"}))
    await binder(world, echo).bind([record(0, 1), record(1, 2), record(2, 3)], world.acknowledge)
    assert [ids for what, ids in world.happened if what == "published"] == [
        ["0"],
        ["dead 1 record-too-large 1"],
        ["2"],
    ]
    assert world.happened[-1] == ("acknowledged", [])


async def test_what_a_failed_attempt_opened_is_audited_with_the_dead_letter() -> None:
    world = World(opened=["de-identification"])
    await binder(world, failing({"0": [DeadLetterError("bad")]})).bind([record(0)], world.acknowledge)
    assert world.happened[0] == ("published", ["audit de-identification", "dead 0 bad 1"])


async def test_different_keys_run_at_once_and_one_key_in_order() -> None:
    world, running, seen = World(), set[str](), list[str]()
    together = asyncio.Event()

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        key = event.envelope.study
        assert key not in running
        running.add(key)
        if len(running) == 2:
            together.set()
        await together.wait()
        seen.append(event.envelope.event_id)
        running.discard(key)
        for output in tuple[Output, ...]():
            yield output

    await binder(world, run).bind([record(0, 1), record(1, 1), record(2, 2)], world.acknowledge)
    assert seen.index("0") < seen.index("1")


async def test_no_more_keys_are_in_work_than_the_policy_allows() -> None:
    world, most, now = World(), [0], [0]

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0)
        now[0] -= 1
        for output in tuple[Output, ...]():
            yield output

    await binder(world, run, concurrency=3).bind([record(n, n) for n in range(20)], world.acknowledge)
    assert most == [3]


def due(number: int, due_at: int, shard: int = 0) -> DueInput:
    return DueInput(
        DeadlineRow(
            consumer="test", shard=shard, due_at=due_at, site="north", study=study(number), name="quiet"
        )
    )


async def test_deadlines_follow_the_records_of_their_key_and_are_acknowledged_with_them() -> None:
    world, seen = World(), list[object]()

    async def run(event: InstanceReceived | DeadlineReached, context: object) -> AsyncIterator[Output]:
        seen.append(event.due_at if isinstance(event, DeadlineReached) else event.envelope.event_id)
        if not isinstance(event, DeadlineReached):
            yield Deadline(site="north", study=event.envelope.study, name="quiet", due_at=99)

    await binder(world, run).bind([due(1, 5), record(0, 1)], world.acknowledge)
    assert seen == ["0", 5]
    assert world.happened == [("published", []), ("deadline", study(1), 99), ("acknowledged", [5])]


async def test_a_deadline_asked_for_again_while_it_is_handled_stays() -> None:
    world = World()

    async def run(event: DeadlineReached, context: object) -> AsyncIterator[Output]:
        yield Deadline(site=event.site, study=event.study, name=event.name, due_at=event.due_at)

    own_shard = partition_of(study(1).encode(), 6)
    await binder(world, run).bind([due(1, 5, own_shard), due(2, 7, own_shard)], world.acknowledge)
    assert ("deadline", study(1), 5) in world.happened
    assert 5 not in world.happened[-1][1]


async def test_a_deadline_that_nobody_would_look_for_stops_the_process() -> None:
    world = World()

    async def run(event: InstanceReceived, context: object) -> AsyncIterator[Output]:
        yield Deadline(site="north", study=event.envelope.study, name="quiet", due_at=99)

    with pytest.raises(StopError, match="sets deadlines"):
        await binder(world, run, timed=False).bind([record(0, 1)], world.acknowledge)
    assert not world.happened


@pytest.mark.parametrize("output", [received(1, "x"), To("elsewhere", received(1, "x"))])
def test_an_output_without_a_declared_topic_stops_the_process(output: Event | To) -> None:
    with pytest.raises(StopError):
        addressed(output, ("findings.v1",))


def test_an_event_carried_by_several_topics_needs_one_named() -> None:
    emits = ("inference.requested.stat.v1", "inference.requested.routine.v1")
    event = _example("InferenceRequested")
    assert addressed(To(emits[1], event), emits) == (emits[1], event)
    with pytest.raises(StopError):
        addressed(event, emits)


def _example(name: str) -> Event:
    text = resources.files("schemas").joinpath("examples", file_stem(name), "typical.json").read_text("utf-8")
    return from_record(EVENT_TYPES[name], json.loads(text))


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([DeadLetterError("no-good")], "no-good"),
        ([RetryError()] * 2, "retries-exhausted"),
        ([ValueError("DOE^JANE")] * 2, "unexpected-error"),
    ],
)
async def test_what_a_step_says_of_an_input_it_gives_up_is_published_with_the_dead_letter(
    errors: list[BaseException], reason: str
) -> None:
    world = World()

    def give_up(event: InstanceReceived, why: str, _context: object) -> list[Event]:
        return [received(1, f"given up {event.envelope.event_id} {why}")]

    await binder(world, failing({"0": errors}), give_up, attempts=2, surprises=2).bind(
        [record(0), record(1)], world.acknowledge
    )
    (_, ids), acknowledged = world.happened
    assert ids[0].startswith("dead 0 ")
    assert ids[1:] == [f"given up 0 {reason}", "1"]
    assert acknowledged == ("acknowledged", [])


async def test_of_an_input_that_cannot_be_read_no_step_can_say_anything() -> None:
    world = World()
    told: list[object] = []

    def give_up(*what: object) -> list[Event]:
        told.append(what)
        return []

    await binder(world, echo, give_up).bind([record(0, value=b"poison")], world.acknowledge)
    assert told == []
    assert world.happened[0] == ("published", ["dead 0 corrupt 1"])


async def test_an_output_that_can_never_be_written_is_given_up_with_the_step_s_last_words() -> None:
    world = World(refused=frozenset({"0"}))
    await binder(world, echo, lambda _event, why, _context: [received(1, f"given up {why}")]).bind(
        [record(0), record(1)], world.acknowledge
    )
    assert world.happened[0] == ("published", ["dead 0 record-too-large 1", "given up record-too-large"])


async def test_a_step_whose_last_words_fail_stops_the_process_and_acknowledges_nothing() -> None:
    world = World()

    def give_up(*_what: object) -> list[Event]:
        raise ValueError

    with pytest.raises(ValueError):
        await binder(world, failing({"0": [DeadLetterError("x")]}), give_up).bind(
            [record(0)], world.acknowledge
        )
    assert world.happened == []
