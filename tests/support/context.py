"""A world for steps without an engine: embedded tables and objects in a folder, a clock of its own, scripted inference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime import buckets
from runtime.clock import Clock
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.tables import EmbeddedTables
from runtime.ports import ObjectMissingError, Objects, Tables
from schemas import rows
from schemas.events import Envelope, Event, Hop
from schemas.identifiers import PseudonymKey, Pseudonyms, deterministic_uuid, site_key
from schemas.tables import Row
from stream_processors.step import (
    Deadline,
    DeadlineReached,
    ImageMeasures,
    Output,
    RawTier,
    Step,
    StepContext,
    StepSettings,
    To,
)

P = ParamSpec("P")
T = TypeVar("T")

START = 1_795_226_400_000_000
"""UTC microseconds at which the tests' clock starts."""
MASTER = PseudonymKey("test-1", bytes((37 * i * i + 11 * i) % 256 for i in range(32)))
"""A key for tests only."""
STEP_TABLES: tuple[type[Row], ...] = (
    rows.StudyAssemblyRow,
    rows.StudyInstanceRow,
    rows.ModelResultRow,
    rows.AlertRow,
    rows.AlertOutcomeRow,
    rows.ReviewRow,
    rows.ReviewOutcomeRow,
    rows.QuarantinedObjectRow,
    rows.FindingRow,
)
"""Every table a step reads or writes."""

Answer = Callable[[str, NDArray[Any]], Mapping[str, NDArray[np.float32]]]
"""Scripted inference: model name and tensor to outputs; may raise."""


class Crash(BaseException):
    """The process dies here: nothing catches it."""


class ManualClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        """UTC microseconds."""
        return self.time

    def monotonic(self) -> float:
        """Seconds."""
        return self.time / 1e6

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += round(seconds * 1e6)


@dataclass
class MemoryRaw:
    """The raw tier in memory, with what was read and why."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    purposes: list[str] = field(default_factory=list)

    def read(self, bucket: str, object_key: str, *, site: str, study: str, purpose: str) -> bytes:
        """Return a file and remember the purpose."""
        self.purposes.append(purpose)
        if (bucket, object_key) not in self.files:
            raise ObjectMissingError
        return self.files[(bucket, object_key)]

    def read_range(
        self, bucket: str, key: str, start: int, length: int, *, site: str, study: str, purpose: str
    ) -> bytes:
        """Return a part of a file and remember the purpose."""
        return self.read(bucket, key, site=site, study=study, purpose=purpose)[start : start + length]


def _no_answer(model: str, tensor: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
    raise AssertionError("this test scripted no inference")


@dataclass
class World:
    """What outlives a crash: tables, objects, the raw tier and the clock."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    raw: MemoryRaw = field(default_factory=MemoryRaw)
    settings: StepSettings = field(default_factory=StepSettings)
    answer: Answer = _no_answer
    measures: list[ImageMeasures] = field(default_factory=list)
    """What steps told of images."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tables = EmbeddedTables(self.folder)
        self.tables.create(STEP_TABLES)
        self.objects = EmbeddedObjects(self.folder / "objects")
        self.objects.create_buckets(buckets.ALL)

    def run(self, name: str, step: Step, cause: Event | DeadlineReached, crash_at: int = 0) -> list[Output]:
        """Run a step to its end and return what it yields.

        Parameters
        ----------
        name
            Component name.
        step
            The step.
        cause
            Its input.
        crash_at
            Die after that many blocking calls, counted from 1; 0: never.
        """
        context = FolderContext(self, name, crash_at)

        async def collect() -> list[Output]:
            return [output async for output in step.run(cause, context)]

        return asyncio.run(collect())


class FolderContext:
    """A `StepContext` on a `World`."""

    def __init__(self, world: World, component: str, crash_at: int = 0) -> None:
        self._world, self._component, self._crash_at = world, component, crash_at
        self.calls = 0
        self.clock: Clock = world.clock
        self.tables: Tables = world.tables
        self.objects: Objects = world.objects
        self.raw: RawTier = world.raw
        self.settings = world.settings
        self.inference_backend = "scripted"

    def pseudonyms(self, site: str) -> Pseudonyms:
        """Keyed pseudonyms of a site."""
        return Pseudonyms(site_key(MASTER, site))

    def envelope(
        self, cause: Event | DeadlineReached, *identity: str, occurred_at: int | None = None
    ) -> Envelope:
        """Envelope of an output; the id depends on component, site, study and identity only."""
        now = self.clock.now()
        if isinstance(cause, DeadlineReached):
            site, study, correlation, causation = cause.site, cause.study, "", ""
            hops: tuple[Hop, ...] = ()
        else:
            told = cause.envelope
            site, study, hops = told.site, told.study, told.hops
            correlation, causation = told.correlation_id, told.event_id
        return Envelope(
            event_id=deterministic_uuid(self._component, site, study, *identity),
            site=site,
            study=study,
            key_id=MASTER.key_id,
            occurred_at=now if occurred_at is None else occurred_at,
            recorded_at=now,
            correlation_id=correlation,
            causation_id=causation,
            producer=self._component,
            producer_version="test",
            hops=(*hops, Hop(name=self._component, at=now)),
        )

    async def io(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call; where asked for, die once it has happened."""
        await asyncio.sleep(0)
        result = call(*args, **kwargs)
        self.calls += 1
        if self.calls == self._crash_at:
            raise Crash
        return result

    async def cpu(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a computation."""
        await asyncio.sleep(0)
        return call(*args, **kwargs)

    async def apart(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that takes long."""
        return await self.cpu(call, *args, **kwargs)

    def announce(self, model: str, *, priority: int) -> AbstractContextManager[None]:
        """Nobody waits for company here."""
        del model, priority
        return nullcontext()

    async def infer(
        self, model: str, tensors: NDArray[Any], *, priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Answer as the world's script says."""
        await asyncio.sleep(0)
        return self._world.answer(model, tensors)

    async def measured(self, site: str, measures: ImageMeasures) -> None:
        """Remember it."""
        del site
        self._world.measures.append(measures)


def _satisfies(context: FolderContext) -> StepContext:
    """Hold the context to the protocol, statically."""
    return context


def event_of(output: Output) -> Event:
    """Return the event of an output that is one."""
    assert not isinstance(output, Deadline)
    return output.event if isinstance(output, To) else output


def events(outputs: list[Output]) -> list[Event]:
    """Return the events among outputs, in order."""
    return [event_of(output) for output in outputs if not isinstance(output, Deadline)]


def deadlines(outputs: list[Output]) -> list[DeadlineReached]:
    """Return the deadlines among outputs as the inputs they become."""
    return [
        DeadlineReached(
            site=each.site, study=each.study, name=each.name, due_at=each.due_at, payload=each.payload
        )
        for each in outputs
        if isinstance(each, Deadline)
    ]


def timeless(outputs: list[Output]) -> list[object]:
    """Outputs without the times at which they happened to be made: what must be equal on redelivery."""
    return [
        each
        if isinstance(each, Deadline)
        else (each.topic if isinstance(each, To) else "", _without_times(event_of(each)))
        for each in outputs
    ]


def _without_times(event: Event) -> Event:
    hops = tuple(Hop(name=hop.name, at=0) for hop in event.envelope.hops)
    return replace(event, envelope=replace(event.envelope, recorded_at=0, occurred_at=0, hops=hops))
