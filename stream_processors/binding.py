"""Binds a step to a log, whichever engine reads it: what is done with a batch, and when it may be acknowledged.

The rules, each against a way of losing messages:

1. Every input of a batch resolves to done, dead-lettered, or stop. The batch is acknowledged when all have resolved, never by
   part, so that no committed offset can pass an input still in work.
2. Outputs, audit events and dead letters are confirmed and deadlines written before the acknowledgement.
3. Different keys run concurrently, bounded; inputs of one key run one after the other, deadlines after records.
4. A failure concerns its own input. What a failed attempt would have published is dropped; what it opened is audited anyway.
5. Whatever stops the process acknowledges nothing: all of the batch is delivered again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar

from runtime import faults, logs
from runtime.dead_letters import reason_of
from runtime.errors import DeadLetterError, RetryError, StopError
from runtime.metrics import Metrics
from runtime.outcomes import Policy, RetriesExhaustedError, Tries, Verdict, judge
from runtime.ports import Record
from schemas.events import Event
from schemas.partitioning import partition_of
from schemas.rows import DeadlineRow
from schemas.topics import catalogue
from stream_processors.inputs import (
    DueInput,
    Input,
    Origin,
    as_record,
    deadline_row,
    in_key_order,
    origin_of,
    reached,
)
from stream_processors.step import Deadline, DeadlineReached, Output, Step, StepContext, To

P = ParamSpec("P")
T = TypeVar("T")

Addressed = tuple[str, Event]
"""Topic and event."""

EARLY_S = 0.2
"""Seconds after which what is resolved of a batch goes out: longer than a quick batch takes, shorter than anyone notices."""


class InputContext(StepContext, Protocol):
    """A context made for one input."""

    def audits(self, cause: Event | DeadlineReached) -> list[Addressed]:
        """One audit event per purpose for which the step opened something while it handled this input."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What the binder reaches for; all but `context_for` and `probe` are blocking.

    Parameters
    ----------
    decode
        Bytes to event; UndecodableError.
    publish
        Confirms all, or raises RetryError; DeadLetterError when one can never be written and none was.
    dead_letter
        Stores a copy in quarantine and returns the event that tells of it.
    write_deadline
        Idempotent upsert.
    context_for
        Context for one input.
    probe
        Raises RetryError while something that steps work with is down.
    """

    decode: Callable[[bytes | None], Event]
    publish: Callable[[Sequence[Addressed]], None]
    dead_letter: Callable[[Record, str, BaseException, int], Addressed]
    write_deadline: Callable[[DeadlineRow], None]
    context_for: Callable[[Origin], InputContext]
    probe: Callable[[], Awaitable[None]]
    metrics: Metrics


@dataclass
class Resolved:
    """What became of an input."""

    input: Input
    site: str = ""
    outputs: list[Addressed] = field(default_factory=list)
    audits: list[Addressed] = field(default_factory=list)
    deadlines: list[DeadlineRow] = field(default_factory=list)
    event: Event | DeadlineReached | None = None
    """None if it could not be read."""
    context: InputContext | None = None
    is_published: bool = False


class Binder:
    """Takes batches for one step.

    Parameters
    ----------
    name
        Name of the step: consumer of its dead letters and deadlines.
    step
        What to run.
    partitions
        Partitions of the first topic it reads: shards of its deadlines.
    around
        What it reaches for.
    policy
        How often and how fast to try.
    sleep, chance
        Waiting and randomness, for tests to replace.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        partitions: int,
        around: Surroundings,
        policy: Policy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._step = step
        self._partitions = partitions
        self._around = around
        self._policy = policy
        self._sleep = sleep
        self._chance = chance
        self._log = logs.logger(name)

    async def bind(self, inputs: Sequence[Input], acknowledge: Callable[[list[DeadlineRow]], None]) -> None:
        """Resolve every input, make all consequences safe, then acknowledge.

        What is resolved does not wait for what takes long: where a batch is not done at once, outputs are confirmed bit by bit.

        Parameters
        ----------
        inputs
            In the order of their partitions.
        acknowledge
            Blocking; called once, at the end, with the deadlines that are done with. Commits the records' offsets.

        Raises
        ------
        StopError, MemoryError, OSError
            Nothing was acknowledged.
        """
        if not inputs:
            return
        self._around.metrics.observe("radstream_batch_events", len(inputs))
        resolved = await self._resolve_all(inputs)
        await self._publish_all([each for each in resolved if not each.is_published])
        faults.reach("after-publish")
        written = [row for each in resolved for row in each.deadlines]
        for row in written:
            await self._insist(self._around.write_deadline, row)
        faults.reach("before-acknowledge")
        done = [each.input.row for each in resolved if isinstance(each.input, DueInput)]
        await self._acknowledge(acknowledge, _without(done, written))
        self._count(resolved)

    async def _resolve_all(self, inputs: Sequence[Input]) -> list[Resolved]:
        """Resolve all, keys concurrently, publishing what is ready; the first error that stops the process cancels the rest."""
        slots = asyncio.Semaphore(self._policy.concurrency)
        places: dict[int, Resolved] = {}

        async def one_key(group: list[tuple[int, Input]]) -> None:
            async with slots:
                for place, each in group:
                    places[place] = await self._resolve(each)

        tasks = [asyncio.ensure_future(one_key(group)) for group in in_key_order(inputs)]
        pending = set(tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=EARLY_S, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
                ready = [each for _, each in sorted(places.items()) if not each.is_published]
                if pending and ready:
                    await self._publish_all(ready)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [places[place] for place in range(len(inputs))]

    async def _resolve(self, each: Input) -> Resolved:
        try:
            event, origin = await self._read(each)
        except Exception as error:  # the boundary of an input: what does not decode goes to quarantine
            if judge(error, Tries(), self._policy) is Verdict.STOP:
                raise
            return await self._given_up(Resolved(each), error, 1)
        context = self._around.context_for(origin)
        site = event.site if isinstance(event, DeadlineReached) else event.envelope.site
        found = Resolved(each, site, event=event, context=context)
        tries = Tries()
        while True:
            failure = await self._attempt(found, event, origin, context)
            found.audits = context.audits(event)
            if failure is None:
                faults.reach("after-effect")
                return found
            if await self._is_final(failure, tries):
                final = RetriesExhaustedError() if isinstance(failure, RetryError) else failure
                return await self._given_up(found, final, tries.made)

    async def _read(self, each: Input) -> tuple[Event | DeadlineReached, Origin]:
        """Decode, which asks the registry only for schemas it has not seen; a registry that is away is waited for."""
        try:
            return self._understood(each)
        except RetryError:
            return await self._insist(self._understood, each)

    def _understood(self, each: Input) -> tuple[Event | DeadlineReached, Origin]:
        if isinstance(each, DueInput):
            return reached(each.row)
        event = self._around.decode(each.value)
        return event, origin_of(event)

    async def _attempt(
        self, found: Resolved, event: Event | DeadlineReached, origin: Origin, context: StepContext
    ) -> Exception | None:
        """Run the step once and keep what it yields, or nothing of it; return the error unless it stops the process."""
        started = time.monotonic()
        found.outputs, found.deadlines = [], []
        try:
            await self._collect(found, self._step.run(event, context), origin)
        except Exception as error:  # noqa: BLE001 - the boundary of an input: its class decides (`outcomes.judge`)
            found.outputs, found.deadlines = [], []
            return error
        self._around.metrics.observe("radstream_step_seconds", time.monotonic() - started)
        return None

    async def _collect(self, found: Resolved, outputs: AsyncIterator[Output], origin: Origin) -> None:
        async for output in outputs:
            if isinstance(output, Deadline):
                if not self._step.sets_deadlines:
                    raise StopError(
                        "the step does not declare that it sets deadlines: nobody would look for them"
                    )
                shard = partition_of(output.study.encode("utf-8"), self._partitions)
                found.deadlines.append(deadline_row(self._name, shard, output, origin))
            else:
                found.outputs.append(addressed(output, self._step.emits))

    async def _is_final(self, error: Exception, tries: Tries) -> bool:
        """Wait before the next attempt, or say that there is none; raise what stops the process."""
        verdict = judge(error, tries, self._policy)
        if verdict is Verdict.STOP:
            raise error
        if verdict is Verdict.PROBE:
            verdict = await self._blame(tries)
        if verdict is Verdict.DEAD_LETTER:
            return True
        self._around.metrics.count("radstream_retries_total")
        self._log.warning("attempt failed, will be made again", attempts=tries.made, exc_info=error)
        await self._sleep(self._policy.pause_s(tries.made, self._chance()))
        return False

    async def _blame(self, tries: Tries) -> Verdict:
        """Whose fault it is that attempts failed: the input's if everything answers, else nobody's, and counting starts anew."""
        try:
            await self._around.probe()
        except RetryError:
            tries.retries = 0
            return Verdict.RETRY
        return Verdict.DEAD_LETTER

    async def _given_up(self, found: Resolved, error: BaseException, attempts: int) -> Resolved:
        record = as_record(found.input.row) if isinstance(found.input, DueInput) else found.input
        letter = await self._insist(self._around.dead_letter, record, found.site, error, attempts)
        self._around.metrics.count("radstream_dead_letters_total", site=found.site)
        self._log.error("input given up", topic=record.topic, partition=record.partition, offset=record.offset,
                        exc_info=error)  # fmt: skip
        return Resolved(found.input, found.site, [letter, *self._last_words(found, error)], found.audits)

    def _last_words(self, found: Resolved, error: BaseException) -> list[Addressed]:
        """What the step says of an input it gives up, if it is one that others wait for."""
        if self._step.give_up is None or found.event is None or found.context is None:
            return []
        outputs = self._step.give_up(found.event, reason_of(error), found.context)
        return [addressed(output, self._step.emits) for output in outputs]

    async def _publish_all(self, resolved: Sequence[Resolved]) -> None:
        """Confirm everything in input order; if one event can never be written, find whose it is."""
        started = time.monotonic()
        try:
            await self._insist(self._around.publish, _events(resolved))
        except DeadLetterError:
            for each in resolved:
                await self._publish_one(each)
        for each in resolved:
            each.is_published = True
        self._around.metrics.observe("radstream_publish_seconds", time.monotonic() - started)

    async def _publish_one(self, each: Resolved) -> None:
        try:
            await self._insist(self._around.publish, _events([each]))
        except DeadLetterError as error:
            letter = await self._given_up(each, error, 1)
            each.outputs, each.deadlines = letter.outputs, []
            await self._insist(self._around.publish, _events([each]))

    async def _acknowledge(
        self, acknowledge: Callable[[list[DeadlineRow]], None], done: list[DeadlineRow]
    ) -> None:
        started = time.monotonic()
        await self._insist(acknowledge, done)
        self._around.metrics.observe("radstream_commit_seconds", time.monotonic() - started)

    async def _insist(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a blocking call that must succeed before anything is acknowledged: RetryError is retried for ever."""
        attempt = 0
        while True:
            try:
                return await asyncio.to_thread(call, *args, **kwargs)
            except RetryError as error:
                attempt += 1
                self._around.metrics.count("radstream_retries_total")
                self._log.warning("engine does not answer, asking again", attempts=attempt, exc_info=error)
                await self._sleep(self._policy.pause_s(attempt, self._chance()))

    def _count(self, resolved: Sequence[Resolved]) -> None:
        metrics = self._around.metrics
        for each in resolved:
            metrics.count("radstream_inputs_total", site=each.site)
            metrics.count("radstream_outputs_total", len(each.outputs), site=each.site)
            if isinstance(each.input, DueInput):
                metrics.count("radstream_deadlines_total", site=each.site)


def addressed(output: Event | To, emits: Iterable[str]) -> Addressed:
    """Give an output its topic.

    Raises
    ------
    StopError
        The step does not declare the topic, or several it declares carry the event: a fault of the step, not of the input.
    """
    known = catalogue()
    event = output.event if isinstance(output, To) else output
    name = type(event).__name__
    carriers = [topic for topic in emits if topic in known and known[topic].event == name]
    if isinstance(output, To):
        carriers = [topic for topic in carriers if topic == output.topic]
    if len(carriers) != 1:
        raise StopError(f"the step declares {len(carriers) or 'no'} topics for {name}")
    return carriers[0], event


def _events(resolved: Iterable[Resolved]) -> list[Addressed]:
    return [event for each in resolved for event in (*each.audits, *each.outputs)]


def _without(done: list[DeadlineRow], written: list[DeadlineRow]) -> list[DeadlineRow]:
    """Deadlines to delete: a step that asks for the same deadline again while handling it has it stay."""
    again = {(row.shard, row.due_at, row.site, row.study, row.name) for row in written}
    return [row for row in done if (row.shard, row.due_at, row.site, row.study, row.name) not in again]
