"""Gathers single images from many callers into batches, urgent ones first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from inference.backend import (
    DEADLINE_S,
    Arrays,
    InferenceBackend,
    InferenceRejectedError,
    InferenceUnavailableError,
)
from inference.spec import PRIORITY_ROUTINE, ModelSpec

MAX_BATCH = 16
"""Images per request: the network gains nothing from more than a few, but a request costs client and server a millisecond, which
is a tenth of what 8 small images take."""
ENOUGH = 8
"""Images that go at once where no request is under way: the server would only be idle while more come."""
MAX_WAIT_S = 0.004
"""How long an image waits for company that nobody has announced: less than its own inference takes."""
COMPANY_S = 0.2
"""Seconds an image waits at most for announced company: bounds what one slow image costs the others. Decoding eight X-rays
takes two busy cores about as long, and the model could hardly begin sooner with all of them."""
BATCHES_IN_FLIGHT = 3
"""Requests under way at once: one computes, one waits at the server, one is being sent. A fourth changes little, with one copy
of a model or two (`docs/benchmarks.md`)."""


Measured = Literal["queue", "infer", "images"]
"""What is told of batches: seconds an image waited, seconds a request took, and the images in it."""
Observer = Callable[[str, Measured, float], None]
"""Hears model, what was measured, and the value."""


@dataclass(frozen=True)
class Waiting:
    """What the plan needs to know of an image: its priority (1 is most urgent) and when it came (seconds)."""

    priority: int
    since: float


@dataclass(frozen=True)
class Plan:
    """``take``: positions of the images that go now; ``wake_in``: else, seconds until the question changes."""

    take: tuple[int, ...] = ()
    wake_in: float | None = None


def plan(
    waiting: Sequence[Waiting],
    now: float,
    *,
    coming: Sequence[int] = (),
    max_batch: int = MAX_BATCH,
    max_wait_s: float = MAX_WAIT_S,
    company_s: float = COMPANY_S,
    under_way: int = 0,
) -> Plan:
    """Decide what to send where a slot is free: a full batch at once; a smaller one when the oldest waited.

    Urgent images come first, then the oldest. ``coming`` holds the priorities of images that are being decoded: for those
    the others wait, an urgent one for urgent company only. Without any, an urgent image goes at once. While requests are
    ``under_way`` a batch is full with ``max_batch`` images, else with :data:`ENOUGH`.
    """
    if not waiting:
        return Plan()
    order = sorted(range(len(waiting)), key=lambda i: (waiting[i].priority, waiting[i].since, i))
    first = waiting[order[0]].priority
    urgent = first < PRIORITY_ROUTINE
    rivals = [w.since for w in waiting if w.priority < PRIORITY_ROUTINE or not urgent]
    company = any(priority < PRIORITY_ROUTINE or not urgent for priority in coming)
    due = min(rivals) + (company_s if company else 0 if urgent else max_wait_s)
    full = max_batch if under_way else min(max_batch, ENOUGH)
    if len(waiting) >= full or now >= due:
        return Plan(take=tuple(order[:max_batch]))
    return Plan(wake_in=due - now)


@dataclass(eq=False)
class _Item:
    image: NDArray[Any]
    waiting: Waiting
    answer: asyncio.Future[Arrays] = field(repr=False)


class Batcher:
    """Shares one backend among all callers of one event loop."""

    def __init__(
        self,
        backend: InferenceBackend,
        *,
        max_batch: int = MAX_BATCH,
        max_wait_s: float = MAX_WAIT_S,
        company_s: float = COMPANY_S,
        in_flight: int = BATCHES_IN_FLIGHT,
        deadline_s: float = DEADLINE_S,
        observe: Observer = lambda _model, _what, _value: None,
    ) -> None:
        self._backend, self._observe = backend, observe
        self._max_batch, self._max_wait, self._company = max_batch, max_wait_s, company_s
        self._deadline = deadline_s
        self._free = self._slots = in_flight
        self._queues: dict[str, tuple[ModelSpec, list[_Item]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._coming: dict[str, Counter[int]] = {}

    @contextmanager
    def announced(self, model: ModelSpec, priority: int = PRIORITY_ROUTINE) -> Iterator[None]:
        """Say that an image is being made ready; submit it right after this block, with no await in between."""
        key = _key(model)
        coming = self._coming.setdefault(key, Counter())
        coming[priority] += 1
        try:
            yield
        finally:
            coming[priority] -= 1
            # Later: the image itself is submitted first. Where it never comes, those who waited for it go on.
            asyncio.get_running_loop().call_soon(self._decide, key)

    async def submit(self, model: ModelSpec, array: NDArray[Any], priority: int = PRIORITY_ROUTINE) -> Arrays:
        """Outputs for one image (no batch axis in, none out), for models with one input.

        Raises :class:`InferenceUnavailableError` or :class:`InferenceRejectedError` for this image alone.
        """
        loop = asyncio.get_running_loop()
        item = _Item(array, Waiting(priority, loop.time()), loop.create_future())
        key = _key(model)
        _, queue = self._queues.setdefault(key, (model, []))
        queue.append(item)
        self._decide(key)
        try:
            return await item.answer
        except asyncio.CancelledError:
            if item in queue:
                queue.remove(item)
            raise

    async def close(self) -> None:
        """Wait until every image submitted so far has its answer. Submit none meanwhile."""
        await asyncio.sleep(self._max_wait)  # whatever waits for company goes now
        while tasks := set(self._sending):
            await asyncio.wait(tasks)

    def _decide(self, key: str) -> None:
        """Follow the plan for one model's queue. Without a free slot there is nothing to plan: this is asked for every image."""
        if key not in self._queues or not self._free:
            return
        model, queue = self._queues[key]
        loop = asyncio.get_running_loop()
        size = min(self._max_batch, model.max_batch_size)
        waiting = [item.waiting for item in queue]
        coming = [*self._coming.get(key, Counter()).elements()]
        now = loop.time()
        made = plan(
            waiting,
            now,
            coming=coming,
            max_batch=size,
            max_wait_s=self._max_wait,
            company_s=self._company,
            under_way=self._slots - self._free,
        )
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if made.take:
            batch = [queue[i] for i in made.take]
            for item in batch:
                queue.remove(item)
            self._free -= 1
            task = loop.create_task(self._send(model, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            if queue:
                self._decide(key)
        elif made.wake_in is not None:
            self._timers[key] = loop.call_later(made.wake_in, self._decide, key)

    async def _send(self, model: ModelSpec, batch: list[_Item]) -> None:
        """Infer a batch; where it is rejected, each image alone, so that one bad image fails only itself."""
        try:
            try:
                await self._infer(model, batch)
            except InferenceRejectedError as error:
                await self._one_by_one(model, batch, error)
            except InferenceUnavailableError as error:
                _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, InferenceUnavailableError("stopped"))
            raise
        except Exception as error:  # noqa: BLE001 - the task's boundary: whoever waits must hear of it
            _fail(batch, error)
        finally:
            self._free += 1
            for key in list(self._queues):
                self._decide(key)

    async def _one_by_one(self, model: ModelSpec, batch: list[_Item], error: InferenceRejectedError) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        for item in batch:
            try:
                await self._infer(model, [item])
            except (InferenceRejectedError, InferenceUnavailableError) as own:
                _fail([item], own)

    async def _infer(self, model: ModelSpec, batch: list[_Item]) -> None:
        """Ask the backend and hand out the rows."""
        name = model.inputs[0].name
        images = [item.image for item in batch]
        priority = min(item.waiting.priority for item in batch)
        began = asyncio.get_running_loop().time()
        for item in batch:
            self._observe(model.name, "queue", began - item.waiting.since)
        outputs = await self._backend.infer(model, {name: images}, priority, self._deadline)
        self._observe(model.name, "infer", asyncio.get_running_loop().time() - began)
        self._observe(model.name, "images", len(batch))
        for row, item in enumerate(batch):
            if not item.answer.done():
                item.answer.set_result({key: value[row] for key, value in outputs.items()})


def _key(model: ModelSpec) -> str:
    return f"{model.digest}:{model.version}"


def _fail(batch: list[_Item], error: Exception) -> None:
    for item in batch:
        if not item.answer.done():
            item.answer.set_exception(error)
